package policy

import "strings"

// Outcome is what came of one case.
type Outcome struct {
	Case           Case
	Decision       Decision
	Failure        string // how it is not as expected, in a sentence; empty where it is
	AnonymousRow   *Row   // where no row decided: the one that lets anybody through without a login
	ExampleRequest string // of an invariant that does not hold: METHOD UPSTREAM:/path to try
}

// Passed reports whether the policy answers as the case expects.
func (o Outcome) Passed() bool { return o.Failure == "" }

// Run asks the policy every case, and says how much of the policy that took.
func (s *Snapshot) Run(cases []Case) ([]Outcome, Coverage) {
	outcomes := make([]Outcome, len(cases))
	resolved := map[string]Roles{} // most cases are those of a few people
	tracker := newCoverageTracker(s.grants)
	var invariants *invariants // made when there is one
	for i, c := range cases {
		if c.Only != nil {
			if invariants == nil {
				invariants = s.newInvariants(cases)
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
		outcomes[i] = s.runCase(c, roles)
		tracker.record(outcomes[i].Decision.Row, key, roles)
	}
	return outcomes, s.coverage(tracker)
}

func (s *Snapshot) runCase(c Case, roles Roles) Outcome {
	q := Request{Roles: roles, Upstream: c.Upstream, Path: c.Path, Method: c.Method}
	o := Outcome{Case: c, Decision: s.Decide(q)} // no, for the zero path of one that is refused
	if o.Failure = s.failure(c, o.Decision); o.Decision.Row != nil {
		return o
	}
	q.Roles = s.rolesOfSubject(anonymous)
	if anonymousDecision := s.Decide(q); anonymousDecision.Allowed() {
		o.AnonymousRow = anonymousDecision.Row
	}
	return o
}

func (s *Snapshot) failure(c Case, d Decision) string {
	if c.Bypass != nil {
		return c.Bypass.Error()
	}
	for _, role := range c.Identity.Roles {
		if !s.ids.has(role) { // it holds nothing, so that being denied would show nothing
			return strings.TrimSuffix("the policy has no "+role+"; "+suggestRole(role, s.roleNames()), "; ")
		}
	}
	switch {
	case d.Effect != c.Expect:
		return "expected " + c.Expect.String() + ", got " + d.Effect.String()
	case c.Rule == "" || c.expectsRow(d.Row):
		return ""
	}
	for _, row := range s.rows {
		if c.expectsRow(row) {
			return "expected " + row.Where() + " to decide"
		}
	}
	return "the policy has no row " + c.Rule
}
