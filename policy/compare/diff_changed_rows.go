package compare

import (
	"slices"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/pathspace"
)

// changedRows finds the rows that can make a difference between two policies:
// those that only one of them has, and those of a subject that not the same
// subjects hold. Where none of them matches, the same rows concern the same
// people. Most changes are small, so most of a policy need not be looked at.
func changedRows(c *pathspace.SubjectClasses, before, after *policy.Snapshot) map[*policy.Row]bool {
	removed := make(map[string]*policy.Row, len(before.Rows()))
	for _, row := range before.Rows() {
		removed[row.String()] = row
	}
	sameHolders := map[string]bool{} // subject → whether the same people come to it
	changed := map[*policy.Row]bool{}
	for _, row := range after.Rows() {
		unchanged, known := sameHolders[row.Subject]
		if !known {
			unchanged = slices.Equal(c.Holders[0][row.Subject], c.Holders[1][row.Subject])
			sameHolders[row.Subject] = unchanged
		}
		key := row.String()
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
func overlappingRows(changed map[*policy.Row]bool, lists ...[]*policy.Row) [][]*policy.Row {
	var patterns []string
	for _, rows := range lists {
		for _, row := range rows {
			if changed[row] {
				patterns = append(patterns, row.Path)
			}
		}
	}
	overlapping := make([][]*policy.Row, len(lists))
	if len(patterns) == 0 {
		return overlapping
	}
	all := pathspace.NewPatternTree(patterns)
	for i, rows := range lists {
		for _, row := range rows {
			if changed[row] || all.Overlaps(row.Path) {
				overlapping[i] = append(overlapping[i], row)
			}
		}
	}
	return overlapping
}
