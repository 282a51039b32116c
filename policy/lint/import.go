package lint

import (
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
)

// importDirective begins the comment with which `policy import` marks where its rows come
// from. It counts up to the next one, or to the end of the file.
const importDirective = directive + "import"

// origins tells for the lines of each file which import wrote them.
type origins map[string][]string

func readOrigins(sources []policy.Source) origins {
	all := origins{}
	for _, src := range sources {
		from := ""
		lines := []string{""} // they count from 1
		for line := range strings.SplitSeq(string(src.Data), "\n") {
			comment := strings.Trim(strings.TrimPrefix(strings.Trim(line, policy.Whitespace), "#"), policy.Whitespace)
			if name, ok := strings.CutPrefix(comment, importDirective+" "); ok {
				from = strings.Trim(name, policy.Whitespace)
			}
			lines = append(lines, from)
		}
		all[src.Name] = lines
	}
	return all
}

func (o origins) of(at fault.Position) string {
	if lines := o[at.File]; at.Line < len(lines) {
		return lines[at.Line]
	}
	return ""
}

// checkMergedRoles finds roles that two imports made: to whom one gave the role has what the
// other one meant by it.
func (l *linter) checkMergedRoles(sources []policy.Source) {
	from := readOrigins(sources)
	type use struct {
		origin string
		at     fault.Position
	}
	first, reported := map[string]use{}, policy.StringSet{}
	check := func(role string, at fault.Position) {
		origin := from.of(at)
		if !isRole(role) || origin == "" || reported.Has(role) {
			return
		}
		before, known := first[role]
		switch {
		case !known:
			first[role] = use{origin, at}
		case before.origin != origin:
			reported[role] = struct{}{}
			l.add(mergedRole, at, role+" is a role of two imports, "+before.origin+" ("+before.at.String()+") and "+origin+
				": who holds it by one has what it may do by the other",
				"import one of them again with another --role-prefix")
		}
	}
	for _, row := range l.Rows() {
		check(row.Subject, row.At)
	}
	for _, g := range l.Grants() {
		check(g.Role, g.RoleAt)
		check(g.Member, g.MemberAt)
	}
}
