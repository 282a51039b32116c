package cases_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/cases"
	"github.com/example-org/authgate/policy/policytest"
)

const tested = `g, example-org:ops, role:operator
g, role:operator, role:viewer
g, example-org:dev, role:viewer
g, system:authenticated, role:guest
p, role:viewer, argocd, /**, GET, allow
p, role:viewer, argocd, /terminal, *, deny
p, role:guest, docs, /, GET, allow
p, system:anonymous, hook, /**, POST, allow
`

// fails runs one case of a table and gives the sentence that it fails with.
func fails(t *testing.T, s *policy.Snapshot, row string) cases.Outcome {
	t.Helper()
	outcomes, _ := cases.Run(s, readCases(t, "c.csv", header+row))
	return outcomes[0]
}

func TestACaseFailsWhenThePolicyAnswersOtherwise(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, tested)
	for row, want := range map[string]string{
		"example-org:ops, GET, argocd:/x, allow":   "",
		"example-org:ops, POST, argocd:/x, deny":   "",
		"example-org:ops, POST, argocd:/x, allow":  "expected allow, got deny",
		"example-org:ops, GET, argocd:/x, deny":    "expected deny, got allow",
		"role:viewer, GET, argocd:/../x, deny":     "",
		"role:viewer, GET, argocd:/../x, allow":    "expected allow, got deny",
		"system:authenticated, GET, docs:/, allow": "",
		"role:viewer, GET, docs:/, deny":           "", // a role alone is not signed in
		"user:a@b, GET, docs:/, allow":             "",
		"user:*@b, GET, docs:/, allow":             "",
		"system:anonymous, GET, docs:/, deny":      "",

		// A role that no user holds proves nothing by being denied.
		"role:viewr, GET, argocd:/x, deny":             `the policy has no role:viewr; did you mean "role:viewer"?`,
		"role:viewer + role:zzzzzz, GET, docs:/, deny": "the policy has no role:zzzzzz",
		"example-org:unknown, GET, argocd:/x, deny":    "",

		// The row that decides.
		`role:viewer, GET, argocd:/x, allow, "p,role:viewer,argocd, /**, GET, allow"`:        "",
		`role:viewer, GET, argocd:/x, allow, policy.csv:5`:                                   "",
		`role:viewer, GET, argocd:/terminal, deny, policy.csv:6`:                             "",
		`role:viewer, GET, argocd:/terminal, deny, policy.csv:5`:                             "expected policy.csv:5 to decide",
		`role:viewer, GET, argocd:/x, allow, olicy.csv:5`:                                    "the policy has no row olicy.csv:5",
		`role:viewer, GET, argocd:/x, allow, policy.csv:1`:                                   "the policy has no row policy.csv:1",
		`role:viewer, GET, argocd:/x, allow, "p, role:viewer, argocd, /x, GET, allow"`:       "the policy has no row p, role:viewer, argocd, /x, GET, allow",
		`role:viewer, GET, argocd:/../x, deny, "p, role:viewer, argocd, /terminal, *, deny"`: "expected policy.csv:6 to decide",
		`role:viewer, POST, argocd:/x, deny, "p, role:viewer, argocd, /terminal, *, deny"`:   "expected policy.csv:6 to decide",
	} {
		if got := fails(t, s, row).Failure; got != want {
			t.Errorf("%s\ngot  %q\nwant %q", row, got, want)
		}
	}
}

