package fault_test

import (
	"testing"

	"github.com/example-org/authgate/fault"
)

func TestAllFaultsAreReportedInFileOrder(t *testing.T) {
	t.Parallel()
	var l fault.List
	at := func(file string, line, column int) fault.Position {
		return fault.Position{File: file, Line: line, Column: column}
	}
	l.Add(at("b.csv", 7, 2), "late", "")
	l.Add(at("a.csv", 9, 1), "other file", "fix it")
	l.Add(at("b.csv", 7, 1), "early", "write allow")
	l.Add(at("b.csv", 0, 0), "whole file", "")

	want := "b.csv: whole file\n" +
		"b.csv:7:1: early; write allow\n" +
		"b.csv:7:2: late\n" +
		"a.csv:9:1: other file; fix it"
	if got := l.Err().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNoFaultIsNoError(t *testing.T) {
	t.Parallel()
	var l fault.List
	if err := l.Err(); err != nil {
		t.Errorf("an empty list is the error %v", err)
	}
}

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	known := []string{"issuer", "listen", "session", "url", "path", "role:admin"}
	for word, want := range map[string]string{
		"isuer":     `did you mean "issuer"?`,
		"Issuer":    `did you mean "issuer"?`,
		"lisetn":    `did you mean "listen"?`,
		"role:admn": `did you mean "role:admin"?`,
		"ulr":       `did you mean "url"?`,
		"pathology": "",
		"x":         "",
		"":          "",
	} {
		if got := fault.DidYouMean(word, known); got != want {
			t.Errorf("DidYouMean(%q) = %q, want %q", word, got, want)
		}
	}
}
