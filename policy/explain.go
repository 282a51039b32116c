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
	Subjects []HeldSubject // what the person is, nearest first
	Unknown  []string      // groups and roles of the person that no row names, as they were given
	Rows     []RowMatch    // every p row: first the one that decides, then others that match, then near ones
	Edits    []Edit        // each turns the decision, the smallest first

	// AnonymousRow is the row that lets system:anonymous do the same: whoever no row
	// speaks of is let through by it as nobody, signed in or not. It is nil where
	// there is none, and where nobody is who asks.
	AnonymousRow *Row
}

// HeldSubject is a subject that somebody is.
type HeldSubject struct {
	Subject string
	Chain   []Link // g rows that lead to it; empty where the person is it as such
}

// Explain decides as [Snapshot.Decide] does, and says why. A question that
// Decide refuses unseen (a zero path, an upstream that there is not) has neither
// rows nor edits.
//
// It is made for people: it looks at every row, and costs some thousand decisions.
func (s *Snapshot) Explain(identity Identity, upstream string, path target.Path, method string) Explanation {
	q := Request{Roles: s.Resolve(identity), Upstream: upstream, Path: path, Method: method}
	graph := newRoleGraph(s.grants)
	direct := s.directSubjects(identity)
	reachable := graph.implicitRoles(direct)
	e := Explanation{Decision: s.Decide(q), Unknown: s.unknownNames(identity)}
	for _, name := range reachable.order {
		e.Subjects = append(e.Subjects, HeldSubject{name, reachable.chainTo(name)})
	}
	if !s.canDecide(q) {
		return e
	}
	if !identity.Anonymous {
		anonymousRequest := q
		anonymousRequest.Roles = s.rolesOfSubject(anonymous)
		if anonymousDecision := s.Decide(anonymousRequest); anonymousDecision.Allowed() {
			e.AnonymousRow = anonymousDecision.Row
		}
	}
	query := &rowQuery{q.Roles, upstream, path.String(), method}
	e.Rows = make([]RowMatch, len(s.rows))
	for i, row := range s.rows {
		e.Rows[i] = query.match(row, e.Decision.Effect)
	}
	slices.SortStableFunc(e.Rows, func(a, b RowMatch) int { return cmp.Compare(e.sortKey(a), e.sortKey(b)) })
	t := whatIf{snapshot: s, graph: graph, direct: direct, reachable: reachable, identity: identity, request: q, explanation: &e}
	e.Edits = t.run()
	return e
}

// sortKey puts rows in the order in which they help a reader.
func (e *Explanation) sortKey(c RowMatch) int {
	switch {
	case c.Matches && c.Row == e.Decision.Row:
		return 0
	case c.Matches && c.Row.Effect == Deny:
		return 1
	case c.Matches:
		return 2
	case !c.NearMiss:
		return 7
	}
	switch c.mismatch {
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

// matchingRows gives the rows that speak of the question and have this effect.
func (e *Explanation) matchingRows(effect Effect) []*Row {
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

// directSubjects gives the subjects that somebody is before any g row is followed, those
// that the policy names. What is most particular to the person comes first.
func (s *Snapshot) directSubjects(id Identity) []string {
	var names []string
	add := func(name string) {
		if s.ids.has(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if id.Anonymous {
		add(anonymous)
		return names
	}
	for _, role := range id.Roles {
		if strings.HasPrefix(role, rolePrefix) {
			add(role)
		}
	}
	if isEmail(id.Email) {
		add(userPrefix + lowerASCII(id.Email))
	}
	groups := groupsOf(id)
	for _, group := range groups {
		add(group)
	}
	if isEmail(id.Email) {
		add(domainSubject(userPrefix + lowerASCII(id.Email)))
	}
	for _, group := range groups {
		for _, wildcard := range orgWildcardsOf(group) {
			add(wildcard)
		}
	}
	if !rolesOnly(id) {
		add(authenticated)
	}
	return names
}

// unknownNames gives what somebody brings and the policy does not know.
func (s *Snapshot) unknownNames(id Identity) []string {
	var unknown []string
	if id.Anonymous {
		return nil
	}
	for _, name := range slices.Concat(id.Groups, id.Roles) {
		isRole := strings.HasPrefix(name, rolePrefix) && slices.Contains(id.Roles, name)
		known := s.ids.has(name) && (isRole || !reserved(name)) ||
			!reserved(name) && slices.ContainsFunc(orgWildcardsOf(name), s.ids.has)
		if !known {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// groupStart gives the groups of somebody that count.
func groupsOf(id Identity) []string {
	return slices.DeleteFunc(slices.Clone(id.Groups), reserved)
}

// rolesOnly reports whether this is somebody of a dry run who is roles and
// nothing else, not even signed in.
func rolesOnly(id Identity) bool {
	return !id.Anonymous && id.Email == "" && len(id.Groups) == 0 && len(id.Roles) > 0
}
