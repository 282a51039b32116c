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

func TestWhoCanListsEverySubjectThatMayOrIsRefused(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 10))
	counts := map[string]int{}
	for range 60 {
		text := policytest.RandomPolicy(r)
		s := policytest.Load(t, text)
		for range 8 {
			upstream, p, method := policytest.Pick(r, []string{"u", "v", "w"}), parse(t, "/"+strings.TrimPrefix(policytest.RandomPath(r), "/")), policytest.Pick(r, everyMethod)
			identity := whoCan(t, s, upstream, p, method)
			for _, subject := range append(s.Subjects(), "system:anonymous", "system:authenticated") {
				roles := s.Resolve(compare.IdentityOf(subject))
				want := s.Decide(policy.Request{Roles: roles, Upstream: upstream, Path: p, Method: method})
				listed := slices.IndexFunc(identity.May, func(a compare.Access) bool { return a.Subject == subject })
				refused := slices.IndexFunc(identity.Refused, func(a compare.Access) bool { return a.Subject == subject })
				if (listed >= 0) != want.Allowed() || (refused >= 0) != (want.Row != nil && !want.Allowed()) {
					t.Fatalf("%s %s %s:%s: %s, and it is listed at %d and %d\n%s", subject, method, upstream, p, policytest.DecisionText(want), listed, refused, text)
				}
				if want.Row == nil {
					continue
				}
				list, at := identity.May, listed
				if at < 0 {
					list, at = identity.Refused, refused
				}
				a := list[at]
				if a.Row != want.Row || !leads(a.Chain, subject, want.Row.Subject) {
					t.Fatalf("%s comes by %v to %s, which is not %s\n%s", subject, a.Chain, a.Row, policytest.DecisionText(want), text)
				}
				if a.OverriddenRow != nil {
					counts["instead"]++
					instead := a.OverriddenRow.Effect == policy.Allow && slices.Contains(slices.Concat(roles.Names(), roles.Subjects()), a.OverriddenRow.Subject)
					if !instead || want.Allowed() {
						t.Fatalf("%s would be let in by %s\n%s", subject, a.OverriddenRow, text)
					}
				}
				counts[want.Effect.String()]++
				counts["chain"] += len(a.Chain)
			}
		}
	}
	for _, kind := range []string{"allow", "deny", "instead", "chain"} {
		if counts[kind] < 50 {
			t.Errorf("the policies do not try %s: %v", kind, counts)
		}
	}
}

// leads reports whether a chain goes from a subject, or what it is by its name,
// to another subject, without a gap.
func leads(chain []policy.Link, from, to string) bool {
	if len(chain) == 0 {
		organisation := strings.HasSuffix(to, ":*") && strings.HasPrefix(from, strings.TrimSuffix(to, "*"))
		_, domain, _ := strings.Cut(from, "@")
		return from == to || organisation || to == "user:*@"+domain || to == "system:authenticated"
	}
	for i, link := range chain[1:] {
		if link.Member != chain[i].Role {
			return false
		}
	}
	return leads(nil, from, chain[0].Member) && chain[len(chain)-1].Role == to
}

func TestARefusedSubjectIsToldWhatWouldLetItIn(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, "p, role:viewer, u, /**, GET, allow\np, role:frozen, u, /a, *, deny\ng, o:frozen, role:frozen\ng, o:frozen, role:viewer")
	identity := whoCan(t, s, "u", parse(t, "/a"), "GET")
	var got []string
	for _, a := range identity.Refused {
		line := a.Subject + " " + a.Row.Where()
		if a.OverriddenRow != nil {
			line += " instead of " + a.OverriddenRow.Where()
		}
		got = append(got, line)
	}
	want := []string{"role:frozen policy.csv:2", "o:frozen policy.csv:2 instead of policy.csv:1"}
	if !slices.Equal(got, want) {
		t.Errorf("refused: %q, want %q", got, want)
	}
}

func whoCan(t *testing.T, s *policy.Snapshot, upstream string, p target.Path, method string) compare.WhoCan {
	t.Helper()
	identity, err := compare.NewWhoCan(s, upstream, p, method)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}
