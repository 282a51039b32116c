package suggest

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// pathPattern is a pattern that stands for paths that were seen.
type pathPattern struct {
	pattern  string
	example  string // one of the paths
	requests int64
	paths    []string // all of them; some may be there twice
}

func (s *pathPattern) add(other *pathPattern) {
	s.requests += other.requests
	s.paths = append(s.paths, other.paths...)
}

// generalizer makes one pattern of many paths: a segment becomes * where it takes
// enough different values and all else is the same. It never makes ** or a * in
// part of a segment, and leaves the first segment as it is, since /* would be
// nearly everything.
type generalizer struct {
	minDistinct int // different values
	trees       map[string]*segmentTree
	denyRows    []*policy.Row // of the present policy

	deniedPaths []string // paths that no * may reach
	comparisons int
}

// generalize works from the last segment to the first, so that /a/1/x, /a/1/y, ...,
// /a/2/x, ... come to /a/*/*, and again until nothing changes.
func (gen *generalizer) generalize(upstream, method string, currentRow *policy.Row, patterns map[string]*pathPattern) {
	deepest := 0
	for path := range patterns {
		deepest = max(deepest, strings.Count(path, "/"))
	}
	for changed := true; changed; {
		changed = false
		for depth := deepest; depth > 1; depth-- {
			for _, g := range groupSiblings(patterns, depth) {
				if gen.canGeneralize(upstream, method, currentRow, g, patterns) {
					mergeSiblings(patterns, g)
					changed = true
				}
			}
		}
	}
}

// siblings are shapes that differ in one segment.
type siblings struct {
	before, after string // this segment
	members       []*pathPattern
}

func (g siblings) pattern() string { return g.before + "/" + target.AnySegment + g.after }

// groupSiblings groups shapes by what they are but for the segment at a depth, which
// counts from 1.
func groupSiblings(patterns map[string]*pathPattern, depth int) []siblings {
	type rest struct{ before, after string }
	groups := map[rest][]*pathPattern{}
	for _, s := range patterns {
		at := nthSegment(s.pattern, depth)
		if at < 0 {
			continue
		}
		segment, after := target.CutSegment(s.pattern[at:])
		if segment != "" && segment != target.AnySegment {
			r := rest{s.pattern[:at], after}
			groups[r] = append(groups[r], s)
		}
	}
	all := make([]siblings, 0, len(groups))
	for r, members := range groups {
		slices.SortFunc(members, func(a, b *pathPattern) int { return strings.Compare(a.pattern, b.pattern) })
		all = append(all, siblings{r.before, r.after, members})
	}
	slices.SortFunc(all, func(a, b siblings) int { return strings.Compare(a.pattern(), b.pattern()) })
	return all
}

// nthSegment finds the slash before a segment, or gives -1.
func nthSegment(path string, n int) int {
	for i := range len(path) {
		if path[i] == '/' {
			if n--; n == 0 {
				return i
			}
		}
	}
	return -1
}

func (gen *generalizer) canGeneralize(upstream, method string, currentRow *policy.Row, g siblings,
	patterns map[string]*pathPattern,
) bool {
	general := g.pattern()
	if _, exists := patterns[general]; exists {
		return true
	}
	if len(g.members) < gen.minDistinct {
		return false
	}
	// A * in a pattern is one to be matched by a * alone: what matches the folded
	// pattern as if that were a path matches every path of it.
	if currentRow != nil && !target.MatchPattern(general, currentRow.Path) {
		return false
	}
	example := g.members[0].example
	if gen.trees[upstream].hasWords(example[:nthSegment(example, strings.Count(g.before, "/")+1)]) {
		return false
	}
	if gen.comparisons += len(gen.deniedPaths); gen.comparisons > maxCompared ||
		slices.ContainsFunc(gen.deniedPaths, func(path string) bool { return target.MatchPattern(path, general) }) {
		return false
	}
	return !slices.ContainsFunc(gen.denyRows, func(row *policy.Row) bool {
		return (row.Upstream == upstream || row.Upstream == policy.AnyUpstream) &&
			policy.MatchMethod(method, row.Methods) && overlapsGeneral(general, row.Path)
	})
}

func mergeSiblings(patterns map[string]*pathPattern, g siblings) {
	general := patterns[g.pattern()]
	if general == nil {
		general = &pathPattern{pattern: g.pattern(), example: g.members[0].example}
		patterns[general.pattern] = general
	}
	for _, s := range g.members {
		general.add(s)
		delete(patterns, s.pattern)
	}
}

// overlapsGeneral reports whether some path may match both a folded pattern and another.
func overlapsGeneral(general, pattern string) bool {
	for pattern != "/"+target.AnyRest {
		if general == "" || pattern == "" {
			return general == pattern
		}
		var segment, segPattern string
		segment, general = target.CutSegment(general)
		segPattern, pattern = target.CutSegment(pattern)
		if segment == target.AnySegment && segPattern != "" {
			continue
		}
		if !target.MatchSegment(segment, segPattern) {
			return false
		}
	}
	return true
}

// segmentTree holds the paths that were seen of one upstream, by segments. It tells
// words of an API from ids: ids lead on to the same things (/apps/1/logs,
// /apps/2/logs), words do not (/api/apps/1, /api/session/userinfo).
type segmentTree struct {
	children map[string]*segmentTree
	computed bool
	areWords bool
}

func (t *segmentTree) add(path string) {
	for path != "" {
		var segment string
		segment, path = target.CutSegment(path)
		if t.children == nil {
			t.children = map[string]*segmentTree{}
		}
		next := t.children[segment]
		if next == nil {
			next = &segmentTree{}
			t.children[segment] = next
		}
		t = next
	}
}

// hasWords reports whether the segments below a path look like words: whether two
// of them, and a third of all, lead on to segments that no other leads to.
func (t *segmentTree) hasWords(path string) bool {
	for path != "" && t != nil {
		var segment string
		segment, path = target.CutSegment(path)
		t = t.children[segment]
	}
	if t == nil {
		return false
	}
	if !t.computed {
		t.computed, t.areWords = true, t.compute()
	}
	return t.areWords
}

func (t *segmentTree) compute() bool {
	parents := map[string]int{} // next segment → how many lead to it
	for _, child := range t.children {
		for next := range child.children {
			parents[next]++
		}
	}
	distinct := 0
	for _, child := range t.children {
		shares, leads := false, false
		for next := range child.children {
			leads = leads || next != ""
			shares = shares || next != "" && parents[next] > 1
		}
		if leads && !shares {
			distinct++
		}
	}
	return distinct >= 2 && 3*distinct >= len(t.children)
}
