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
func (l Link) Where() string { return fileLine(l.at) }

// Chain gives the fewest g rows that lead from a subject to a role, in the order
// in which they are followed; of equally short chains, the one that comes first
// in the files. Where the subject is a group, the chain may begin at ORG:*, that of
// a user at user:*@DOMAIN, and that of anybody but system:anonymous and a role at system:authenticated: the
// first Member says so. It is empty where none leads there or none is needed.
func (s *Snapshot) Chain(subject, role string) []Link {
	return newRoleGraph(s.grants).implicitRoles(directSubjectsOf(subject)).chainTo(role)
}

// directSubjectsOf gives what a subject is by its name alone, before any g row.
func directSubjectsOf(subject string) []string {
	direct := []string{subject}
	if strings.HasPrefix(subject, rolePrefix) || subject == anonymous {
		return direct
	}
	if domain := domainSubject(subject); domain != "" && domain != subject {
		direct = append(direct, domain)
	}
	if !reserved(subject) {
		direct = append(direct, orgWildcardsOf(subject)...)
	}
	return append(direct, authenticated)
}

// orgWildcardsOf gives the subjects ORG:* that stand for a group.
func orgWildcardsOf(group string) []string {
	var organisations []string
	for i := range len(group) - 1 {
		if wildcard := group[:i+1] + "*"; group[i] == ':' && wildcard != group {
			organisations = append(organisations, wildcard)
		}
	}
	return organisations
}

// roleGraph are g rows, made to be walked. Whoever asks for many chains keeps them.
type roleGraph struct {
	grants         []grant
	grantsByMember map[string][]int // member → its grants
	grantsByRole   map[string][]int // role → its grants
}

func newRoleGraph(grants []grant) roleGraph {
	w := roleGraph{grants, make(map[string][]int, len(grants)), make(map[string][]int, len(grants))}
	for i, g := range grants {
		w.grantsByMember[g.member] = append(w.grantsByMember[g.member], i)
		w.grantsByRole[g.role] = append(w.grantsByRole[g.role], i)
	}
	return w
}

// reachableSet is what some subjects come to: themselves, and each role that they hold.
type reachableSet struct {
	grants []grant
	order  []string       // nearest first
	via    map[string]int // name → the grant that leads to it, or start
}

const noGrant = -1

// implicitRoles walks up from some subjects: to the roles that they hold.
func (rg roleGraph) implicitRoles(subjects []string) reachableSet {
	return rg.traverse(subjects, rg.grantsByMember, func(g grant) string { return g.role })
}

// implicitMembers walks down from some subjects: to all members who hold one of them.
func (rg roleGraph) implicitMembers(subjects []string) reachableSet {
	return rg.traverse(subjects, rg.grantsByRole, func(g grant) string { return g.member })
}

func (rg roleGraph) traverse(subjects []string, grantsOf map[string][]int, next func(grant) string) reachableSet {
	r := reachableSet{rg.grants, nil, map[string]int{}}
	add := func(name string, via int) {
		if _, seen := r.via[name]; !seen {
			r.via[name] = via
			r.order = append(r.order, name)
		}
	}
	for _, name := range subjects {
		add(name, noGrant)
	}
	for i := 0; i < len(r.order); i++ { // it grows meanwhile
		for _, g := range grantsOf[r.order[i]] {
			add(next(rg.grants[g]), g)
		}
	}
	return r
}

func (r reachableSet) has(name string) bool {
	_, ok := r.via[name]
	return ok
}

// chainTo gives the chain that leads up to a name.
func (r reachableSet) chainTo(name string) []Link {
	var chain []Link
	for i, ok := r.via[name]; ok && i != noGrant; i, ok = r.via[name] {
		g := r.grants[i]
		chain = append(chain, Link{g.member, g.role, g.memberAt})
		name = g.member
	}
	slices.Reverse(chain)
	return chain
}
