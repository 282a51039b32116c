package lint

import (
	"cmp"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
)

// checkMembers finds roles with rows that no subject holds.
func (l *linter) checkMembers() {
	var members []string
	for _, g := range l.Grants() {
		if !isRole(g.Member) {
			members = append(members, g.Member)
		}
	}
	heldRoles := l.graph.ImplicitRoles(members)
	var names []string
	for _, name := range heldRoles.Names() {
		if isRole(name) {
			names = append(names, name)
		}
	}
	reported := policy.StringSet{}
	for _, row := range l.Rows() {
		if !isRole(row.Subject) || heldRoles.Has(row.Subject) || reported.Has(row.Subject) {
			continue
		}
		reported[row.Subject] = struct{}{}
		l.addRow(roleWithoutMembers, row, "no subject holds "+row.Subject+", so its rows say nothing",
			cmp.Or(policy.SuggestRole(row.Subject, names), "add g, GROUP, "+row.Subject+", or delete its rows"))
	}
}

// checkRedundantGrants finds g rows without which the member would hold the role, too.
func (l *linter) checkRedundantGrants() {
	cache := map[string]policy.ReachableSet{}
	for i, g := range l.Grants() {
		direct := []string{g.Member}
		if !isRole(g.Member) {
			direct = policy.DirectSubjectsOf(g.Member)
		}
		if other, found := l.otherGrant(i, direct, cache); found {
			l.add(redundantGrant, g.MemberAt, g.Member+" holds "+g.Role+" anyway, by "+other.Where(), "delete the row")
		}
	}
}

// otherGrant finds a grant of one of the starts, but for the i-th, that leads to the
// role of the i-th.
func (l *linter) otherGrant(i int, direct []string, cache map[string]policy.ReachableSet) (policy.Grant, bool) {
	role := l.Grants()[i].Role
	for _, name := range direct {
		for _, n := range l.graph.GrantsOfMember(name) {
			if l.budget--; l.budget < 0 {
				return policy.Grant{}, false
			}
			other := l.Grants()[n]
			if n == i {
				continue
			}
			if other.Role == role {
				return other, true
			}
			r, known := cache[other.Role]
			if !known {
				r = l.graph.ImplicitRoles([]string{other.Role})
				cache[other.Role] = r
			}
			if r.Has(role) {
				return other, true
			}
		}
	}
	return policy.Grant{}, false
}

// checkRegistered finds methods that no registry knows.
func (l *linter) checkRegistered() {
	for _, row := range l.Rows() {
		if row.Methods == policy.AnyMethod || l.ineffective[row] {
			continue
		}
		for m := range strings.SplitSeq(row.Methods, policy.MethodSeparator) {
			if isServedMethod(m) && !strings.Contains(policy.RegisteredMethods, " "+m+" ") {
				l.addRow(unknownMethod, row, "method "+m+" is not a registered one; is it meant?",
					fault.DidYouMean(m, strings.Fields(policy.RegisteredMethods)))
			}
		}
	}
}
