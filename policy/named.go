package policy

import (
	"maps"
	"slices"
)

// Subjects gives every subject that the policy names, in p rows or g rows,
// sorted: roles, groups, ORG:*, users and system names.
func (s *Snapshot) Subjects() []string { return slices.Sorted(maps.Keys(s.known)) }

// Upstreams gives every upstream that a row names, sorted, and not *.
func (s *Snapshot) Upstreams() []string {
	names := subjects{}
	for _, row := range s.rows {
		names[row.Upstream] = struct{}{}
	}
	delete(names, anyUpstream)
	return slices.Sorted(maps.Keys(names))
}
