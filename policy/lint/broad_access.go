package lint

import (
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// checkBroadSubjects finds rows by which all who signed in, or all of an organisation or of a mail domain, may
// change anything, or read everything.
func (l *linter) checkBroadSubjects() {
	for _, row := range l.Rows() {
		if !l.isBroad(row.Subject) || !allowsEverything(row) || l.ineffective[row] {
			continue
		}
		code, hint := everybodyMayRead, readingHint
		if canModify(row.Methods) {
			code, hint = everybodyMayChange, "grant it to a role with members that you can name"
		}
		l.addRow(code, row, describeSubject(row.Subject)+" may "+describeAccess(row), hint)
	}
	for _, g := range l.Grants() {
		if !l.isBroad(g.Member) {
			continue
		}
		if row := l.firstAllow(g.Role, allowsAnyChange); row != nil {
			l.add(everybodyMayChange, g.MemberAt,
				describeSubject(g.Member)+" may "+describeAccess(row)+" ("+row.Where()+")",
				"grant "+g.Role+" to groups that you can name")
		} else if row := l.firstAllow(g.Role, allowsEverything); row != nil {
			l.add(everybodyMayRead, g.MemberAt,
				describeSubject(g.Member)+" may "+describeAccess(row)+" ("+row.Where()+")", readingHint)
		}
	}
}

const readingHint = "if a GET there does more than read, such as open a shell, allow the paths that are meant"

// checkAnonymous lists what needs no login, and warns where that is much.
func (l *linter) checkAnonymous() {
	for _, row := range l.Rows() {
		if row.Subject != policy.Anonymous || row.Effect != policy.Allow || l.ineffective[row] {
			continue
		}
		if isBroadWithoutLogin(row) {
			l.addRow(wideOpen, row, "without a login, anyone may "+describeAccess(row),
				"open single paths, with the methods that they need")
			continue
		}
		l.addRow(noLogin, row, "without a login, anyone may "+describeAccess(row), "")
	}
	for _, g := range l.Grants() {
		if g.Member != policy.Anonymous {
			continue
		}
		if row := l.firstAllow(g.Role, isBroadWithoutLogin); row != nil {
			l.add(wideOpen, g.MemberAt,
				"without a login, anyone holds "+g.Role+" and may "+describeAccess(row)+" ("+row.Where()+")",
				"open single paths to system:anonymous")
			continue
		}
		l.add(noLogin, g.MemberAt, "without a login, anyone holds "+g.Role, "")
	}
}

// firstAllow gives the first allow row of a role, or of one that it inherits, of which
// something holds.
func (l *linter) firstAllow(role string, condition func(*policy.Row) bool) *policy.Row {
	implied := l.graph.ImplicitRoles([]string{role})
	for _, row := range l.Rows() {
		if row.Effect == policy.Allow && implied.Has(row.Subject) && condition(row) && !l.ineffective[row] {
			return row
		}
	}
	return nil
}

func allowsAnyChange(row *policy.Row) bool { return allowsEverything(row) && canModify(row.Methods) }

// allowsEverything takes /*/** for everything, too: it leaves out no more than the top.
func allowsEverything(row *policy.Row) bool {
	return row.Effect == policy.Allow && strings.HasSuffix(row.Path, "/"+target.AnyRest) &&
		strings.Trim(row.Path, "/"+target.AnySegment) == ""
}

// isBroadWithoutLogin draws the line for what needs no login: to read all of an upstream, or
// to write below a beginning so short that it is no single service.
func isBroadWithoutLogin(row *policy.Row) bool {
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
	for m := range strings.SplitSeq(methods, policy.MethodSeparator) {
		switch m {
		case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		default:
			return true
		}
	}
	return false
}

func describeSubject(subject string) string {
	if organisation, ok := strings.CutSuffix(subject, policy.TeamWildcard); ok {
		return "every user in a team of " + organisation
	}
	if domain, ok := strings.CutPrefix(subject, policy.DomainWildcard); ok {
		return "every user with a verified address of " + domain
	}
	return "every signed-in user"
}

func describeAccess(row *policy.Row) string {
	methods, where := row.Methods, row.Upstream+":"+row.Path
	if methods == policy.AnyMethod {
		methods = "use every method"
	}
	if row.Upstream == policy.AnyUpstream {
		where = row.Path + " of every upstream"
	}
	return methods + " on " + where
}
