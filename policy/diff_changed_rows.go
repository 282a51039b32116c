package policy

import (
	"slices"
)

// changedRows finds the rows that can make a difference between two policies:
// those that only one of them has, and those of a subject that not the same
// people come to. Where none of them matches, the same rows speak of the same
// people. Most changes are small, so most of a policy need not be looked at.
func changedRows(c *subjectClasses, before, after *Snapshot) map[*Row]bool {
	removed := make(map[casbinRule]*Row, len(before.rows))
	for _, row := range before.rows {
		removed[row.casbinRule(row.Upstream)] = row
	}
	sameHolders := map[string]bool{} // subject → whether the same people come to it
	changed := map[*Row]bool{}
	for _, row := range after.rows {
		unchanged, known := sameHolders[row.Subject]
		if !known {
			unchanged = slices.Equal(c.holders[0][row.Subject], c.holders[1][row.Subject])
			sameHolders[row.Subject] = unchanged
		}
		key := row.casbinRule(row.Upstream)
		_, existed := removed[key]
		delete(removed, key)
		if !existed || !unchanged {
			changed[row] = true
		}
	}
	for _, row := range removed {
		changed[row] = true
	}
	return changed
}

// overlappingRows gives the touched rows among some, and those that have some path in
// common with one of them.
func overlappingRows(changed map[*Row]bool, lists ...[]*Row) [][]*Row {
	var patterns []string
	for _, rows := range lists {
		for _, row := range rows {
			if changed[row] {
				patterns = append(patterns, row.Path)
			}
		}
	}
	overlapping := make([][]*Row, len(lists))
	if len(patterns) == 0 {
		return overlapping
	}
	all := newPatternTree(patterns)
	for i, rows := range lists {
		for _, row := range rows {
			if changed[row] || all.overlaps(row.Path) {
				overlapping[i] = append(overlapping[i], row)
			}
		}
	}
	return overlapping
}
