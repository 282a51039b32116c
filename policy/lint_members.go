package policy

import (
	"strings"

	"github.com/example-org/authgate/fault"
)

// members finds roles with rows that nobody holds.
func (l *linter) members() {
	var somebody []string
	for _, g := range l.grants {
		if !isRole(g.member) {
			somebody = append(somebody, g.member)
		}
	}
	held := l.ways.from(somebody)
	var names []string
	for _, name := range held.order {
		if isRole(name) {
			names = append(names, name)
		}
	}
	said := subjects{}
	for _, row := range l.rows {
		if !isRole(row.Subject) || held.has(row.Subject) || said.has(row.Subject) {
			continue
		}
		said[row.Subject] = struct{}{}
		l.addRow(noMembers, row, "nobody holds "+row.Subject+", so its rows say nothing",
			orElse(similar(row.Subject, names), "add g, GROUP, "+row.Subject+", or delete its rows"))
	}
}

// redundantGrants finds g rows without which the member would hold the role, too.
func (l *linter) redundantGrants() {
	reaches := map[string]reach{}
	for i, g := range l.grants {
		starts := []string{g.member}
		if !isRole(g.member) {
			starts = startsOf(g.member)
		}
		if other, found := l.otherWay(i, starts, reaches); found {
			l.add(redundantGrant, g.memberAt, g.member+" holds "+g.role+" anyway, by "+lineOf(other.memberAt), "delete the row")
		}
	}
}

// otherWay finds a grant of one of the starts, but for the i-th, that leads to the
// role of the i-th.
func (l *linter) otherWay(i int, starts []string, reaches map[string]reach) (grant, bool) {
	role := l.grants[i].role
	for _, name := range starts {
		for _, n := range l.ways.up[name] {
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
			r, known := reaches[other.role]
			if !known {
				r = l.ways.from([]string{other.role})
				reaches[other.role] = r
			}
			if r.has(role) {
				return other, true
			}
		}
	}
	return grant{}, false
}

// methods finds methods that no registry knows.
func (l *linter) methods() {
	for _, row := range l.rows {
		if row.Methods == anyMethod || l.useless[row] {
			continue
		}
		for m := range strings.SplitSeq(row.Methods, methodSeparator) {
			if servedMethod(m) && !strings.Contains(registeredMethods, " "+m+" ") {
				l.addRow(oddMethod, row, "method "+m+" is not a registered one; is it meant?", fault.DidYouMean(m, strings.Fields(registeredMethods)))
			}
		}
	}
}
