package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
)

// admitted leaves out how many more there are.
func admitted(groups []string, _ int) []string { return groups }

func TestTheListOfAdmittedGroupsIsShort(t *testing.T) {
	t.Parallel()
	var csv strings.Builder
	csv.WriteString("p, role:r, u, /r, GET, allow\np, role:closed, u, /r, GET, deny\n")
	for i := range 50 {
		fmt.Fprintf(&csv, "g, org:%02d, role:r\n", i)
		if i%5 == 0 {
			fmt.Fprintf(&csv, "g, org:%02d, role:closed\n", i)
		}
	}
	csv.WriteString("p, org:02x, u, /r, GET, allow\n")
	s := policytest.Load(t, csv.String())
	groups, more := s.Admitted("u", policytest.Path(t, "/r"), "GET")
	want := strings.Fields("org:01 org:02 org:02x org:03 org:04 org:06 org:07 org:08 org:09 org:11")
	if !slices.Equal(groups, want) || more != 31 {
		t.Errorf("%q and %d more, want %q and 31", groups, more, want)
	}
}

// A person who is refused chooses how often to ask.
func TestARefusalCostsLittleHoweverManyGroupsThereAre(t *testing.T) {
	s := policytest.Load(t, manyGroups(10_000))
	p := policytest.Path(t, "/r")
	groups, more := s.Admitted("u", p, "GET")
	if len(groups) != 10 || more != 9990 {
		t.Errorf("%d and %d more", len(groups), more)
	}
	if n := testing.AllocsPerRun(10, func() { s.Admitted("u", p, "GET") }); n > 20 {
		t.Errorf("%v allocations", n)
	}
	every := policytest.Load(t, everyGroupItsOwn(10_000))
	if groups, _ := every.Admitted("u", p, "GET"); !slices.Equal(groups[:2], []string{"org:team-00000", "org:team-00001"}) {
		t.Errorf("%q", groups)
	}
	if n := testing.AllocsPerRun(10, func() { every.Admitted("u", p, "GET") }); n > 200 {
		t.Errorf("groups of which each has a row of its own: %v allocations", n)
	}
	if groups, more := s.Admitted("u", policytest.Path(t, "/nowhere"), "GET"); groups != nil || more != 0 {
		t.Errorf("%q and %d more", groups, more)
	}
}

func manyGroups(n int) string {
	var csv strings.Builder
	csv.WriteString("p, role:r0, u, /r, GET, allow\n")
	for i := range n {
		fmt.Fprintf(&csv, "g, org:team-%05d, role:r0\n", i)
	}
	return csv.String()
}

// everyGroupItsOwn is the worst: no two groups are alike, and each gets in.
func everyGroupItsOwn(n int) string {
	var csv strings.Builder
	for i := range n {
		fmt.Fprintf(&csv, "p, org:team-%05d, u, /r, GET, allow\n", i)
	}
	return csv.String()
}

func BenchmarkAdmitted(b *testing.B) {
	for name, csv := range map[string]string{"alike": manyGroups(10_000), "all differ": everyGroupItsOwn(10_000)} {
		b.Run(name, func(b *testing.B) {
			s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(csv)}}, nil)
			if err != nil {
				b.Fatal(err)
			}
			p := policytest.Path(b, "/r")
			b.ReportAllocs()
			for b.Loop() {
				s.Admitted("u", p, "GET")
			}
		})
	}
}
