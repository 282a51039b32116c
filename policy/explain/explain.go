// Package explain reports why a policy allows or denies one request: the subjects
// of the user, the rows that were considered, and the smallest changes to the policy
// or to the user's groups that would reverse the decision.
package explain

import (
	"cmp"
	"slices"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// Explanation is a decision with all that led to it, and what would turn it.
type Explanation struct {
	Decision policy.Decision
	Subjects []HeldSubject // what the person is, nearest first
	Unknown  []string      // groups and roles of the person that no row names, as they were given
	Rows     []RowMatch    // every p row: first the one that decides, then others that match, then near ones
	Edits    []Edit        // each turns the decision, the smallest first

	// AnonymousRow is the row that lets system:anonymous do the same: it also admits users
	// that no other row mentions, signed in or not. It is nil where
	// there is none, and where the request is anonymous.
	AnonymousRow *policy.Row
}

// HeldSubject is a subject that a user is.
type HeldSubject struct {
	Subject string
	Chain   []policy.Link // g rows that lead to it; empty where the person is it as such
}

// Explain decides as [Snapshot.Decide] does, and says why. A question that
// Decide refuses unseen (a zero path, an upstream that there is not) has neither
// rows nor edits.
//
// It is made for people: it looks at every row, and costs some thousand decisions.
func Explain(s *policy.Snapshot, identity policy.Identity, upstream string, path target.Path,
	method string,
) Explanation {
	q := policy.Request{Roles: s.Resolve(identity), Upstream: upstream, Path: path, Method: method}
	graph := policy.NewRoleGraph(s.Grants())
	direct := directSubjects(s, identity)
	reachable := graph.ImplicitRoles(direct)
	e := Explanation{Decision: s.Decide(q), Unknown: unknownNames(s, identity)}
	for _, name := range reachable.Names() {
		e.Subjects = append(e.Subjects, HeldSubject{name, reachable.ChainTo(name)})
	}
	if !s.CanDecide(q) {
		return e
	}
	if !identity.Anonymous {
		anonymousRequest := q
		anonymousRequest.Roles = s.RolesOfSubject(policy.Anonymous)
		if anonymousDecision := s.Decide(anonymousRequest); anonymousDecision.Allowed() {
			e.AnonymousRow = anonymousDecision.Row
		}
	}
	query := &rowQuery{q.Roles, upstream, path.String(), method}
	e.Rows = make([]RowMatch, len(s.Rows()))
	for i, row := range s.Rows() {
		e.Rows[i] = query.match(row, e.Decision.Effect)
	}
	slices.SortStableFunc(e.Rows, func(a, b RowMatch) int { return cmp.Compare(e.sortKey(a), e.sortKey(b)) })
	t := whatIf{
		snapshot: s, graph: graph, direct: direct, reachable: reachable, identity: identity, request: q,
		explanation: &e,
	}
	e.Edits = t.run()
	return e
}

// sortKey puts rows in the order in which they help a reader.
func (e *Explanation) sortKey(c RowMatch) int {
	switch {
	case c.Matches && c.Row == e.Decision.Row:
		return 0
	case c.Matches && c.Row.Effect == policy.Deny:
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

// MatchingRows gives the rows that match the request and have this effect.
func (e *Explanation) matchingRows(effect policy.Effect) []*policy.Row {
	var rows []*policy.Row
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

// directSubjects gives the subjects that a user is before any g row is followed, those
// that the policy names. What is most particular to the person comes first.
func directSubjects(s *policy.Snapshot, id policy.Identity) []string {
	var names []string
	add := func(name string) {
		if s.HasSubject(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if id.Anonymous {
		add(policy.Anonymous)
		return names
	}
	for _, role := range id.Roles {
		if policy.ParseSubject(role).Kind == policy.KindRole {
			add(role)
		}
	}
	user := policy.UserSubject(id.Email)
	if user != "" {
		add(user)
	}
	groups := groupsOf(id)
	for _, group := range groups {
		add(group)
	}
	if user != "" {
		add(policy.DomainSubject(user))
	}
	for _, group := range groups {
		for _, wildcard := range policy.OrgWildcardsOf(group) {
			add(wildcard)
		}
	}
	if !rolesOnly(id) {
		add(policy.Authenticated)
	}
	return names
}

// unknownNames gives the subjects of a user that the policy does not know.
func unknownNames(s *policy.Snapshot, id policy.Identity) []string {
	var unknown []string
	if id.Anonymous {
		return nil
	}
	for _, name := range slices.Concat(id.Groups, id.Roles) {
		kind := policy.ParseSubject(name).Kind
		isRole, isGroup := kind == policy.KindRole && slices.Contains(id.Roles, name), kind == policy.KindGroup
		known := s.HasSubject(name) && (isRole || isGroup) ||
			isGroup && slices.ContainsFunc(policy.OrgWildcardsOf(name), s.HasSubject)
		if !known {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// groupsOf gives the groups of a user that count.
func groupsOf(id policy.Identity) []string {
	return slices.DeleteFunc(slices.Clone(id.Groups),
		func(name string) bool { return policy.ParseSubject(name).Kind != policy.KindGroup })
}

// rolesOnly reports whether this is a user of a dry run who is roles and
// nothing else, not even signed in.
func rolesOnly(id policy.Identity) bool {
	return !id.Anonymous && id.Email == "" && len(id.Groups) == 0 && len(id.Roles) > 0
}
