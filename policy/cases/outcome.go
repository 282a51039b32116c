package cases

import (
	"strings"

	"github.com/example-org/authgate/policy"
)

// Outcome is what came of one case.
type Outcome struct {
	Case           Case
	Decision       policy.Decision
	Failure        string      // how it is not as expected, in a sentence; empty where it is
	AnonymousRow   *policy.Row // where no row decided: the one that admits requests without a login
	ExampleRequest string      // of an invariant that does not hold: METHOD UPSTREAM:/path to try
}

// Passed reports whether the policy answers as the case expects.
func (o Outcome) Passed() bool { return o.Failure == "" }

// Run asks the policy every case, and says how much of the policy that took.
func Run(s *policy.Snapshot, cases []Case) ([]Outcome, Coverage) {
	outcomes := make([]Outcome, len(cases))
	resolved := map[string]policy.Roles{} // most cases are those of a few people
	tracker := newCoverageTracker(s.Grants())
	var invariants *invariants // made when there is one
	for i, c := range cases {
		if c.Only != nil {
			if invariants == nil {
				invariants = newInvariants(s, cases)
			}
			outcomes[i] = invariants.run(c)
			if len(c.AnyOf) > 0 {
				tracker.record(outcomes[i].Decision.Row, strings.Join(c.Subjects, "\x00"), s.Resolve(c.Identity))
			}
			continue
		}
		key := strings.Join(c.Subjects, "\x00")
		roles, known := resolved[key]
		if !known {
			roles = s.Resolve(c.Identity)
			resolved[key] = roles
		}
		outcomes[i] = runCase(s, c, roles)
		tracker.record(outcomes[i].Decision.Row, key, roles)
	}
	return outcomes, coverageOf(s, tracker)
}

func runCase(s *policy.Snapshot, c Case, roles policy.Roles) Outcome {
	q := policy.Request{Roles: roles, Upstream: c.Upstream, Path: c.Path, Method: c.Method}
	o := Outcome{Case: c, Decision: s.Decide(q)} // no, for the zero path of one that is refused
	if o.Failure = failureOf(s, c, o.Decision); o.Decision.Row != nil {
		return o
	}
	q.Roles = s.RolesOfSubject(policy.Anonymous)
	if anonymousDecision := s.Decide(q); anonymousDecision.Allowed() {
		o.AnonymousRow = anonymousDecision.Row
	}
	return o
}

func failureOf(s *policy.Snapshot, c Case, d policy.Decision) string {
	if c.Bypass != nil {
		return c.Bypass.Error()
	}
	for _, role := range c.Identity.Roles {
		if !s.HasSubject(role) { // it holds nothing, so that being denied would show nothing
			return strings.TrimSuffix("the policy has no "+role+"; "+policy.SuggestRole(role, s.RoleNames()), "; ")
		}
	}
	switch {
	case d.Effect != c.Expect:
		return "expected " + c.Expect.String() + ", got " + d.Effect.String()
	case c.Rule == "" || c.expectsRow(d.Row):
		return ""
	}
	for _, row := range s.Rows() {
		if c.expectsRow(row) {
			return "expected " + row.Where() + " to decide"
		}
	}
	return "the policy has no row " + c.Rule
}
