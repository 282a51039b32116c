package policycmd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/render"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/cases"
	"github.com/example-org/authgate/text"
)

// testReport is the answer of `policy test`.
type testReport struct {
	Cases    []caseReport   `json:"cases"` // in the order of the files
	Passed   int            `json:"passed"`
	Failed   int            `json:"failed"`
	Coverage coverageReport `json:"coverage"`
	Policy   string         `json:"policy"` // hash

	listUntested bool // the rows that no case tests are shown
}

// caseReport is one case and what came of it.
type caseReport struct {
	Case       string   `json:"case"` // file:line
	Name       string   `json:"name"` // of the case in YAML; may be empty
	Who        []string `json:"who"`
	Method     string   `json:"method"`
	Target     string   `json:"target"`   // as it is written
	Upstream   string   `json:"upstream"` // empty where a refused path leaves it open
	Path       string   `json:"path"`     // canonical; empty where it is refused
	Expect     string   `json:"expect"`   // allow, deny, or only for an invariant
	ExpectRule string   `json:"expect_rule"`
	Decision   string   `json:"decision"` // allow or deny
	Rule       string   `json:"rule"`     // file:line; empty where no row decided
	Row        string   `json:"row"`
	Reason     string   `json:"reason"` // of the decision, where no row says so
	Passed     bool     `json:"passed"`
	Failure    string   `json:"failure"` // empty where it passed
	Explain    string   `json:"explain"` // of a failure: the command that shows more

	file             string
	line             int
	note             string
	anonymousAllowed bool // it passed, and yet is allowed as an anonymous request
}

// coverageReport is how much of the policy the cases test.
type coverageReport struct {
	Rows     int           `json:"rows"` // p and g
	Covered  int           `json:"covered"`
	Percent  float64       `json:"percent"` // rounded down to a tenth
	Minimum  float64       `json:"minimum"` // of --coverage-min, else 0
	Untested []untestedRow `json:"untested"`

	minimum      string
	belowMinimum bool // of the minimum
}

type untestedRow struct {
	Rule string `json:"rule"` // file:line
	Row  string `json:"row"`
}

func (t *policyTest) report(hash string, outcomes []cases.Outcome, c cases.Coverage) testReport {
	r := testReport{Cases: []caseReport{}, Policy: hash}
	for _, o := range outcomes {
		r.Cases = append(r.Cases, t.caseReport(o))
		if o.Passed() {
			r.Passed++
		} else {
			r.Failed++
		}
	}
	minimum, _ := t.minimum.Float64()
	r.Coverage = coverageReport{
		Rows: c.Rows, Covered: c.Covered, Percent: c.Percent(), Untested: []untestedRow{},
		Minimum: minimum, minimum: t.minimum.String(), belowMinimum: !c.Reaches(&t.minimum.Rat),
	}
	for _, u := range c.Untested {
		r.Coverage.Untested = append(r.Coverage.Untested, untestedRow{u.Where, u.Row})
	}
	r.listUntested = t.coverage || r.Coverage.belowMinimum
	return r
}

func (t *policyTest) caseReport(o cases.Outcome) caseReport {
	c := o.Case
	r := caseReport{
		Case: c.Where(), Name: c.Name, Who: c.Subjects, Method: c.Method, Target: c.Target, Upstream: c.Upstream,
		Path:   c.Path.String(),
		Expect: c.Expect.String(), ExpectRule: c.Rule, Decision: o.Decision.Effect.String(), Passed: o.Passed(),
		Failure: o.Failure,
		file:    c.File(), line: c.Line(),
	}
	if c.Only != nil {
		t.reportInvariant(&r, o)
		return r
	}
	switch row := o.Decision.Row; {
	case row != nil:
		r.Rule, r.Row = row.Where(), row.String()
	case c.Bypass != nil:
		r.Reason = c.Bypass.Error()
		return r
	case c.Refused != nil:
		r.Reason = "refused before a row decides: " + c.Refused.Error()
	case o.AnonymousRow != nil:
		r.Reason = "no row matches, but " + o.AnonymousRow.Where() + " allows it without a login"
		r.note = "signed-in users are allowed there as anonymous requests; expect this of system:anonymous"
		r.anonymousAllowed = o.Passed()
	default:
		r.Reason = "no row matches"
	}
	if !o.Passed() {
		r.Explain = t.explain(c)
	}
	return r
}

