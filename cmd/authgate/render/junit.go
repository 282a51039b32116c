package render

import (
	"encoding/xml"
	"io"
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
		Failure   *JUnitFailure `xml:"failure"`
	}
)

// JUnitTest is one test of a report.
type JUnitTest struct {
	Suite     string // tests of one suite are listed together
	Name      string
	ClassName string
	File      string
	Line      int
	Failure   *JUnitFailure // nil if it passed
}

// JUnitFailure says why a test failed.
type JUnitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

const noTime = "0.000"

// JUnit writes the suites of a report in the order of their first tests.
func JUnit(w io.Writer, name string, tests []JUnitTest) error {
	all := junitSuites{Name: name, Time: noTime}
	at := map[string]int{} // suite → its index
	for _, test := range tests {
		i, known := at[test.Suite]
		if !known {
			i = len(all.Suites)
			at[test.Suite] = i
			all.Suites = append(all.Suites, junitSuite{Name: test.Suite, Time: noTime})
		}
		s := &all.Suites[i]
		s.Cases = append(s.Cases, junitCase{
			Name: test.Name, ClassName: test.ClassName, Time: noTime, File: test.File, Line: test.Line, Failure: test.Failure,
		})
		s.Tests++
		all.Tests++
		if test.Failure != nil {
			s.Failures++
			all.Failures++
		}
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
