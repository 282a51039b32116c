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
func (l Link) Where() string { return lineOf(l.at) }

// Chain gives the fewest g rows that lead from a subject to a role, in the order
// in which they are followed; of equally short chains, the one that comes first
// in the files. Where the subject is a group, the chain may begin at ORG:*, that of
// a user at user:*@DOMAIN, and that of anybody but system:anonymous and a role at system:authenticated: the
// first Member says so. It is empty where none leads there or none is needed.
func (s *Snapshot) Chain(subject, role string) []Link {
	return newWays(s.grants).from(startsOf(subject)).to(role)
}

// startsOf gives what a subject is by its name alone, before any g row.
func startsOf(subject string) []string {
	starts := []string{subject}
	if strings.HasPrefix(subject, rolePrefix) || subject == anonymous {
		return starts
	}
	if domain := domainSubject(subject); domain != "" && domain != subject {
		starts = append(starts, domain)
	}
	if !reserved(subject) {
		starts = append(starts, organisationsOf(subject)...)
	}
	return append(starts, authenticated)
}

// organisationsOf gives the subjects ORG:* that stand for a group.
func organisationsOf(group string) []string {
	var organisations []string
	for i := range len(group) - 1 {
		if everyone := group[:i+1] + "*"; group[i] == ':' && everyone != group {
			organisations = append(organisations, everyone)
		}
	}
	return organisations
}

// ways are g rows, made to be walked. Whoever asks for many chains keeps them.
type ways struct {
	grants []grant
	up     map[string][]int // member → its grants
	down   map[string][]int // role → its grants
}

func newWays(grants []grant) ways {
	w := ways{grants, make(map[string][]int, len(grants)), make(map[string][]int, len(grants))}
	for i, g := range grants {
		w.up[g.member] = append(w.up[g.member], i)
		w.down[g.role] = append(w.down[g.role], i)
	}
	return w
}

// reach is what some subjects come to: themselves, and each role that they hold.
type reach struct {
	grants []grant
	order  []string       // nearest first
	via    map[string]int // name → the grant that leads to it, or start
}

const start = -1

// from walks up from some subjects: to the roles that they hold.
func (w ways) from(subjects []string) reach {
	return w.walk(subjects, w.up, func(g grant) string { return g.role })
}

// into walks down from some subjects: to all members who hold one of them.
func (w ways) into(subjects []string) reach {
	return w.walk(subjects, w.down, func(g grant) string { return g.member })
}

func (w ways) walk(subjects []string, grantsOf map[string][]int, next func(grant) string) reach {
	r := reach{w.grants, nil, map[string]int{}}
	add := func(name string, via int) {
		if _, known := r.via[name]; !known {
			r.via[name] = via
			r.order = append(r.order, name)
		}
	}
	for _, name := range subjects {
		add(name, start)
	}
	for i := 0; i < len(r.order); i++ { // it grows meanwhile
		for _, g := range grantsOf[r.order[i]] {
			add(next(w.grants[g]), g)
		}
	}
	return r
}

func (r reach) has(name string) bool {
	_, ok := r.via[name]
	return ok
}

// to gives the chain that leads up to a name.
func (r reach) to(name string) []Link {
	var chain []Link
	for i, ok := r.via[name]; ok && i != start; i, ok = r.via[name] {
		g := r.grants[i]
		chain = append(chain, Link{g.member, g.role, g.memberAt})
		name = g.member
	}
	slices.Reverse(chain)
	return chain
}