func TestARowIsFoundByTheEndOfItsPath(t *testing.T) {
	t.Parallel()
	s, err := policy.Load([]policy.Source{{Name: "./etc/a/policy.csv", Data: []byte(tested)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range []string{"policy.csv:5", "a/policy.csv:5", "etc/a/policy.csv:5", "./etc/a/policy.csv:5"} {
		if o := fails(t, s, "role:viewer, GET, argocd:/x, allow, "+rule); !o.Passed() {
			t.Errorf("%s: %s", rule, o.Failure)
		}
	}
}

func TestAnOutcomeKnowsWhoMayWithoutALogin(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, tested+"p, example-org:dev, hook, /shut, *, deny\n")
	for row, open := range map[string]bool{
		"example-org:dev, POST, hook:/x, allow":    true,
		"example-org:dev, POST, hook:/x, deny":     true, // as expected, and yet they get through
		"example-org:dev, GET, hook:/x, allow":     false,
		"example-org:dev, POST, hook:/shut, allow": false, // a row denies
		"system:anonymous, GET, hook:/x, allow":    false,
		"example-org:dev, POST, hook:/../x, allow": false,
	} {
		o := fails(t, s, row)
		if (o.AnonymousRow != nil) != open || open && o.AnonymousRow.Where() != "policy.csv:8" {
			t.Errorf("%s: the open row is %v", row, o.AnonymousRow)
		}
	}
}

// untested gives the rows that no case of a table tests: 1 2 5.
func untested(t *testing.T, s *policy.Snapshot, rows ...string) string {
	t.Helper()
	_, c := cases.Run(s, readCases(t, "c.csv", header+strings.Join(rows, "\n")))
	var lines []string
	for _, u := range c.Untested {
		lines = append(lines, strings.TrimPrefix(u.Where, "policy.csv:"))
	}
	if c.Rows-c.Covered != len(lines) {
		t.Errorf("%d of %d rows are covered, and %d are not", c.Covered, c.Rows, len(lines))
	}
	return strings.Join(lines, " ")
}

func TestARowIsTestedWhereItTookPart(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, tested)
	for _, c := range []struct {
		want  string
		cases []string
	}{
		{"1 2 3 4 6 7 8", []string{"role:viewer, GET, argocd:/x, allow"}},
		{"1 2 3 4 6 7 8", []string{"role:viewer, GET, argocd:/x, deny"}}, // it decided, if not as expected
		{"1 3 4 6 7 8", []string{"role:operator, GET, argocd:/x, allow"}},
		{"3 4 6 7 8", []string{"example-org:ops, GET, argocd:/x, allow"}},
		{"4 6 7 8", []string{"example-org:ops + example-org:dev, GET, argocd:/x, allow"}},
		{"1 2 4 5 7 8", []string{"example-org:dev, GET, argocd:/terminal, deny"}},
		{"1 2 3 5 6 8", []string{"example-org:dev, GET, docs:/, allow"}},
		{"1 2 3 4 5 6 7", []string{"system:anonymous, POST, hook:/, allow"}},
		{"1 2 3 4 5 6 7 8", []string{"example-org:ops, POST, argocd:/x, deny", "example-org:ops, GET, argocd:/../x, deny"}},
		{"", []string{
			"example-org:ops, GET, argocd:/x, allow", "example-org:dev, GET, argocd:/terminal, deny",
			"example-org:dev, GET, docs:/, allow", "system:anonymous, POST, hook:/, allow",
		}},
	} {
		if got := untested(t, s, c.cases...); got != c.want {
			t.Errorf("%v\ngot  %q\nwant %q", c.cases, got, c.want)
		}
	}
}

func TestUntestedRowsComeInTheOrderOfTheFiles(t *testing.T) {
	t.Parallel()
	s, err := policy.Load([]policy.Source{
		{Name: "z.csv", Data: []byte("g, x:y, role:a\n\np, role:a, u, /, GET, allow\ng, x:z, role:b\n")},
		{Name: "a.csv", Data: []byte("p, role:b, u, /b, GET, allow\ng, role:b, role:a\n")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, c := cases.Run(s, nil)
	var got []string
	for _, u := range c.Untested {
		got = append(got, u.Where+" "+u.Row)
	}
	want := []string{
		"z.csv:1 g, x:y, role:a", "z.csv:3 p, role:a, u, /, GET, allow", "z.csv:4 g, x:z, role:b",
		"a.csv:1 p, role:b, u, /b, GET, allow", "a.csv:2 g, role:b, role:a",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCoverageIsNeverRoundedUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		covered, rows int
		percent       float64
		minimum       string
		reaches       bool
	}{
		{9999, 10000, 99.9, "99.99", true},
		{9999, 10000, 99.9, "99.991", false},
		{9999, 10000, 99.9, "100", false},
		{10000, 10000, 100, "100", true},
		{2, 3, 66.6, "66.666", true},
		{2, 3, 66.6, "66.667", false},
		{0, 5, 0, "0", true},
		{0, 5, 0, "0.001", false},
		{17, 20, 85, "85", true},
	} {
		minimum, _ := new(big.Rat).SetString(c.minimum)
		got := cases.Coverage{Rows: c.rows, Covered: c.covered}
		if got.Percent() != c.percent || got.Reaches(minimum) != c.reaches {
			t.Errorf("%d of %d: %v %%, at least %s: %v", c.covered, c.rows, got.Percent(), c.minimum, got.Reaches(minimum))
		}
	}
}

// A g row without which the same row would not have decided surely took part, and
// one took part only if it leads from who asked to the row that decided: taking
// away all the others changes no answer.
func TestOnlyCoveredRowsAreNeeded(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(4, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	tried := 0
	for range 3000 {
		var rows []string
		for i := range 3 + random.IntN(8) {
			role := random.IntN(3)
			member := pick("x:a", "x:b", "x:*", "user:u@v", "system:authenticated", fmt.Sprint("role:r", role+1+random.IntN(2)))
			if i%2 == 0 {
				rows = append(rows, fmt.Sprintf("p, %s, u, %s, GET, %s", pick(member, fmt.Sprint("role:r", role)), pick("/a", "/b", "/*", "/**"), pick("allow", "allow", "deny")))
			} else {
				rows = append(rows, fmt.Sprintf("g, %s, role:r%d", member, role))
			}
		}
		text := strings.Join(rows, "\n")
		s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(text)}}, nil)
		if err != nil {
			continue // no such policy
		}
		c := readCases(t, "c.csv", header+pick("x:a", "x:b + user:u@v", "x:c + x:a", "system:authenticated")+", GET, u:"+pick("/a", "/b", "/a/b")+", allow")
		outcomes, coverage := cases.Run(s, c)
		if outcomes[0].Decision.Row == nil {
			continue
		}
		var kept []string
		for i, row := range rows {
			if !slices.ContainsFunc(coverage.Untested, func(u cases.Untested) bool { return u.Where == fmt.Sprint("policy.csv:", i+1) }) {
				kept = append(kept, row)
			}
		}
		smaller, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(strings.Join(kept, "\n"))}}, nil)
		if err != nil {
			t.Fatalf("%v\n%s\nof\n%s", err, strings.Join(kept, "\n"), text)
		}
		again, all := cases.Run(smaller, c)
		if got, want := again[0].Decision.Row, outcomes[0].Decision.Row; got == nil || got.String() != want.String() {
			t.Errorf("without the rows that no case tests %v decides, and else %v:\n%s", got, want, text)
		}
		if all.Covered != all.Rows {
			t.Errorf("not all of what is covered is covered by itself:\n%s\nof\n%s", strings.Join(kept, "\n"), text)
		}
		tried++
	}
	if tried < 200 {
		t.Errorf("only %d policies were tried", tried)
	}
}
