package compare_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/target"
)

// matrixPaths is all paths of up to three segments over a few that the policies of
// randomPolicy tell apart, with and without a trailing slash.
func matrixPaths() []target.Path {
	var paths []target.Path
	add := func(raw string) {
		if p, err := target.Parse(raw); err == nil {
			paths = append(paths, p)
		}
	}
	segments := []string{"a", "b", "ab", "c", "a%2Fb", "bA"}
	add("/")
	for _, one := range segments {
		add("/" + one)
		add("/" + one + "/")
		for _, two := range segments {
			add("/" + one + "/" + two)
			add("/" + one + "/" + two + "/")
			for _, three := range []string{"a", "c"} {
				add("/" + one + "/" + two + "/" + three)
			}
		}
	}
	return paths
}

var everyMethod = []string{"GET", "HEAD", "POST", "PUT", "OTHER"}

// linesFor finds what a table says of a path: the lines whose witness the rows do
// not tell apart from it.
func linesFor(text string, table compare.Table, upstream, path string) []compare.Line {
	return slices.DeleteFunc(slices.Clone(table.Lines), func(l compare.Line) bool {
		return !slices.Equal(matchingPatterns(text, upstream, path), matchingPatterns(text, upstream, l.ExamplePath))
	})
}

func matchingPatterns(text, upstream, path string) []string {
	var patterns []string
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ", ")
		if f[0] == "p" && (f[2] == upstream || f[2] == "*") && target.MatchPattern(path, f[3]) {
			patterns = append(patterns, f[3])
		}
	}
	slices.Sort(patterns)
	return slices.Compact(patterns)
}

func TestTheMatrixSaysWhatEveryRequestIsAnswered(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	paths := matrixPaths()
	counts := map[string]int{}
	for range 8 {
		text := policytest.RandomPolicy(r)
		s := policytest.Load(t, text)
		m, err := compare.NewMatrix(s, nil, append(s.Subjects(), "system:anonymous", "system:authenticated"))
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range m.Tables {
			checkOrderOfCells(t, m.Columns, table)
			upstream := strings.Replace(table.Upstream, "*", "any", 1)
			for _, p := range paths {
				lines := linesFor(text, table, upstream, p.String())
				for _, method := range everyMethod {
					said := map[string]string{}
					for _, line := range lines {
						for _, c := range line.Cells {
							if policytest.Covers(line.Methods, method) {
								if said[c.Subject] != "" {
									t.Fatalf("%s %s %s: two lines match it: %v\n%s", c.Subject, method, p, lines, text)
								}
								said[c.Subject] = policytest.DecisionText(c.Decision)
							}
						}
					}
					for _, c := range m.Columns {
						got := said[c.Subject]
						if got == "" {
							got = "deny"
						}
						want := policytest.DecisionText(s.Decide(policy.Request{Roles: s.Resolve(compare.IdentityOf(c.Subject)), Upstream: upstream, Path: p, Method: method}))
						if got != want {
							t.Fatalf("%s %s %s:%s: the matrix says %s, the policy %s\n%s", c.Subject, method, upstream, p, got, want, text)
						}
						kind, _, _ := strings.Cut(want, " ")
						counts[kind]++
					}
				}
			}
		}
	}
	if counts["allow"] < 5_000 || counts["deny"] < 5_000 {
		t.Errorf("the policies do not try it: %v", counts)
	}
}

// checkOrderOfCells: cells stand in the order of the columns, so that both can be
// read side by side.
func checkOrderOfCells(t *testing.T, columns []compare.Column, table compare.Table) {
	t.Helper()
	number := map[string]int{}
	for i, c := range columns {
		number[c.Subject] = i
	}
	for _, line := range table.Lines {
		if !slices.IsSortedFunc(line.Cells, func(a, b compare.Cell) int { return number[a.Subject] - number[b.Subject] }) {
			t.Fatalf("%s:%s: the cells %v are not in the order of the columns", table.Upstream, line.Path, line.Cells)
		}
	}
}

func TestAUserWhoDiffersFromTheirRolesHasAColumn(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `p, role:viewer, u, /**, GET, allow
p, role:frozen, u, /a, *, deny
p, user:me@x, u, /mine, PUT, allow
g, o:plain, role:viewer
g, o:mixed, role:viewer
g, o:mixed, role:frozen
g, o:frozen, role:frozen
`)
	m, err := compare.NewMatrix(s, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range m.Columns {
		got = append(got, c.Subject+"="+strings.Join(c.Members, "+"))
	}
	want := []string{"role:frozen=o:frozen+o:mixed", "role:viewer=o:mixed+o:plain", "o:mixed=", "user:me@x="}
	if !slices.Equal(got, want) {
		t.Errorf("columns %q, want %q", got, want)
	}
}

func TestTheMatrixHasAPartForUpstreamsThatNoRowNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		known []string
		want  string
	}{
		{"p, a, u, /, GET, allow", nil, "u"},
		{"p, a, v, /, GET, allow\np, a, *, /b, GET, allow\np, a, u, /, GET, allow", nil, "u v *"},
		{"p, a, v, /, GET, allow\np, a, *, /b, GET, allow", []string{"w", "v"}, "v w"},
	} {
		m, err := compare.NewMatrix(policytest.Load(t, c.text), c.known, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, table := range m.Tables {
			got = append(got, table.Upstream)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("upstreams %q, want %s", got, c.want)
		}
	}
}
