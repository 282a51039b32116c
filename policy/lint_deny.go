package policy

import (
	"fmt"
	"slices"
	"strings"
)

// denies looks at what each deny takes away, and from whom.
func (l *linter) denies() {
	for _, row := range l.rows {
		if row.Effect != Deny || l.useless[row] {
			continue
		}
		met := l.meeting(row)
		if len(met) == 0 {
			if l.budget >= 0 {
				l.useless[row] = true
				l.addRow(idleDeny, row, "the deny takes nothing away: no row allows any of it to anybody it could bind",
					"delete it; what no row allows is denied anyway")
			}
			continue
		}
		l.inheritors(row, met)
	}
}

// meeting gives the allow rows that a deny could take something from, in the
// order of the files.
func (l *linter) meeting(deny *Row) []*Row {
	var met []*Row
	for allow := range l.allows.near(deny.Path) {
		if l.budget--; l.budget < 0 {
			break
		}
		if l.mayMeet(deny.Subject, allow.Subject) && overlapsRow(deny, allow) {
			met = append(met, allow)
		}
	}
	slices.SortFunc(met, func(a, b *Row) int { return l.rank[a] - l.rank[b] })
	return met
}

// victim is a subject that a deny locks out without naming it.
type victim struct {
	name  string
	allow *Row // the first row that lets it in where the deny does not
}

// inheritors reports who else a deny binds: roles that hold its subject, and for
// what everybody holds, all who are allowed more than everybody.
func (l *linter) inheritors(deny *Row, met []*Row) {
	wide := l.isWide(deny.Subject)
	holders := l.holdersOf(deny.Subject)
	everyones := l.signedIn.has(deny.Subject)
	everyones = everyones || slices.ContainsFunc(holders, isEveryone)
	if !wide && !everyones && !slices.ContainsFunc(holders[1:], isRole) {
		return // most denies: nobody inherits them
	}
	var victims []victim
	seen := subjects{}
	lose := func(name string, allow *Row) {
		if !seen.has(name) && name != deny.Subject {
			seen[name] = struct{}{}
			victims = append(victims, victim{name, allow})
		}
	}
	own := l.heldBy(deny.Subject)
	for _, allow := range met {
		subject := allow.Subject
		switch {
		case own.has(subject): // the deny is an exception from it
		case l.heldBy(subject).has(deny.Subject):
			if isRole(subject) || !l.grantedTo(subject, deny.Subject) {
				lose(subject, allow)
			}
		default:
			l.bothHeld(subject, deny.Subject, everyones || wide, func(member string) { lose(member, allow) })
		}
	}
	if len(victims) == 0 {
		return
	}
	code, mend := denyInherited, "do not allow it to "+deny.Subject+" in the first place, or deny it in a role that "+victims[0].name+" does not hold"
	if wide {
		code, mend = denyEverybody, "if that is not meant, name those who shall be denied"
	}
	l.addRow(code, deny, "the deny also binds "+l.tell(deny.Subject, victims), mend)
}

// bothHeld finds roles that inherit both subjects and, where everybody holds the
// denied one, groups that hold the allowed one.
func (l *linter) bothHeld(allowed, denied string, everyones bool, lose func(member string)) {
	for _, member := range l.holdersOf(allowed)[1:] {
		if l.budget--; l.budget < 0 {
			return
		}
		if !isRole(member) && (!everyones || l.grantedTo(member, denied)) {
			continue // whoever wrote that row knew what the member gets
		}
		if l.heldBy(member).has(denied) {
			lose(member)
		}
	}
}

// grantedTo reports whether g rows that name a subject itself lead to a role.
func (l *linter) grantedTo(subject, role string) bool {
	return l.ways.from([]string{subject}).has(role)
}

// tell names the first few victims: who, by which g row, and what they lose.
func (l *linter) tell(denied string, victims []victim) string {
	const most = 3
	var said []string
	for _, v := range victims[:min(most, len(victims))] {
		how := ""
		if chain := l.heldBy(v.name).to(denied); len(chain) > 0 {
			first := chain[0]
			how = " (" + first.Member + " holds " + first.Role + " by " + first.Where() + ")"
		}
		said = append(said, fmt.Sprintf("%s, which %s allows it%s", v.name, v.allow.Where(), how))
	}
	text := strings.Join(said, "; ")
	if more := len(victims) - most; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

func isRole(name string) bool { return strings.HasPrefix(name, rolePrefix) }

// isWide tells subjects that stand for all who come from somewhere.
func (l *linter) isWide(subject string) bool {
	return subject == authenticated || isEveryone(subject)
}
