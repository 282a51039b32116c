package policy

import (
	"slices"
	"strings"
)

// never finds rows that no request can match.
func (l *linter) never() {
	for _, row := range l.rows {
		if why := l.unreachable(row); why != "" {
			l.useless[row] = true
			l.addRow(neverMatches, row, "no request can match the row: "+why, "delete it, or correct the path")
			continue
		}
		for m := range strings.SplitSeq(row.Methods, methodSeparator) {
			if row.Methods != anyMethod && !servedMethod(m) {
				whole := m == row.Methods
				l.useless[row] = l.useless[row] || whole
				what := "no request can match the row: "
				if !whole {
					what = "no request can match a part of the row: "
				}
				l.addRow(neverMatches, row, what+"authgate refuses method "+m, "take "+m+" out")
			}
		}
	}
}

// servedMethod reports whether authgate lets a method come as far as the policy.
func servedMethod(m string) bool {
	return m != "CONNECT" && m != "TRACE" && len(m) <= 32 && !strings.ContainsAny(m, "0123456789_")
}

func (l *linter) unreachable(row *Row) string {
	for _, own := range l.around.Own {
		if covers(own, row.Path) {
			return "authgate answers " + own + " itself, without asking the policy"
		}
	}
	if row.Upstream != anyUpstream {
		return l.notRouted(row.Upstream, row.Path)
	}
	for _, upstream := range l.around.Upstreams {
		if l.notRouted(upstream, row.Path) == "" {
			return ""
		}
	}
	if len(l.around.Upstreams) == 0 {
		return ""
	}
	return "no upstream is sent such a path"
}

func (l *linter) notRouted(upstream, path string) string {
	for _, taken := range l.around.Elsewhere[upstream] {
		if covers(taken, path) {
			return "requests for " + taken + " go to another upstream"
		}
	}
	if taken, known := l.around.CodedSlash[upstream]; known && strings.Contains(path, codedSlash) && !overlapsAny(taken, path) {
		if len(taken) == 0 {
			return "upstream " + upstream + " takes no " + codedSlash + " in a path"
		}
		return "upstream " + upstream + " takes " + codedSlash + " in other paths only, such as " + taken[0]
	}
	if served := l.around.Served[upstream]; len(served) > 0 && !overlapsAny(served, path) {
		return "upstream " + upstream + " is sent only " + strings.Join(served, " and ")
	}
	return ""
}

func overlapsAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return overlaps(pattern, path) })
}

// dead finds allow rows of which a deny takes away all.
func (l *linter) dead() {
	for _, row := range l.rows {
		if row.Effect != Allow || l.useless[row] {
			continue
		}
		if deny := l.coveredBy(l.denyRows, row); deny != nil {
			l.useless[row] = true
			l.addRow(deadAllow, row, "the row lets nobody in: "+deny.Where()+" denies all of it to "+l.whom(deny.Subject, row.Subject),
				"delete one of the two")
		}
	}
}

// shadowed finds rows that change nothing, because a broader one says the same.
func (l *linter) shadowed() {
	for _, row := range l.rows {
		if l.useless[row] {
			continue
		}
		rows, does := l.allows, "allows"
		if row.Effect == Deny {
			rows, does = l.denyRows, "denies"
		}
		if wide := l.coveredBy(rows, row); wide != nil {
			l.useless[row] = true
			l.addRow(shadowedRow, row, "the row changes nothing: "+wide.Where()+" "+does+" all of it to "+l.whom(wide.Subject, row.Subject), "delete it")
		}
	}
}

func (l *linter) whom(wide, narrow string) string {
	if wide == narrow {
		return wide + " already"
	}
	return wide + ", and so to " + narrow
}

// coveredBy finds a row that covers another one and binds all who hold it. Of two
// rows that cover each other, the later one counts as covered.
func (l *linter) coveredBy(rows *atlas, row *Row) *Row {
	for _, subject := range l.heldBy(row.Subject).order {
		for wide := range rows.over(row.Path, subject) {
			if l.budget--; l.budget < 0 {
				return nil
			}
			if wide == row || !coversRow(wide, row) {
				continue
			}
			rank, isOne := l.rank[row] // a row that lint made up is none, and comes last
			same := isOne && wide.Effect == row.Effect && coversRow(row, wide) && l.heldBy(wide.Subject).has(row.Subject)
			if !same || l.rank[wide] < rank {
				return wide
			}
		}
	}
	return nil
}
