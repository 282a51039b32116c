package policy

import (
	"strings"

	"github.com/example-org/authgate/target"
)

// checkBroadSubjects finds rows by which all who signed in, or all of an organisation or of a mail domain, may
// change anything, or read everything.
func (l *linter) checkBroadSubjects() {
	for _, row := range l.rows {
		if !l.isBroad(row.Subject) || !allowsEverything(row) || l.ineffective[row] {
			continue
		}
		code, hint := everybodyMayRead, readingHint
		if canModify(row.Methods) {
			code, hint = everybodyMayChange, "grant it to a role with members that you can name"
		}
		l.addRow(code, row, describeSubject(row.Subject)+" may "+describeAccess(row), hint)
	}
	for _, g := range l.grants {
		if !l.isBroad(g.member) {
			continue
		}
		if row := l.firstAllow(g.role, allowsAnyChange); row != nil {
			l.add(everybodyMayChange, g.memberAt, describeSubject(g.member)+" may "+describeAccess(row)+" ("+row.Where()+")", "grant "+g.role+" to groups that you can name")
		} else if row := l.firstAllow(g.role, allowsEverything); row != nil {
			l.add(everybodyMayRead, g.memberAt, describeSubject(g.member)+" may "+describeAccess(row)+" ("+row.Where()+")", readingHint)
		}
	}
}

const readingHint = "if a GET there does more than read, such as open a shell, allow the paths that are meant"

// checkAnonymous lists what needs no login, and warns where that is much.
func (l *linter) checkAnonymous() {
	for _, row := range l.rows {
		if row.Subject != anonymous || row.Effect != Allow || l.ineffective[row] {
			continue
		}
		if isBroadWithoutLogin(row) {
			l.addRow(wideOpen, row, "without a login, anybody may "+describeAccess(row), "open single paths, with the methods that they need")
			continue
		}
		l.addRow(noLogin, row, "without a login, anybody may "+describeAccess(row), "")
	}
	for _, g := range l.grants {
		if g.member != anonymous {
			continue
		}
		if row := l.firstAllow(g.role, isBroadWithoutLogin); row != nil {
			l.add(wideOpen, g.memberAt, "without a login, anybody holds "+g.role+" and may "+describeAccess(row)+" ("+row.Where()+")", "open single paths to system:anonymous")
			continue
		}
		l.add(noLogin, g.memberAt, "without a login, anybody holds "+g.role, "")
	}
}

// firstAllow gives the first allow row of a role, or of one that it inherits, of which
// something holds.
func (l *linter) firstAllow(role string, condition func(*Row) bool) *Row {
	implied := l.graph.implicitRoles([]string{role})
	for _, row := range l.rows {
		if row.Effect == Allow && implied.has(row.Subject) && condition(row) && !l.ineffective[row] {
			return row
		}
	}
	return nil
}

func allowsAnyChange(row *Row) bool { return allowsEverything(row) && canModify(row.Methods) }

// allowsEverything takes /*/** for everything, too: it leaves out no more than the top.
func allowsEverything(row *Row) bool {
	return row.Effect == Allow && strings.HasSuffix(row.Path, "/"+target.AnyRest) && strings.Trim(row.Path, "/"+target.AnySegment) == ""
}

// isBroadWithoutLogin draws the line for what needs no login: to read all of an upstream, or
// to write below a beginning so short that it is no single service.
func isBroadWithoutLogin(row *Row) bool {
	prefix := literalPrefix(row.Path)
	depth := strings.Count(prefix, "/")
	if !strings.HasSuffix(row.Path, "/"+target.AnyRest) {
		return depth == 0 && canModify(row.Methods) // /*: some star comes first
	}
	return depth == 0 || depth == 1 && canModify(row.Methods)
}

// canModify reports whether methods are among those that may change something (RFC
// 9110, 9.2.1; the safe ones of WebDAV are those of RFC 4918, 3253 and 5323).
func canModify(methods string) bool {
	for m := range strings.SplitSeq(methods, methodSeparator) {
		switch m {
		case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		default:
			return true
		}
	}
	return false
}

func describeSubject(subject string) string {
	if organisation, ok := strings.CutSuffix(subject, teamWildcard); ok {
		return "everybody in a team of " + organisation
	}
	if domain, ok := strings.CutPrefix(subject, domainWildcard); ok {
		return "everybody with a verified address of " + domain
	}
	return "everybody who signed in"
}

func describeAccess(row *Row) string {
	methods, where := row.Methods, row.Upstream+":"+row.Path
	if methods == anyMethod {
		methods = "use every method"
	}
	if row.Upstream == anyUpstream {
		where = row.Path + " of every upstream"
	}
	return methods + " on " + where
}
