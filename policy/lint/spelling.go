package lint

import (
	"fmt"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// optionallyEscaped may stand in a path as they are or as an escape, and to authgate
// and to casbin these are two paths (RFC 3986, 2.2): many servers see one. A star
// is not among them, since a pattern cannot name it.
const optionallyEscaped = "!$&'()+,=:@[]"

// checkSpellings finds paths that can be written in another way, which the row leaves
// open or shut.
func (l *linter) checkSpellings() {
	for _, row := range l.Rows() {
		if l.ineffective[row] || !strings.ContainsAny(row.Path, optionallyEscaped+"%") {
			continue
		}
		for _, spelling := range alternateSpellings(row.Path) {
			other := *row
			other.Path = spelling
			if row.Effect == policy.Allow {
				if l.coveredBy(l.allowRows, &other) == nil {
					l.addRow(allowOneSpelling, row, "the row does not let in who writes the path as "+spelling, "")
					break
				}
				continue
			}
			if allow := l.uncoveredAllow(&other); allow != nil {
				l.addRow(denyOneSpelling, row,
					fmt.Sprintf("the deny leaves %s open, which is the same path to many servers and which %s allows",
						spelling, allow.Where()),
					"deny that path, too")
				break
			}
		}
	}
}

// alternateSpellings gives the spellings that differ in one character, and the one that
// differs in all.
func alternateSpellings(path string) []string {
	const limit = 8
	var one []string
	var all strings.Builder
	for i := 0; i < len(path); {
		width, other := 1, ""
		switch c := path[i]; {
		case c == '%' && i+3 <= len(path):
			width = 3
			if at := strings.Index(optionalEscapes, path[i:i+3]); at >= 0 {
				other = optionallyEscaped[at/3 : at/3+1]
			}
		case strings.IndexByte(optionallyEscaped, c) >= 0:
			other = fmt.Sprintf("%%%02X", c)
		}
		if other != "" {
			if len(one) < limit {
				one = append(one, path[:i]+other+path[i+width:])
			}
			all.WriteString(other)
		} else {
			all.WriteString(path[i : i+width])
		}
		i += width
	}
	if len(one) > 1 {
		one = append(one, all.String())
	}
	return one
}

const optionalEscapes = "%21%24%26%27%28%29%2B%2C%3D%3A%40%5B%5D"

// checkSlashes finds denies of a path that leave it open with a slash at its end, or
// without: two paths here, and one page to many servers.
func (l *linter) checkSlashes() {
	for _, row := range l.Rows() {
		if row.Effect != policy.Deny || l.ineffective[row] || row.Path == "/" ||
			strings.HasSuffix(row.Path, "/"+target.AnyRest) {
			continue
		}
		other := *row
		if trimmed, slashed := strings.CutSuffix(row.Path, "/"); slashed {
			other.Path = trimmed
		} else {
			other.Path += "/"
		}
		if allow := l.uncoveredAllow(&other); allow != nil {
			l.addRow(denyOneSlash, row,
				fmt.Sprintf("the deny leaves %s open, which is the same page to many servers and which %s allows",
					other.Path, allow.Where()),
				"deny that path, too, or all below it with /**")
		}
	}
}

// checkStrippedPrefixes finds allows of a prefix that is taken off which leave out the form
// with a slash at its end, or without: the upstream serves one page, its root, for both.
func (l *linter) checkStrippedPrefixes() {
	for _, row := range l.Rows() {
		prefix := l.env.StripPrefix[row.Upstream]
		if prefix == "" || row.Effect != policy.Allow || l.ineffective[row] {
			continue
		}
		other := *row
		switch row.Path {
		case prefix:
			other.Path = prefix + "/"
		case prefix + "/":
			other.Path = prefix
		default:
			continue
		}
		if l.coveredBy(l.allowRows, &other) == nil {
			l.addRow(allowOneSlash, row,
				fmt.Sprintf("the row lets in %s and not %s, and %s gets both as /", row.Path, other.Path, row.Upstream),
				"allow both, or "+prefix+"/** for all below it, which covers both")
		}
	}
}

// uncoveredAllow finds an allow row of a user whom the deny binds, on a path
// that no other deny covers.
func (l *linter) uncoveredAllow(deny *policy.Row) *policy.Row {
	if l.coveredBy(l.denyRows, deny) != nil {
		return nil
	}
	for _, allow := range l.overlappingAllows(deny) {
		if l.heldTogether(deny.Subject, allow.Subject) {
			return allow
		}
	}
	return nil
}
