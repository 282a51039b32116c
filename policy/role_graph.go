package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// Link is one step of a chain from a subject to a role: one g row.
type Link struct {
	Member, Role string

	at fault.Position
}

// Where names the g row as people look for it: policy.csv:7.
func (l Link) Where() string { return FileLine(l.at) }

// Chain gives the fewest g rows that lead from a subject to a role, in the order
// in which they are followed; of equally short chains, the one that comes first
// in the files. Where the subject is a group, the chain may begin at ORG:*, that of
// a user at user:*@DOMAIN, and that of anybody but system:anonymous and a role at system:authenticated: the
// first Member says so. It is empty where none leads there or none is needed.
func (s *Snapshot) Chain(subject, role string) []Link {
	return NewRoleGraph(s.Grants).ImplicitRoles(DirectSubjectsOf(subject)).ChainTo(role)
}

// DirectSubjectsOf gives what a subject is by its name alone, before any g row.
func DirectSubjectsOf(subject string) []string {
	direct := []string{subject}
	if strings.HasPrefix(subject, RolePrefix) || subject == SubjectAnonymous {
		return direct
	}
	if domain := DomainSubject(subject); domain != "" && domain != subject {
		direct = append(direct, domain)
	}
	if !IsReserved(subject) {
		direct = append(direct, OrgWildcardsOf(subject)...)
	}
	return append(direct, SubjectAuthenticated)
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

// RoleGraph are g rows, made to be walked. Whoever asks for many chains keeps them.
type RoleGraph struct {
	Grants         []Grant
	GrantsByMember map[string][]int // member → its grants
	GrantsByRole   map[string][]int // role → its grants
}

func NewRoleGraph(grants []Grant) RoleGraph {
	w := RoleGraph{grants, make(map[string][]int, len(grants)), make(map[string][]int, len(grants))}
	for i, g := range grants {
		w.GrantsByMember[g.Member] = append(w.GrantsByMember[g.Member], i)
		w.GrantsByRole[g.Role] = append(w.GrantsByRole[g.Role], i)
	}
	return w
}

// ReachableSet is what some subjects come to: themselves, and each role that they hold.
type ReachableSet struct {
	grants []Grant
	Order  []string       // nearest first
	Via    map[string]int // name → the grant that leads to it, or start
}

const NoGrant = -1

// ImplicitRoles walks up from some subjects: to the roles that they hold.
func (rg RoleGraph) ImplicitRoles(subjects []string) ReachableSet {
	return rg.traverse(subjects, rg.GrantsByMember, func(g Grant) string { return g.Role })
}

// ImplicitMembers walks down from some subjects: to all members who hold one of them.
func (rg RoleGraph) ImplicitMembers(subjects []string) ReachableSet {
	return rg.traverse(subjects, rg.GrantsByRole, func(g Grant) string { return g.Member })
}

func (rg RoleGraph) traverse(subjects []string, grantsOf map[string][]int, next func(Grant) string) ReachableSet {
	r := ReachableSet{rg.Grants, nil, map[string]int{}}
	add := func(name string, via int) {
		if _, seen := r.Via[name]; !seen {
			r.Via[name] = via
			r.Order = append(r.Order, name)
		}
	}
	for _, name := range subjects {
		add(name, NoGrant)
	}
	for i := 0; i < len(r.Order); i++ { // it grows meanwhile
		for _, g := range grantsOf[r.Order[i]] {
			add(next(rg.Grants[g]), g)
		}
	}
	return r
}

func (r ReachableSet) Has(name string) bool {
	_, ok := r.Via[name]
	return ok
}

// ChainTo gives the chain that leads up to a name.
func (r ReachableSet) ChainTo(name string) []Link {
	var chain []Link
	for i, ok := r.Via[name]; ok && i != NoGrant; i, ok = r.Via[name] {
		g := r.grants[i]
		chain = append(chain, Link{g.Member, g.Role, g.MemberAt})
		name = g.Member
	}
	slices.Reverse(chain)
	return chain
}
