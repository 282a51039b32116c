package policy

import (
	"strings"

	"github.com/example-org/authgate/fault"
)

// checkMembers finds roles with rows that nobody holds.
func (l *linter) checkMembers() {
	var members []string
	for _, g := range l.grants {
		if !isRole(g.member) {
			members = append(members, g.member)
		}
	}
	heldRoles := l.graph.implicitRoles(members)
	var names []string
	for _, name := range heldRoles.order {
		if isRole(name) {
			names = append(names, name)
		}
	}
	reported := stringSet{}
	for _, row := range l.rows {
		if !isRole(row.Subject) || heldRoles.has(row.Subject) || reported.has(row.Subject) {
			continue
		}
		reported[row.Subject] = struct{}{}
		l.addRow(roleWithoutMembers, row, "nobody holds "+row.Subject+", so its rows say nothing",
			orDefault(suggestRole(row.Subject, names), "add g, GROUP, "+row.Subject+", or delete its rows"))
	}
}

// checkRedundantGrants finds g rows without which the member would hold the role, too.
func (l *linter) checkRedundantGrants() {
	cache := map[string]reachableSet{}
	for i, g := range l.grants {
		direct := []string{g.member}
		if !isRole(g.member) {
			direct = directSubjectsOf(g.member)
		}
		if other, found := l.otherGrant(i, direct, cache); found {
			l.add(redundantGrant, g.memberAt, g.member+" holds "+g.role+" anyway, by "+fileLine(other.memberAt), "delete the row")
		}
	}
}

// otherGrant finds a grant of one of the starts, but for the i-th, that leads to the
// role of the i-th.
func (l *linter) otherGrant(i int, direct []string, cache map[string]reachableSet) (grant, bool) {
	role := l.grants[i].role
	for _, name := range direct {
		for _, n := range l.graph.grantsByMember[name] {
			if l.budget--; l.budget < 0 {
				return grant{}, false
			}
			other := l.grants[n]
			if n == i {
				continue
			}
			if other.role == role {
				return other, true
			}
			r, known := cache[other.role]
			if !known {
				r = l.graph.implicitRoles([]string{other.role})
				cache[other.role] = r
			}
			if r.has(role) {
				return other, true
			}
		}
	}
	return grant{}, false
}

// checkRegistered finds methods that no registry knows.
func (l *linter) checkRegistered() {
	for _, row := range l.rows {
		if row.Methods == anyMethod || l.ineffective[row] {
			continue
		}
		for m := range strings.SplitSeq(row.Methods, methodSeparator) {
			if isServedMethod(m) && !strings.Contains(registeredMethods, " "+m+" ") {
				l.addRow(unknownMethod, row, "method "+m+" is not a registered one; is it meant?", fault.DidYouMean(m, strings.Fields(registeredMethods)))
			}
		}
	}
}
