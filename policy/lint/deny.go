package lint

import (
	"fmt"
	"slices"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
)

// checkDenies looks at what each deny takes away, and from whom.
func (l *linter) checkDenies() {
	for _, row := range l.Rows() {
		if row.Effect != policy.Deny || l.ineffective[row] {
			continue
		}
		overlapping := l.overlappingAllows(row)
		if len(overlapping) == 0 {
			if l.budget >= 0 {
				l.ineffective[row] = true
				l.addRow(idleDeny, row, "the deny takes nothing away: no row allows any of it to a subject it "+
					"could bind",
					"delete it; what no row allows is denied anyway")
			}
			continue
		}
		l.checkInheritors(row, overlapping)
	}
}

// overlappingAllows gives the allow rows that a deny could take something from, in the
// order of the files.
func (l *linter) overlappingAllows(deny *policy.Row) []*policy.Row {
	var overlapping []*policy.Row
	for allow := range l.allowRows.overlapCandidates(deny.Path) {
		if l.budget--; l.budget < 0 {
			break
		}
		if l.mayOverlap(deny.Subject, allow.Subject) && overlapsRow(deny, allow) {
			overlapping = append(overlapping, allow)
		}
	}
	slices.SortFunc(overlapping, func(a, b *policy.Row) int { return l.order[a] - l.order[b] })
	return overlapping
}

// affectedSubject is a subject that a deny locks out without naming it.
type affectedSubject struct {
	name  string
	allow *policy.Row // the first row that lets it in where the deny does not
}

// checkInheritors reports who else a deny binds: roles that hold its subject, and for
// what every user holds, all who are allowed more than that.
func (l *linter) checkInheritors(deny *policy.Row, overlapping []*policy.Row) {
	broad := l.isBroad(deny.Subject)
	holders := l.holdersOf(deny.Subject)
	heldByAll := l.authenticatedHolds.Has(deny.Subject)
	heldByAll = heldByAll || slices.ContainsFunc(holders, policy.IsWildcardSubject)
	if !broad && !heldByAll && !slices.ContainsFunc(holders[1:], isRole) {
		return // most denies: no role inherits them
	}
	var affected []affectedSubject
	seen := policy.StringSet{}
	addAffected := func(name string, allow *policy.Row) {
		if !seen.Has(name) && name != deny.Subject {
			seen[name] = struct{}{}
			affected = append(affected, affectedSubject{name, allow})
		}
	}
	implied := l.impliedBy(deny.Subject)
	for _, allow := range overlapping {
		subject := allow.Subject
		switch {
		case implied.Has(subject): // the deny is an exception from it
		case l.impliedBy(subject).Has(deny.Subject):
			if isRole(subject) || !l.grantedTo(subject, deny.Subject) {
				addAffected(subject, allow)
			}
		default:
			l.eachHolderOfBoth(subject, deny.Subject, heldByAll || broad,
				func(member string) { addAffected(member, allow) })
		}
	}
	if len(affected) == 0 {
		return
	}
	code, hint := denyInherited,
		"do not allow it to "+deny.Subject+" in the first place, or deny it in a "+
			"role that "+affected[0].name+" does not hold"
	if broad {
		code, hint = denyForEverybody, "if that is not meant, name the subjects to deny"
	}
	l.addRow(code, deny, "the deny also binds "+l.describeAffected(deny.Subject, affected), hint)
}

// eachHolderOfBoth finds roles that inherit both subjects and, where every user holds the
// denied one, groups that hold the allowed one.
func (l *linter) eachHolderOfBoth(allowed, denied string, heldByAll bool, report func(member string)) {
	for _, member := range l.holdersOf(allowed)[1:] {
		if l.budget--; l.budget < 0 {
			return
		}
		if !isRole(member) && (!heldByAll || l.grantedTo(member, denied)) {
			continue // the author of that row knew what the member gets
		}
		if l.impliedBy(member).Has(denied) {
			report(member)
		}
	}
}

// grantedTo reports whether g rows that name a subject itself lead to a role.
func (l *linter) grantedTo(subject, role string) bool {
	return l.graph.ImplicitRoles([]string{subject}).Has(role)
}

// describeAffected names the first few victims: who, by which g row, and what they lose.
func (l *linter) describeAffected(denied string, affected []affectedSubject) string {
	const limit = 3
	var parts []string
	for _, v := range affected {
		grantText := ""
		if chain := l.impliedBy(v.name).ChainTo(denied); len(chain) > 0 {
			first := chain[0]
			grantText = " (" + first.Member + " holds " + first.Role + " by " + first.Where() + ")"
		}
		parts = append(parts, fmt.Sprintf("%s, which %s allows it%s", v.name, v.allow.Where(), grantText))
	}
	return text.JoinFew(parts, "; ", limit)
}

func isRole(name string) bool { return policy.ParseSubject(name).Kind == policy.KindRole }

// isBroad tells subjects that stand for all who come from somewhere.
func (l *linter) isBroad(subject string) bool {
	return subject == policy.Authenticated || policy.IsWildcardSubject(subject)
}
