package policy

import "strings"

// Outcome is what came of one case.
type Outcome struct {
	Case     Case
	Decision Decision
	Failure  string // how it is not as expected, in a sentence; empty where it is
	Open     *Row   // where no row decided: the one that lets anybody through without a login
	Witness  string // of an invariant that does not hold: METHOD UPSTREAM:/path to try
}

// Passed reports whether the policy answers as the case expects.
func (o Outcome) Passed() bool { return o.Failure == "" }

// Run asks the policy every case, and says how much of the policy that took.
func (s *Snapshot) Run(cases []Case) ([]Outcome, Coverage) {
	outcomes := make([]Outcome, len(cases))
	resolved := map[string]Roles{} // most cases are those of a few people
	taken := newTaken(s.grants)
	var invariants *invariants // made when there is one
	for i, c := range cases {
		if c.Only != nil {
			if invariants == nil {
				invariants = s.newInvariants(cases)
			}
			outcomes[i] = invariants.try(c)
			if len(c.AnyOf) > 0 {
				taken.note(outcomes[i].Decision.Rule, strings.Join(c.Subjects, "\x00"), s.Resolve(c.Who))
			}
			continue
		}
		asker := strings.Join(c.Subjects, "\x00")
		roles, known := resolved[asker]
		if !known {
			roles = s.Resolve(c.Who)
			resolved[asker] = roles
		}
		outcomes[i] = s.try(c, roles)
		taken.note(outcomes[i].Decision.Rule, asker, roles)
	}
	return outcomes, s.coverage(taken)
}

func (s *Snapshot) try(c Case, roles Roles) Outcome {
	q := Request{Roles: roles, Upstream: c.Upstream, Path: c.Path, Method: c.Method}
	o := Outcome{Case: c, Decision: s.Decide(q)} // no, for the zero path of one that is refused
	if o.Failure = s.failure(c, o.Decision); o.Decision.Rule != nil {
		return o
	}
	q.Roles = s.alone(anonymous)
	if open := s.Decide(q); open.Allowed() {
		o.Open = open.Rule
	}
	return o
}

func (s *Snapshot) failure(c Case, d Decision) string {
	if c.Unasked != nil {
		return c.Unasked.Error()
	}
	for _, role := range c.Who.Roles {
		if !s.numbers.has(role) { // it holds nothing, so that being denied would show nothing
			return strings.TrimSuffix("the policy has no "+role+"; "+similar(role, s.roles()), "; ")
		}
	}
	switch {
	case d.Effect != c.Expect:
		return "expected " + c.Expect.String() + ", got " + d.Effect.String()
	case c.Rule == "" || c.means(d.Rule):
		return ""
	}
	for _, row := range s.rows {
		if c.means(row) {
			return "expected " + row.Where() + " to decide"
		}
	}
	return "the policy has no row " + c.Rule
}
