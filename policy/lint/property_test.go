package lint_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/lint"
	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/target"
)

// Rows that lint calls useless can all be deleted at once, and no user is decided
// otherwise.
func TestRowsThatLintCallsUselessChangeNothing(t *testing.T) {
	t.Parallel()
	useless := map[string]bool{"AG103": true, "AG104": true, "AG105": true, "AG108": true}
	r := rand.New(rand.NewPCG(5, 6))
	said, asked := map[string]int{}, 0
	for range 600 {
		text := policytest.RandomPolicy(r)
		lines := strings.Split(text, "\n")
		for _, f := range linted(text, lint.Environment{}).Findings {
			if useless[f.Code] && lines[f.At.Line-1] != "" {
				said[f.Code]++
				lines[f.At.Line-1] = ""
			}
		}
		without, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(strings.Join(lines, "\n"))}}, nil)
		if err != nil {
			continue // a role is granted that has no row any more
		}
		with := policytest.Load(t, text)
		for range 40 {
			identity, upstream, raw, method := policytest.RandomIdentity(r), policytest.Pick(r, []string{"u", "v", "w"}), policytest.RandomPath(r), policytest.Pick(r, []string{"GET", "HEAD", "POST", "PUT", "X"})
			p, err := target.Parse(raw)
			if err != nil {
				continue // the empty path
			}
			asked++
			before := with.Decide(policy.Request{Roles: with.Resolve(identity), Upstream: upstream, Path: p, Method: method})
			after := without.Decide(policy.Request{Roles: without.Resolve(identity), Upstream: upstream, Path: p, Method: method})
			if before.Effect != after.Effect {
				t.Fatalf("%+v: %s %s:%s: %s, and %s without what lint calls useless:\n%s\n\n%s", identity, method, upstream, p, policytest.DecisionText(before), policytest.DecisionText(after), text, strings.Join(lines, "\n"))
			}
		}
	}
	for code := range useless {
		if said[code] < 40 {
			t.Errorf("only %d times %s: the policies do not try it (%v)", said[code], code, said)
		}
	}
	if asked < 10_000 {
		t.Errorf("only %d questions", asked)
	}
}

// Users that a deny is said to lock out are locked out, and would be let in without it.
func TestLintNamesThoseWhomADenyLocksOut(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	checked := 0
	for range 600 {
		text := policytest.RandomPolicy(r)
		lines := strings.Split(text, "\n")
		for _, f := range linted(text, lint.Environment{}).Findings {
			if f.Code != "AG101" {
				continue
			}
			victim, rest, _ := strings.Cut(strings.TrimPrefix(f.Message, "the deny also binds "), ", which policy.csv:")
			allow, _, _ := strings.Cut(rest, " ")
			var n int
			if _, err := fmt.Sscan(allow, &n); err != nil {
				t.Fatalf("%s: %v", f.Message, err)
			}
			deny, rule := lines[f.At.Line-1], lines[n-1]
			identity := policy.Identity{Groups: []string{victim}}
			switch {
			case strings.HasPrefix(victim, "role:"): // a user to whom that role alone was granted
				identity.Groups = []string{"new:member"}
				text += "\ng, new:member, " + victim
			case strings.HasPrefix(victim, "user:"):
				identity = policy.Identity{Email: strings.TrimPrefix(victim, "user:")}
			case strings.HasSuffix(victim, ":*"):
				identity.Groups[0] = strings.TrimSuffix(victim, "*") + "unnamed"
			}
			path, method, upstream := commonRequest(t, deny, rule)
			if got := policytest.Naive(text, identity, upstream, path, method); !strings.HasPrefix(got, "deny policy.csv:") {
				t.Fatalf("%s\n%s is not locked out of %s %s:%s but %s in\n%s", f.Message, victim, method, upstream, path, got, text)
			}
			only := rule + "\n" + grantsOf(text)
			if got := policytest.Naive(only, identity, upstream, path, method); got != "allow policy.csv:1" {
				t.Fatalf("%s\n%s does not hold %s in\n%s", f.Message, victim, rule, text)
			}
			checked++
		}
	}
	if checked < 60 {
		t.Errorf("only %d denies were found", checked)
	}
}

