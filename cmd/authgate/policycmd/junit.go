package policycmd

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/example-org/authgate/cmd/authgate/cli"
)

// The part of JUnit's XML that GitHub's reporters, GitLab and Jenkins read alike.
// There is no schema by its makers; time is there because some refuse without it,
// and zero because an answer takes less than they show.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"` // file
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		ClassName string        `xml:"classname,attr"` // file, or the name of the case in it
		Time      string        `xml:"time,attr"`
		File      string        `xml:"file,attr,omitempty"`
		Line      int           `xml:"line,attr,omitempty"`
		Failure   *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

const noTime = "0.000"

// writeJUnit writes a suite for each case file and, where a minimum is set, one
// for the coverage.
func writeJUnit(w io.Writer, r testReport) error {
	all := junitSuites{Name: "authgate policy test", Time: noTime}
	at := map[string]int{} // file → its suite
	add := func(suite string, c junitCase) {
		i, known := at[suite]
		if !known {
			i = len(all.Suites)
			at[suite] = i
			all.Suites = append(all.Suites, junitSuite{Name: suite, Time: noTime})
		}
		s := &all.Suites[i]
		c.Time = noTime
		s.Cases = append(s.Cases, c)
		s.Tests++
		all.Tests++
		if c.Failure != nil {
			s.Failures++
			all.Failures++
		}
	}
	for _, c := range r.Cases {
		add(c.file, c.junit())
	}
	if r.Coverage.minimum != "0" {
		add("coverage", r.Coverage.junit())
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (c caseReport) junit() junitCase {
	who := strings.Join(c.Who, " + ")
	j := junitCase{Name: who + " " + c.Method + " " + c.Target + ": " + c.Expect, ClassName: c.file, File: c.file, Line: c.line}
	if c.Name != "" {
		j.Name = c.Name + ": " + j.Name
	}
	if !c.Passed {
		var text strings.Builder
		c.print(cli.NewPrinter(&text))
		j.Failure = &junitFailure{Message: c.Case + ": " + c.Failure, Type: "decision", Text: text.String()}
	}
	return j
}

func (c coverageReport) junit() junitCase {
	j := junitCase{Name: "at least " + c.minimum + " % of the rows decide a case", ClassName: "coverage"}
	if !c.belowMinimum {
		return j
	}
	var text strings.Builder
	for _, u := range c.Untested {
		fmt.Fprintf(&text, "%s: %s\n", u.Rule, u.Row)
	}
	j.Failure = &junitFailure{Message: fmt.Sprintf("%d of %s decided a case", c.Covered, cli.Plural(c.Rows, "row")), Type: "coverage", Text: text.String()}
	return j
}
