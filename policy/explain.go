package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// Explanation is a decision with all that led to it, and what would turn it.
type Explanation struct {
	Decision Decision
	Subjects []Held       // what the person is, nearest first
	Strange  []string     // groups and roles of the person that no row names, as they were given
	Rows     []Considered // every p row: first the one that decides, then others that match, then near ones
	Edits    []Edit       // each turns the decision, the smallest first

	// Anybody is the row that lets system:anonymous do the same: whoever no row
	// speaks of is let through by it as nobody, signed in or not. It is nil where
	// there is none, and where nobody is who asks.
	Anybody *Row
}

// Held is a subject that somebody is.
type Held struct {
	Subject string
	Chain   []Link // g rows that lead to it; empty where the person is it as such
}

// Explain decides as [Snapshot.Decide] does, and says why. A question that
// Decide refuses unseen (a zero path, an upstream that there is not) has neither
// rows nor edits.
//
// It is made for people: it looks at every row, and costs some thousand decisions.
func (s *Snapshot) Explain(who Who, upstream string, path target.Path, method string) Explanation {
	q := Request{Roles: s.Resolve(who), Upstream: upstream, Path: path, Method: method}
	ways := newWays(s.grants)
	starts := s.starts(who)
	held := ways.from(starts)
	e := Explanation{Decision: s.Decide(q), Strange: s.strange(who)}
	for _, name := range held.order {
		e.Subjects = append(e.Subjects, Held{name, held.to(name)})
	}
	if !s.concerns(q) {
		return e
	}
	if !who.Anonymous {
		nobody := q
		nobody.Roles = s.alone(anonymous)
		if open := s.Decide(nobody); open.Allowed() {
			e.Anybody = open.Rule
		}
	}
	asked := &question{q.Roles, upstream, path.String(), method}
	e.Rows = make([]Considered, len(s.rows))
	for i, row := range s.rows {
		e.Rows[i] = asked.consider(row, e.Decision.Effect)
	}
	slices.SortStableFunc(e.Rows, func(a, b Considered) int { return cmp.Compare(e.rank(a), e.rank(b)) })
	t := trial{s: s, ways: ways, starts: starts, held: held, who: who, q: q, explanation: &e}
	e.Edits = t.run()
	return e
}

// rank puts rows in the order in which they help a reader.
func (e *Explanation) rank(c Considered) int {
	switch {
	case c.Matches && c.Row == e.Decision.Rule:
		return 0
	case c.Matches && c.Row.Effect == Deny:
		return 1
	case c.Matches:
		return 2
	case !c.Near:
		return 7
	}
	switch c.off {
	case missMethod:
		return 3
	case missPath:
		return 4
	case missSubject:
		return 5
	default:
		return 6
	}
}

// matching gives the rows that speak of the question and have this effect.
func (e *Explanation) matching(effect Effect) []*Row {
	var rows []*Row
	for _, c := range e.Rows {
		if !c.Matches {
			break // they come first
		}
		if c.Row.Effect == effect {
			rows = append(rows, c.Row)
		}
	}
	return rows
}

// starts gives the subjects that somebody is before any g row is followed, those
// that the policy names. What is most particular to the person comes first.
func (s *Snapshot) starts(w Who) []string {
	var names []string
	add := func(name string) {
		if s.numbers.has(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if w.Anonymous {
		add(anonymous)
		return names
	}
	for _, role := range w.Roles {
		if strings.HasPrefix(role, rolePrefix) {
			add(role)
		}
	}
	if isEmail(w.Email) {
		add(userPrefix + lowerASCII(w.Email))
	}
	groups := groupsOf(w)
	for _, group := range groups {
		add(group)
	}
	if isEmail(w.Email) {
		add(domainSubject(userPrefix + lowerASCII(w.Email)))
	}
	for _, group := range groups {
		for _, everyTeam := range organisationsOf(group) {
			add(everyTeam)
		}
	}
	if !rolesOnly(w) {
		add(authenticated)
	}
	return names
}

// strange gives what somebody brings and the policy does not know.
func (s *Snapshot) strange(w Who) []string {
	var strange []string
	if w.Anonymous {
		return nil
	}
	for _, name := range slices.Concat(w.Groups, w.Roles) {
		isRole := strings.HasPrefix(name, rolePrefix) && slices.Contains(w.Roles, name)
		known := s.numbers.has(name) && (isRole || !reserved(name)) ||
			!reserved(name) && slices.ContainsFunc(organisationsOf(name), s.numbers.has)
		if !known {
			strange = append(strange, name)
		}
	}
	return strange
}

// groupsOf gives the groups of somebody that count.
func groupsOf(w Who) []string {
	return slices.DeleteFunc(slices.Clone(w.Groups), reserved)
}

// rolesOnly reports whether this is somebody of a dry run who is roles and
// nothing else, not even signed in.
func rolesOnly(w Who) bool {
	return !w.Anonymous && w.Email == "" && len(w.Groups) == 0 && len(w.Roles) > 0
}
