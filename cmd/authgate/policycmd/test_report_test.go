package policycmd

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/render"
)

func TestJUnitIsXMLWhateverTheCasesHold(t *testing.T) {
	t.Parallel()
	odd := "a\x01\x0b\ufffe\x1b[31m ]]> <&\"'> \xff é"
	report := testReport{
		Cases: []caseReport{
			{Case: odd + ":1", Name: odd, Who: []string{odd}, Method: "GET", Target: odd, Expect: "allow", Failure: odd, Reason: odd, file: odd, line: 1},
			{Case: odd + ":2", Who: []string{"role:a", "role:b"}, Method: "GET", Target: "a:/", Expect: "deny", Passed: true, file: odd, line: 2},
			{Case: "b.csv:2", Who: []string{"role:a"}, Method: "GET", Target: "a:/", Expect: "deny", Passed: true, file: "b.csv", line: 2},
		},
		Coverage: coverageReport{Rows: 3, Covered: 2, minimum: "66.7", belowMinimum: true, Untested: []untestedRow{{odd, odd}}},
	}
	var out strings.Builder
	if err := render.JUnit(&out, "authgate policy test", report.junit()); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name    string    `xml:"name,attr"`
				Class   string    `xml:"classname,attr"`
				Time    string    `xml:"time,attr"`
				Failure *struct{} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(out.String()), &read); err != nil {
		t.Fatalf("%v\n%q", err, out.String())
	}
	if read.Tests != 4 || read.Failures != 2 || len(read.Suites) != 3 {
		t.Fatalf("%d tests, %d failures, %d suites; want 4, 2 and 3", read.Tests, read.Failures, len(read.Suites))
	}
	for i, want := range []struct{ tests, failures int }{{2, 1}, {1, 0}, {1, 1}} {
		suite := read.Suites[i]
		if suite.Tests != want.tests || suite.Failures != want.failures || len(suite.Cases) != want.tests {
			t.Errorf("suite %d: %+v, want %+v", i, suite, want)
		}
		for _, c := range suite.Cases {
			if c.Name == "" || c.Class == "" || c.Time == "" {
				t.Errorf("a test lacks its name, class or time: %+v", c)
			}
		}
	}
	if read.Suites[0].Cases[0].Failure == nil || read.Suites[0].Cases[1].Failure != nil || read.Suites[2].Cases[0].Failure == nil {
		t.Errorf("the failures are not where they belong: %+v", read.Suites)
	}
	if got := read.Suites[0].Cases[1].Name; got != "role:a + role:b GET a:/: deny" {
		t.Errorf("a case is called %q", got)
	}
}

func TestAWordForTheShellIsOneWord(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"example-org:dev":   "example-org:dev",
		"argocd:/%61?x=1":   "'argocd:/%61?x=1'",
		"example-org:*":     "'example-org:*'",
		"":                  "''",
		"it's":              `'it'\''s'`,
		"$(reboot)":         "'$(reboot)'",
		"team\u00a0ä":       "'team\u00a0ä'",
		"argocd:/~user/a&b": "'argocd:/~user/a&b'",
	} {
		if got := cli.ShellQuote(word); got != want {
			t.Errorf("%q becomes %s, want %s", word, got, want)
		}
	}
}