// expectOnly is what an invariant expects.
const expectOnly = "only"

// reportInvariant fills in what came of an invariant: the case of a request, or that of
// one of its subjects.
func (t *policyTest) reportInvariant(r *caseReport, o cases.Outcome) {
	r.Expect = expectOnly
	if o.Decision.Row != nil {
		r.Rule, r.Row = o.Decision.Row.Where(), o.Decision.Row.String()
	} else {
		r.Reason = "no other subject may"
	}
	if len(o.Case.AnyOf) > 0 {
		r.Expect = policy.Allow.String()
		r.Reason = "no row allows any of them"
	}
	switch method, witness, _ := strings.Cut(o.ExampleRequest, " "); {
	case o.Passed():
	case o.ExampleRequest != "":
		r.Explain = strings.Join(append(t.command("who-can"), method, cli.ShellQuote(witness)), " ")
	case len(o.Case.AnyOf) > 0:
		r.Explain = strings.Join(append(t.command("can"), append([]string{"--all"}, identityArgs(o.Case.Identity)...)...),
			" ")
	}
}

// explain gives the command that shows more about a case.
func (t *policyTest) explain(c cases.Case) string {
	words := append(t.command("explain"), identityArgs(c.Identity)...)
	return strings.Join(append(words, c.Method, cli.ShellQuote(c.Target)), " ")
}

// command begins a command that asks the same policy.
func (t *policyTest) command(name string) []string {
	words := []string{"authgate", "policy", name}
	for _, file := range t.flags.policies {
		words = append(words, "--policy", cli.ShellQuote(file))
	}
	if t.flags.config != "" {
		words = append(words, "--config", cli.ShellQuote(t.flags.config))
	}
	return words
}

func (r testReport) print(s *cli.Printer) {
	for _, c := range r.Cases {
		if !c.Passed {
			c.print(s)
		}
	}
	if r.listUntested && len(r.Coverage.Untested) > 0 {
		s.Line("%s", s.Bold("rows that no case tests"))
		var rows [][]string
		for _, u := range r.Coverage.Untested {
			rows = append(rows, []string{"", u.Rule, u.Row})
		}
		s.Table(rows)
		s.Line("")
	}
	r.printAnonymousCases(s)
	s.Line("%s", r.summary(s))
	if r.Coverage.belowMinimum {
		s.Line("%s", s.Failure("less than the "+r.Coverage.minimum+" % that --coverage-min requires"))
	}
}

// printAnonymousCases lists cases that passed as denied although anonymous requests are
// allowed there, because such a case proves little.
func (r testReport) printAnonymousCases(s *cli.Printer) {
	const limit = 3
	var cases []string
	for _, c := range r.Cases {
		if c.anonymousAllowed {
			cases = append(cases, c.Case)
		}
	}
	if len(cases) == 0 {
		return
	}
	where := text.JoinFew(cases, ", ", limit)
	s.Line("%s passed as denied, but no login is needed there, so signed-in users are allowed as anonymous requests: %s",
		s.Warn(cli.Plural(len(cases), "case")), where)
}

