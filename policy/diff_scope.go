package policy

import (
	"slices"
)

// touchedRows finds the rows that can make a difference between two policies:
// those that only one of them has, and those of a subject that not the same
// people come to. Where none of them matches, the same rows speak of the same
// people. Most changes are small, so most of a policy need not be looked at.
func touchedRows(c *census, before, after *Snapshot) map[*Row]bool {
	gone := make(map[rule]*Row, len(before.rows))
	for _, row := range before.rows {
		gone[row.rule(row.Upstream)] = row
	}
	same := map[string]bool{} // subject → whether the same people come to it
	touched := map[*Row]bool{}
	for _, row := range after.rows {
		kept, met := same[row.Subject]
		if !met {
			kept = slices.Equal(c.holders[0][row.Subject], c.holders[1][row.Subject])
			same[row.Subject] = kept
		}
		key := row.rule(row.Upstream)
		_, stood := gone[key]
		delete(gone, key)
		if !stood || !kept {
			touched[row] = true
		}
	}
	for _, row := range gone {
		touched[row] = true
	}
	return touched
}

// nearby gives the touched rows among some, and those that have some path in
// common with one of them.
func nearby(touched map[*Row]bool, lists ...[]*Row) [][]*Row {
	var patterns []string
	for _, rows := range lists {
		for _, row := range rows {
			if touched[row] {
				patterns = append(patterns, row.Path)
			}
		}
	}
	near := make([][]*Row, len(lists))
	if len(patterns) == 0 {
		return near
	}
	all := newBranch(patterns)
	for i, rows := range lists {
		for _, row := range rows {
			if touched[row] || all.overlaps(row.Path) {
				near[i] = append(near[i], row)
			}
		}
	}
	return near
}
