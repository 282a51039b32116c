package policy

import (
	"slices"

	"github.com/example-org/authgate/fault"
)

// Link is one step of a chain from a subject to a role: one g row.
type Link struct {
	Member, Role string

	at fault.Position
}

// Where names the g row as people look for it: policy.csv:7.
func (l Link) Where() string { return l.at.FileLine() }

// Chain gives the fewest g rows that lead from a subject to a role, in the order
// in which they are followed; of equally short chains, the one that comes first
// in the files. Where the subject is a group, the chain may begin at ORG:*, that of
// a user at user:*@DOMAIN, and that of any subject but system:anonymous and a role at system:authenticated: the
// first Member says so. It is empty where none leads there or none is needed.
func (s *Snapshot) Chain(subject, role string) []Link {
	return NewRoleGraph(s.grants).ImplicitRoles(DirectSubjectsOf(subject)).ChainTo(role)
}

// DirectSubjectsOf gives what a subject is by its name alone, before any g row.
func DirectSubjectsOf(subject string) []string {
	direct := []string{subject}
	if ParseSubject(subject).Kind == KindRole || subject == Anonymous {
		return direct
	}
	if domain := DomainSubject(subject); domain != "" && domain != subject {
		direct = append(direct, domain)
	}
	if ParseSubject(subject).Kind == KindGroup {
		direct = append(direct, OrgWildcardsOf(subject)...)
	}
	return append(direct, Authenticated)
}

// OrgWildcardsOf gives the subjects ORG:* that stand for a group.
func OrgWildcardsOf(group string) []string {
	var organisations []string
	for i := range len(group) - 1 {
		if wildcard := group[:i+1] + "*"; group[i] == ':' && wildcard != group {
			organisations = append(organisations, wildcard)
		}
	}
	return organisations
}

// RoleGraph is the g rows of a policy, for questions about who holds which role. A caller
// with several questions builds it once.
type RoleGraph struct {
	grants   []Grant
	byMember map[string][]int // member → its grants
	byRole   map[string][]int // role → its grants
}

// NewRoleGraph indexes g rows.
func NewRoleGraph(grants []Grant) RoleGraph {
	w := RoleGraph{grants, make(map[string][]int, len(grants)), make(map[string][]int, len(grants))}
	for i, g := range grants {
		w.byMember[g.Member] = append(w.byMember[g.Member], i)
		w.byRole[g.Role] = append(w.byRole[g.Role], i)
	}
	return w
}

// ReachableSet is what some subjects come to: themselves, and each role that they hold.
type ReachableSet struct {
	grants []Grant
	names  []string       // nearest first
	via    map[string]int // name → the grant that leads to it, or start
}

// noGrant is the grant of a subject that the walk began at.
const noGrant = -1

// Grant is the g row with an index: its place in [Snapshot.Grants].
func (rg RoleGraph) Grant(index int) Grant { return rg.grants[index] }

// GrantsOfMember gives the indexes of the g rows that grant a member roles.
func (rg RoleGraph) GrantsOfMember(member string) []int { return rg.byMember[member] }

// GrantsOfRole gives the indexes of the g rows that grant a role.
func (rg RoleGraph) GrantsOfRole(role string) []int { return rg.byRole[role] }

// ImplicitRoles walks up from some subjects: to the roles that they hold.
func (rg RoleGraph) ImplicitRoles(subjects []string) ReachableSet {
	return rg.traverse(subjects, rg.byMember, func(g Grant) string { return g.Role })
}

// ImplicitMembers walks down from some subjects: to all members who hold one of them.
func (rg RoleGraph) ImplicitMembers(subjects []string) ReachableSet {
	return rg.traverse(subjects, rg.byRole, func(g Grant) string { return g.Member })
}

func (rg RoleGraph) traverse(subjects []string, grantsOf map[string][]int, next func(Grant) string) ReachableSet {
	r := ReachableSet{rg.grants, nil, map[string]int{}}
	add := func(name string, via int) {
		if _, seen := r.via[name]; !seen {
			r.via[name] = via
			r.names = append(r.names, name)
		}
	}
	for _, name := range subjects {
		add(name, noGrant)
	}
	for i := 0; i < len(r.names); i++ { // it grows meanwhile
		for _, g := range grantsOf[r.names[i]] {
			add(next(rg.grants[g]), g)
		}
	}
	return r
}

// Names gives the set, nearest first. The caller must not change it.
func (r ReachableSet) Names() []string { return r.names }

// GrantTo gives the index of the g row that leads to a name, and false for a subject that
// the walk began at and for a name that is not in the set.
func (r ReachableSet) GrantTo(name string) (index int, ok bool) {
	index, ok = r.via[name]
	return index, ok && index != noGrant
}

// Has reports whether a name is in the set.
func (r ReachableSet) Has(name string) bool {
	_, ok := r.via[name]
	return ok
}

// ChainTo gives the chain that leads up to a name.
func (r ReachableSet) ChainTo(name string) []Link {
	var chain []Link
	for i, ok := r.GrantTo(name); ok; i, ok = r.GrantTo(name) {
		g := r.grants[i]
		chain = append(chain, Link{g.Member, g.Role, g.MemberAt})
		name = g.Member
	}
	slices.Reverse(chain)
	return chain
}