func grantsOf(text string) string {
	var grants []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "g,") {
			grants = append(grants, line)
		}
	}
	return strings.Join(grants, "\n")
}

// meetingPlace finds a request that both rows match.
func commonRequest(t *testing.T, a, b string) (path, method, upstream string) {
	t.Helper()
	split := func(row string) []string { return strings.Split(row, ", ") }
	rowA, rowB := split(a), split(b)
	for _, upstream = range []string{"u", "v"} {
		for _, method = range []string{"GET", "HEAD", "POST", "PUT", "X"} {
			for _, path = range somePaths {
				if slices.IndexFunc([][]string{rowA, rowB}, func(row []string) bool {
					return row[2] != "*" && row[2] != upstream || !lint.MatchMethod(method, row[4]) || !target.MatchPattern(path, row[3])
				}) < 0 {
					return path, method, upstream
				}
			}
		}
	}
	t.Fatalf("no request matches both\n%s\n%s", a, b)
	return "", "", ""
}

var somePaths = pathsOf(sequences([]string{"/", "/a", "/b", "/z", "/ab", "/azb", "/azbz", "/a%2Fb", "/%3A", "/A", "/bA", "/aA", "/%3AA", "/a%2FbA", "/aza%2Fb", "/azA", "/abzb", "/azbA"}, 3))

func TestNoPolicyMakesLintSearchForLong(t *testing.T) {
	t.Parallel()
	var rows []string
	for i := range 4000 {
		effect := []string{"allow", "deny"}[i%2]
		rows = append(rows, fmt.Sprintf("p, o:%d, u, /*/x%d/**, GET, %s", i%3, i, effect))
	}
	report := linted(strings.Join(rows, "\n"), lint.Environment{})
	if report.Faults != nil {
		t.Fatalf("the loader refuses such a policy: %v", report.Faults)
	}
	if !strings.Contains(codes(report), "0:AG199") {
		t.Error("lint does not say that it gave up")
	}
	if found := codes(report); strings.Contains(found, "4000:AG105") {
		t.Error("the last deny is called idle, and was not compared with every row")
	}
}

// FuzzLint asks of any policy that loads: every finding has its line, and a
// comment above silences it and nothing else.
func FuzzLint(f *testing.F) {
	for _, seed := range []string{
		policytest.Example, policytest.EverySubject,
		"p, o:a, u, /**, GET, allow\n# authgate:ignore AG116 reason\np, o:a, u, /x, *, deny\n",
		"p, o:a, u, /v1/**, *, allow\np, o:a, u, /v1/a:b@c, *, deny\n# authgate:ignore AG104,AG105\n",
		"g, o:platform, role:a\ng, o:platfrom, role:a\np, role:a, u, /x, TRACE|GTE, allow",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1000 {
			return
		}
		report := linted(text, lint.Environment{})
		if report.Faults != nil || len(report.Findings) == 0 {
			return
		}
		first := report.Findings[0]
		if lines := strings.Split(text, "\n"); first.At.Line < 1 || first.At.Line > len(lines) || first.Line != strings.TrimSuffix(lines[first.At.Line-1], "\r") {
			t.Fatalf("%+v is not at its line in\n%s", first, text)
		}
		if first.Code >= "AG190" {
			return
		}
		lines := strings.Split(text, "\n")
		above := slices.Insert(lines, first.At.Line-1, "# authgate:ignore "+first.Code+" tried")
		silenced := linted(strings.Join(above, "\n"), lint.Environment{})
		if silenced.Ignored != report.Ignored+countAt(report, first) {
			t.Errorf("a comment for %+v silences %d findings and not %d more in\n%s", first, silenced.Ignored, report.Ignored, text)
		}
	})
}

func countAt(report lint.Report, at lint.Finding) int {
	n := 0
	for _, f := range report.Findings {
		if f.Code == at.Code && f.At.Line == at.At.Line {
			n++
		}
	}
	return n
}
