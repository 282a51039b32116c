package policy

import (
	"fmt"
	"strings"

	"github.com/example-org/authgate/target"
)

// twinCharacters may stand in a path as they are or as an escape, and to authgate
// and to casbin these are two paths (RFC 3986, 2.2): many servers see one. A star
// is not among them, since a pattern cannot name it.
const twinCharacters = "!$&'()+,=:@[]"

// spellings finds paths that can be written in another way, which the row leaves
// open or shut.
func (l *linter) spellings() {
	for _, row := range l.rows {
		if l.useless[row] || !strings.ContainsAny(row.Path, twinCharacters+"%") {
			continue
		}
		for _, twin := range twins(row.Path) {
			other := *row
			other.Path = twin
			if row.Effect == Allow {
				if l.coveredBy(l.allows, &other) == nil {
					l.addRow(allowOneForm, row, "the row does not let in who writes the path as "+twin, "")
					break
				}
				continue
			}
			if allow := l.leftOpen(&other); allow != nil {
				l.addRow(denyOneForm, row, fmt.Sprintf("the deny leaves %s open, which is the same path to many servers and which %s allows", twin, allow.Where()),
					"deny that path, too")
				break
			}
		}
	}
}

// twins gives the spellings that differ in one character, and the one that
// differs in all.
func twins(path string) []string {
	const most = 8
	var one []string
	var all strings.Builder
	for i := 0; i < len(path); {
		width, other := 1, ""
		switch c := path[i]; {
		case c == '%' && i+3 <= len(path):
			width = 3
			if at := strings.Index(twinEscapes, path[i:i+3]); at >= 0 {
				other = twinCharacters[at/3 : at/3+1]
			}
		case strings.IndexByte(twinCharacters, c) >= 0:
			other = fmt.Sprintf("%%%02X", c)
		}
		if other != "" {
			if len(one) < most {
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

const twinEscapes = "%21%24%26%27%28%29%2B%2C%3D%3A%40%5B%5D"

// slashes finds denies of a path that leave it open with a slash at its end, or
// without: two paths here, and one page to many servers.
func (l *linter) slashes() {
	for _, row := range l.rows {
		if row.Effect != Deny || l.useless[row] || row.Path == "/" || strings.HasSuffix(row.Path, "/"+target.AnyRest) {
			continue
		}
		other := *row
		if bare, slashed := strings.CutSuffix(row.Path, "/"); slashed {
			other.Path = bare
		} else {
			other.Path += "/"
		}
		if allow := l.leftOpen(&other); allow != nil {
			l.addRow(denyOneSlash, row, fmt.Sprintf("the deny leaves %s open, which is the same page to many servers and which %s allows", other.Path, allow.Where()),
				"deny that path, too, or all below it with /**")
		}
	}
}

// strippedPrefixes finds allows of a prefix that is taken off which leave out the form
// with a slash at its end, or without: the upstream serves one page, its root, for both.
func (l *linter) strippedPrefixes() {
	for _, row := range l.rows {
		prefix := l.around.Stripped[row.Upstream]
		if prefix == "" || row.Effect != Allow || l.useless[row] {
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
		if l.coveredBy(l.allows, &other) == nil {
			l.addRow(allowOneSlash, row, fmt.Sprintf("the row lets in %s and not %s, and %s gets both as /", row.Path, other.Path, row.Upstream),
				"allow both, or "+prefix+"/** for all below it, which covers both")
		}
	}
}

// leftOpen finds an allow row that somebody holds whom the deny binds, on a path
// that no other deny covers.
func (l *linter) leftOpen(deny *Row) *Row {
	if l.coveredBy(l.denyRows, deny) != nil {
		return nil
	}
	for _, allow := range l.meeting(deny) {
		if l.together(deny.Subject, allow.Subject) {
			return allow
		}
	}
	return nil
}
