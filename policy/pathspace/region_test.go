package pathspace_test

import (
	"slices"
	"testing"

	"github.com/example-org/authgate/policy/pathspace"
	"github.com/example-org/authgate/policy/policytest"
)

func TestASetOfMethodsNamesEachOnceAndNoOther(t *testing.T) {
	t.Parallel()
	classes := []string{"GET", "HEAD", "POST", "*"}
	subset := func(of []string, bits int) []string {
		var some []string
		for i, c := range of {
			if bits>>i&1 == 1 {
				some = append(some, c)
			}
		}
		return some
	}
	for n := range 1 << len(classes) {
		among := subset(classes, n)
		for k := 1; k < 1<<len(among); k++ {
			set := pathspace.MethodsOf(subset(among, k), among)
			for _, method := range []string{"GET", "HEAD", "POST", "OTHER"} {
				class := method // the class that the method belongs to, if any
				if !slices.Contains(among, class) && class == "HEAD" && slices.Contains(among, "GET") {
					class = "GET"
				}
				if !slices.Contains(among, class) {
					class = "*"
				}
				if got, want := policytest.Covers(set, method), slices.Contains(subset(among, k), class); got != want {
					t.Errorf("%v of %v is written %s: covers %s: %v, want %v", subset(among, k), among, set, method, got, want)
				}
			}
		}
	}
	for _, c := range []struct {
		named []string
		want  string
	}{
		{[]string{"GET"}, "GET but HEAD"},
		{[]string{"GET", "HEAD"}, "GET"},
		{[]string{"GET", "HEAD", "POST"}, "GET|POST"},
		{[]string{"GET", "HEAD", "POST", "*"}, "*"},
		{[]string{"*"}, "* but GET|POST"},
		{[]string{"POST", "*"}, "* but GET"},
		{[]string{"HEAD", "POST", "*"}, "*|HEAD but GET"},
	} {
		if got := pathspace.MethodsOf(c.named, classes).String(); got != c.want {
			t.Errorf("%v reads %q, want %q", c.named, got, c.want)
		}
	}
}