// print shows a case that failed.
func (c caseReport) print(s *cli.Printer) {
	const margin = "    " // below FAIL
	s.Line("%s  %s: %s", s.Failure("FAIL"), c.Case, c.Failure)
	var rows [][]string
	if c.Name != "" {
		rows = append(rows, []string{margin, "case", c.Name})
	}
	rows = append(rows, []string{margin, "who", strings.Join(c.Who, " + ")},
		[]string{margin, "asks", strings.TrimSpace(c.Method + " " + c.Target)})
	if c.Row != "" {
		rows = append(rows, []string{margin, "got", c.Decision + " by " + c.Rule + ": " + c.Row})
	} else {
		rows = append(rows, []string{margin, "got", c.Decision + ": " + c.Reason})
	}
	want := c.Expect
	if want == expectOnly {
		want += " these subjects"
	}
	if c.ExpectRule != "" {
		want += " by " + c.ExpectRule
	}
	rows = append(rows, []string{margin, "want", want})
	if c.note != "" {
		rows = append(rows, []string{margin, "note", c.note})
	}
	if c.Explain != "" {
		rows = append(rows, []string{margin, "why", s.Dim(c.Explain)})
	}
	s.Table(rows)
	s.Line("")
}

func (r testReport) summary(s *cli.Printer) string {
	failed := fmt.Sprintf("%d failed", r.Failed)
	if r.Failed > 0 {
		failed = s.Failure(failed)
	} else {
		failed = s.Success(failed)
	}
	c := r.Coverage
	return fmt.Sprintf("%s, %s; %d of %s decided a case (%s %%)",
		cli.Plural(len(r.Cases), "case"), failed, c.Covered, cli.Plural(c.Rows, "row"),
		strconv.FormatFloat(c.Percent, 'f', -1, 64))
}

// annotations show the cases that failed, at their lines.
func (r testReport) annotations() []render.Annotation {
	var all []render.Annotation
	for _, c := range r.Cases {
		if c.Passed {
			continue
		}
		got := c.Reason
		if c.Row != "" {
			got = c.Rule + ": " + c.Row
		}
		text := fmt.Sprintf("%s: %s (%s)\n%s: %s", strings.Join(c.Who, " + "), strings.TrimSpace(c.Method+" "+c.Target),
			c.Failure, c.Decision, got)
		all = append(all, render.Annotation{Level: "error", File: c.file, Line: c.line, Title: c.Name, Text: text})
	}
	if r.Coverage.belowMinimum {
		text := fmt.Sprintf("%d of %s decided a case, less than %s %%", r.Coverage.Covered,
			cli.Plural(r.Coverage.Rows, "row"), r.Coverage.minimum)
		all = append(all, render.Annotation{Level: "error", Title: "coverage", Text: text})
	}
	return all
}

// junit gives a test for each case and, where a minimum is set, one for the coverage.
func (r testReport) junit() []render.JUnitTest {
	var tests []render.JUnitTest
	for _, c := range r.Cases {
		tests = append(tests, c.junit())
	}
	if r.Coverage.minimum != "0" {
		tests = append(tests, r.Coverage.junit())
	}
	return tests
}

func (c caseReport) junit() render.JUnitTest {
	who := strings.Join(c.Who, " + ")
	j := render.JUnitTest{
		Suite: c.file, Name: who + " " + c.Method + " " + c.Target + ": " + c.Expect, ClassName: c.file,
		File: c.file, Line: c.line,
	}
	if c.Name != "" {
		j.Name = c.Name + ": " + j.Name
	}
	if !c.Passed {
		var text strings.Builder
		c.print(cli.NewPrinter(&text))
		j.Failure = &render.JUnitFailure{Message: c.Case + ": " + c.Failure, Type: "decision", Text: text.String()}
	}
	return j
}

func (c coverageReport) junit() render.JUnitTest {
	j := render.JUnitTest{
		Suite: "coverage", Name: "at least " + c.minimum + " % of the rows decide a case",
		ClassName: "coverage",
	}
	if !c.belowMinimum {
		return j
	}
	var text strings.Builder
	for _, u := range c.Untested {
		fmt.Fprintf(&text, "%s: %s\n", u.Rule, u.Row)
	}
	j.Failure = &render.JUnitFailure{Message: fmt.Sprintf("%d of %s decided a case", c.Covered,
		cli.Plural(c.Rows, "row")), Type: "coverage", Text: text.String()}
	return j
}
