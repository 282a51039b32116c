package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the servers that the bench starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "be" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestBenchRunsAndEveryAnswerComesFromTheUpstream(t *testing.T) {
	dir := t.TempDir()
	o, err := parse([]string{"-check", "-connections=1,64", "-people=100", "-json", filepath.Join(dir, "bench.json"), "-md", filepath.Join(dir, "doc.md")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.md, []byte("above\n"+beginMark+"old\n"+endMark+"below\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), o, &out, os.Stderr); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	var r report
	text, err := os.ReadFile(o.json)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || len(r.Rows) < 8 {
		t.Errorf("%d rows in the JSON, %v", len(r.Rows), err)
	}
	doc, err := os.ReadFile(o.md)
	if err != nil || !strings.HasPrefix(string(doc), "above\n") || !strings.HasSuffix(string(doc), "below\n") ||
		strings.Contains(string(doc), "old") || strings.Count(string(doc), "\n| 64 | ") != len(r.Rows)/2 {
		t.Errorf("the document is %s, %v", doc, err)
	}
}

func TestBenchCountsWhatAWebSocketCosts(t *testing.T) {
	o, err := parse([]string{"-websockets=60"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), o, &out, os.Stderr); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	for _, name := range []string{"tuned", "authgate"} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("no row of %s", name)
		}
	}
}

func TestWrongNumbersAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-connections=1,x"}, {"-connections=0"}, {"-rounds=0"}, {"-for=0s"}, {"-people=0"}, {"further"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
