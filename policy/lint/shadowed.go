package lint

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// checkUnmatchable finds rows that no request can match.
func (l *linter) checkUnmatchable() {
	for _, row := range l.Rows() {
		if why := l.unmatchableReason(row); why != "" {
			l.ineffective[row] = true
			l.addRow(neverMatches, row, "no request can match the row: "+why, "delete it, or correct the path")
			continue
		}
		for m := range strings.SplitSeq(row.Methods, policy.MethodSeparator) {
			if row.Methods != policy.AnyMethod && !isServedMethod(m) {
				whole := m == row.Methods
				l.ineffective[row] = l.ineffective[row] || whole
				message := "no request can match the row: "
				if !whole {
					message = "no request can match a part of the row: "
				}
				l.addRow(neverMatches, row, message+"authgate refuses method "+m, "take "+m+" out")
			}
		}
	}
}

// isServedMethod reports whether authgate lets a method come as far as the policy.
func isServedMethod(m string) bool {
	return m != "CONNECT" && m != "TRACE" && len(m) <= 32 && !strings.ContainsAny(m, "0123456789_")
}

func (l *linter) unmatchableReason(row *policy.Row) string {
	for _, endpoint := range l.env.Endpoints {
		if covers(endpoint, row.Path) {
			return "authgate answers " + endpoint + " itself, without asking the policy"
		}
	}
	if row.Upstream != policy.AnyUpstream {
		return l.notRoutedReason(row.Upstream, row.Path)
	}
	for _, upstream := range l.env.Upstreams {
		if l.notRoutedReason(upstream, row.Path) == "" {
			return ""
		}
	}
	if len(l.env.Upstreams) == 0 {
		return ""
	}
	return "no upstream is sent such a path"
}

func (l *linter) notRoutedReason(upstream, path string) string {
	for _, pattern := range l.env.RoutedElsewhere[upstream] {
		if covers(pattern, path) {
			return "requests for " + pattern + " go to another upstream"
		}
	}
	if pattern, known := l.env.EncodedSlash[upstream]; known && strings.Contains(path, target.EncodedSlash) &&
		!overlapsAny(pattern, path) {
		if len(pattern) == 0 {
			return "upstream " + upstream + " takes no " + target.EncodedSlash + " in a path"
		}
		return "upstream " + upstream + " takes " + target.EncodedSlash + " in other paths only, such as " + pattern[0]
	}
	if routed := l.env.Routed[upstream]; len(routed) > 0 && !overlapsAny(routed, path) {
		return "upstream " + upstream + " is sent only " + strings.Join(routed, " and ")
	}
	return ""
}

func overlapsAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return target.Overlaps(pattern, path) })
}

// checkDeadAllows finds allow rows of which a deny takes away all.
func (l *linter) checkDeadAllows() {
	for _, row := range l.Rows() {
		if row.Effect != policy.Allow || l.ineffective[row] {
			continue
		}
		if deny := l.coveredBy(l.denyRows, row); deny != nil {
			l.ineffective[row] = true
			l.addRow(deadAllow, row,
				"the row admits no one: "+deny.Where()+" denies all of it to "+l.describeDenied(deny.Subject,
					row.Subject),
				"delete one of the two")
		}
	}
}

// checkShadowed finds rows that change nothing, because a broader one says the same.
func (l *linter) checkShadowed() {
	for _, row := range l.Rows() {
		if l.ineffective[row] {
			continue
		}
		rows, does := l.allowRows, "allows"
		if row.Effect == policy.Deny {
			rows, does = l.denyRows, "denies"
		}
		if wide := l.coveredBy(rows, row); wide != nil {
			l.ineffective[row] = true
			l.addRow(shadowedRow, row,
				"the row changes nothing: "+wide.Where()+" "+does+" all of it to "+l.describeDenied(wide.Subject,
					row.Subject), "delete it")
		}
	}
}

func (l *linter) describeDenied(wide, narrow string) string {
	if wide == narrow {
		return wide + " already"
	}
	return wide + ", and so to " + narrow
}

// coveredBy finds a row that covers another one and binds all who hold it. Of two
// rows that cover each other, the later one counts as covered.
func (l *linter) coveredBy(rows *prefixIndex, row *policy.Row) *policy.Row {
	for _, subject := range l.impliedBy(row.Subject).Names() {
		for wide := range rows.coveringCandidates(row.Path, subject) {
			if l.budget--; l.budget < 0 {
				return nil
			}
			if wide == row || !coversRow(wide, row) {
				continue
			}
			order, isRow := l.order[row] // a row that lint made up is none, and comes last
			same := isRow && wide.Effect == row.Effect && coversRow(row, wide) &&
				l.impliedBy(wide.Subject).Has(row.Subject)
			if !same || l.order[wide] < order {
				return wide
			}
		}
	}
	return nil
}
