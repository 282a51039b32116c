package policy

import (
	"strings"

	"github.com/example-org/authgate/target"
)

// everybody finds rows by which all who signed in, or all of an organisation or of a mail domain, may
// change anything, or read everything.
func (l *linter) everybody() {
	for _, row := range l.rows {
		if !l.isWide(row.Subject) || !isEverything(row) || l.useless[row] {
			continue
		}
		code, mend := everybodySees, readingMend
		if writes(row.Methods) {
			code, mend = everybodyMay, "grant it to a role with members that you can name"
		}
		l.addRow(code, row, whoIsIt(row.Subject)+" may "+whatever(row), mend)
	}
	for _, g := range l.grants {
		if !l.isWide(g.member) {
			continue
		}
		if row := l.first(g.role, changesAnything); row != nil {
			l.add(everybodyMay, g.memberAt, whoIsIt(g.member)+" may "+whatever(row)+" ("+row.Where()+")", "grant "+g.role+" to groups that you can name")
		} else if row := l.first(g.role, isEverything); row != nil {
			l.add(everybodySees, g.memberAt, whoIsIt(g.member)+" may "+whatever(row)+" ("+row.Where()+")", readingMend)
		}
	}
}

const readingMend = "if a GET there does more than read, such as open a shell, allow the paths that are meant"

// nobody lists what needs no login, and warns where that is much.
func (l *linter) nobody() {
	for _, row := range l.rows {
		if row.Subject != anonymous || row.Effect != Allow || l.useless[row] {
			continue
		}
		if opensMuch(row) {
			l.addRow(wideOpen, row, "without a login, anybody may "+whatever(row), "open single paths, with the methods that they need")
			continue
		}
		l.addRow(openDoor, row, "without a login, anybody may "+whatever(row), "")
	}
	for _, g := range l.grants {
		if g.member != anonymous {
			continue
		}
		if row := l.first(g.role, opensMuch); row != nil {
			l.add(wideOpen, g.memberAt, "without a login, anybody holds "+g.role+" and may "+whatever(row)+" ("+row.Where()+")", "open single paths to system:anonymous")
			continue
		}
		l.add(openDoor, g.memberAt, "without a login, anybody holds "+g.role, "")
	}
}

// first gives the first allow row of a role, or of one that it inherits, of which
// something holds.
func (l *linter) first(role string, holds func(*Row) bool) *Row {
	held := l.ways.from([]string{role})
	for _, row := range l.rows {
		if row.Effect == Allow && held.has(row.Subject) && holds(row) && !l.useless[row] {
			return row
		}
	}
	return nil
}

func changesAnything(row *Row) bool { return isEverything(row) && writes(row.Methods) }

// isEverything takes /*/** for everything, too: it leaves out no more than the top.
func isEverything(row *Row) bool {
	return row.Effect == Allow && strings.HasSuffix(row.Path, "/"+target.AnyRest) && strings.Trim(row.Path, "/"+target.AnySegment) == ""
}

// opensMuch draws the line for what needs no login: to read all of an upstream, or
// to write below a beginning so short that it is no single service.
func opensMuch(row *Row) bool {
	stem := literalBeginning(row.Path)
	depth := strings.Count(stem, "/")
	if !strings.HasSuffix(row.Path, "/"+target.AnyRest) {
		return depth == 0 && writes(row.Methods) // /*: some star comes first
	}
	return depth == 0 || depth == 1 && writes(row.Methods)
}

// writes reports whether methods are among those that may change something (RFC
// 9110, 9.2.1; the safe ones of WebDAV are those of RFC 4918, 3253 and 5323).
func writes(methods string) bool {
	for m := range strings.SplitSeq(methods, methodSeparator) {
		switch m {
		case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		default:
			return true
		}
	}
	return false
}

func whoIsIt(subject string) string {
	if organisation, ok := strings.CutSuffix(subject, everyTeam); ok {
		return "everybody in a team of " + organisation
	}
	if domain, ok := strings.CutPrefix(subject, everyAddress); ok {
		return "everybody with a verified address of " + domain
	}
	return "everybody who signed in"
}

func whatever(row *Row) string {
	methods, where := row.Methods, row.Upstream+":"+row.Path
	if methods == anyMethod {
		methods = "use every method"
	}
	if row.Upstream == anyUpstream {
		where = row.Path + " of every upstream"
	}
	return methods + " on " + where
}
