package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
)

func TestADecisionAllocatesNothing(t *testing.T) {
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, "p, o:%d, u, /a/*/**, GET, allow\np, o:%d, *, /a/b*/%d, POST, deny\n", i, i, i)
	}
	s := policytest.Load(t, many.String())
	enableCrossCheck(s)
	for _, identity := range []policy.Identity{{}, {Groups: []string{"o:1"}}, {Groups: []string{"o:1", "o:100", "o:200", "o:299", "x:y"}}} {
		for _, raw := range []string{"/", "/a/bc/7", "/a/" + strings.Repeat("very-long-segment-", 20) + "/x", strings.Repeat("/a", 2000)} {
			q := policy.Request{Roles: s.Resolve(identity), Upstream: "u", Path: policytest.Path(t, raw), Method: "POST"}
			if n := testing.AllocsPerRun(100, func() { s.Decide(q) }); n != 0 {
				t.Errorf("%+v: %.20s: %v allocations", identity, raw, n)
			}
		}
	}
}

// parting gives 2^depth rows whose patterns part at every segment.
func parting(depth int) string {
	rows := []string{""}
	for range depth {
		var longer []string
		for _, row := range rows {
			longer = append(longer, row+"/a", row+"/*")
		}
		rows = longer
	}
	for i, row := range rows {
		rows[i] = "p, x, u, " + row + ", GET, allow"
	}
	return strings.Join(rows, "\n")
}

func TestPatternsThatPartTooOftenAreRefused(t *testing.T) {
	t.Parallel()
	policytest.Load(t, parting(7))
	_, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(parting(9))}}, nil)
	var faults fault.Faults
	if !errors.As(err, &faults) || len(faults) < 2 || len(faults) > 10 {
		t.Fatalf("got %v", err)
	}
	for _, f := range faults {
		if f.File != "policy.csv" || f.Line == 0 || !strings.Contains(f.Message, "overlap") || f.Hint == "" {
			t.Errorf("fault %v", f)
		}
	}
}

func TestPatternsThatDoNotMeetMayBeMany(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "p, x, u, /%d/*/b*/**, GET, allow\np, x, *, /a/%d, GET, allow\n", i, i)
	}
	s := policytest.Load(t, text.String())
	if got := policytest.DecisionText(policytest.Ask(t, s, policy.Identity{Groups: []string{"x"}}, "GET u:/2999/x/bcd/y")); got != "allow policy.csv:5999" {
		t.Error(got)
	}
}

func TestRowsOfEveryUpstreamCountToTheBound(t *testing.T) {
	t.Parallel()
	half := parting(8)
	policytest.Load(t, half)
	both := half + "\n" + strings.ReplaceAll(half, ", u,", ", *,")
	if _, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(both)}}, nil); err == nil {
		t.Error("twice as many patterns are not refused")
	}
	apart := half + "\n" + strings.ReplaceAll(half, ", u,", ", v,")
	policytest.Load(t, apart)
}

func TestGlobsOfOneSegmentCountToTheBound(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&text, "p, x, u, /team-%d-*, GET, allow\n", i)
	}
	if _, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(text.String())}}, nil); err == nil {
		t.Error("1100 globs at one segment are not refused")
	}
}

func TestMoreMethodsThanCanBeToldApartAreRefused(t *testing.T) {
	t.Parallel()
	methods := func(n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "p, x, u, /%d, M%d, allow\n", i, i)
		}
		return text.String()
	}
	s := policytest.Load(t, methods(62)) // and HEAD
	for _, method := range []string{"M0", "M61"} {
		for i := range 62 {
			want := method == fmt.Sprintf("M%d", i)
			if got := policytest.Ask(t, s, policy.Identity{Groups: []string{"x"}}, fmt.Sprintf("%s u:/%d", method, i)).Allowed(); got != want {
				t.Errorf("%s /%d: %t", method, i, got)
			}
		}
	}
	want := `policy.csv:63:1: method "M62" is one more than the 63 that a policy can tell apart (HEAD is one of them); write * where every method is meant`
	if _, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(methods(63))}}, nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestManySubjectsOnOnePattern(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	const n = 1000
	for i := range n {
		effect := "allow"
		if i%7 == 0 {
			effect = "deny"
		}
		fmt.Fprintf(&text, "p, o:%d, u, /a, GET, %s\n", i, effect)
	}
	s := policytest.Load(t, text.String())
	for i := range n {
		for _, other := range []int{(i + 1) % n, (i + 64) % n, (i * 31) % n, n - 1 - i} {
			identity := policy.Identity{Groups: []string{fmt.Sprintf("o:%d", i), fmt.Sprintf("o:%d", other)}}
			want := ""
			switch low, high := min(i, other), max(i, other); {
			case low%7 == 0:
				want = fmt.Sprintf("deny policy.csv:%d", low+1)
			case high%7 == 0:
				want = fmt.Sprintf("deny policy.csv:%d", high+1)
			default:
				want = fmt.Sprintf("allow policy.csv:%d", low+1)
			}
			if got := policytest.DecisionText(policytest.Ask(t, s, identity, "GET u:/a")); got != want {
				t.Fatalf("%v: %s, want %s", identity.Groups, got, want)
			}
		}
	}
}
