package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// shape is a pattern that stands for paths that were seen.
type shape struct {
	path     string
	seen     string // one of the paths
	requests int64
	paths    []string // all of them; some may be there twice
}

func (s *shape) take(other *shape) {
	s.requests += other.requests
	s.paths = append(s.paths, other.paths...)
}

// folder makes one pattern of many paths: a segment becomes * where it takes
// enough different values and all else is the same. It never makes ** or a * in
// part of a segment, and leaves the first segment as it is, since /* would be
// nearly everything.
type folder struct {
	least int // different values
	trees map[string]*wordTree
	deny  []*Row // of the present policy

	refused  []string // paths that no * may reach
	compared int
}

// fold works from the last segment to the first, so that /a/1/x, /a/1/y, ...,
// /a/2/x, ... come to /a/*/*, and again until nothing changes.
func (f *folder) fold(upstream, method string, within *Row, shapes map[string]*shape) {
	deepest := 0
	for path := range shapes {
		deepest = max(deepest, strings.Count(path, "/"))
	}
	for changed := true; changed; {
		changed = false
		for depth := deepest; depth > 1; depth-- {
			for _, g := range alike(shapes, depth) {
				if f.mayFold(upstream, method, within, g, shapes) {
					merge(shapes, g)
					changed = true
				}
			}
		}
	}
}

// siblings are shapes that differ in one segment.
type siblings struct {
	before, after string // this segment
	members       []*shape
}

func (g siblings) folded() string { return g.before + "/" + target.AnySegment + g.after }

// alike groups shapes by what they are but for the segment at a depth, which
// counts from 1.
func alike(shapes map[string]*shape, depth int) []siblings {
	type rest struct{ before, after string }
	groups := map[rest][]*shape{}
	for _, s := range shapes {
		at := nthSegment(s.path, depth)
		if at < 0 {
			continue
		}
		segment, after := target.CutSegment(s.path[at:])
		if segment != "" && segment != target.AnySegment {
			r := rest{s.path[:at], after}
			groups[r] = append(groups[r], s)
		}
	}
	all := make([]siblings, 0, len(groups))
	for r, members := range groups {
		slices.SortFunc(members, func(a, b *shape) int { return strings.Compare(a.path, b.path) })
		all = append(all, siblings{r.before, r.after, members})
	}
	slices.SortFunc(all, func(a, b siblings) int { return strings.Compare(a.folded(), b.folded()) })
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

func (f *folder) mayFold(upstream, method string, within *Row, g siblings, shapes map[string]*shape) bool {
	folded := g.folded()
	if _, there := shapes[folded]; there {
		return true
	}
	if len(g.members) < f.least {
		return false
	}
	// A * in a pattern is one to be matched by a * alone: what matches the folded
	// pattern as if that were a path matches every path of it.
	if within != nil && !target.MatchPattern(folded, within.Path) {
		return false
	}
	seen := g.members[0].seen
	if f.trees[upstream].words(seen[:nthSegment(seen, strings.Count(g.before, "/")+1)]) {
		return false
	}
	if f.compared += len(f.refused); f.compared > maxCompared || slices.ContainsFunc(f.refused, func(path string) bool { return target.MatchPattern(path, folded) }) {
		return false
	}
	return !slices.ContainsFunc(f.deny, func(row *Row) bool {
		return (row.Upstream == upstream || row.Upstream == anyUpstream) && matchMethod(method, row.Methods) && meets(folded, row.Path)
	})
}

func merge(shapes map[string]*shape, g siblings) {
	folded := shapes[g.folded()]
	if folded == nil {
		folded = &shape{path: g.folded(), seen: g.members[0].seen}
		shapes[folded.path] = folded
	}
	for _, s := range g.members {
		folded.take(s)
		delete(shapes, s.path)
	}
}

// meets reports whether some path may match both a folded pattern and another.
func meets(folded, pattern string) bool {
	for pattern != "/"+target.AnyRest {
		if folded == "" || pattern == "" {
			return folded == pattern
		}
		var segment, wanted string
		segment, folded = target.CutSegment(folded)
		wanted, pattern = target.CutSegment(pattern)
		if segment == target.AnySegment && wanted != "" {
			continue
		}
		if !target.MatchSegment(segment, wanted) {
			return false
		}
	}
	return true
}

// wordTree holds the paths that were seen of one upstream, by segments. It tells
// words of an API from ids: ids lead on to the same things (/apps/1/logs,
// /apps/2/logs), words do not (/api/apps/1, /api/session/userinfo).
type wordTree struct {
	below   map[string]*wordTree
	judged  bool
	lexical bool
}

func (t *wordTree) add(path string) {
	for path != "" {
		var segment string
		segment, path = target.CutSegment(path)
		if t.below == nil {
			t.below = map[string]*wordTree{}
		}
		next := t.below[segment]
		if next == nil {
			next = &wordTree{}
			t.below[segment] = next
		}
		t = next
	}
}

// words reports whether the segments below a path look like words: whether two
// of them, and a third of all, lead on to segments that no other leads to.
func (t *wordTree) words(path string) bool {
	for path != "" && t != nil {
		var segment string
		segment, path = target.CutSegment(path)
		t = t.below[segment]
	}
	if t == nil {
		return false
	}
	if !t.judged {
		t.judged, t.lexical = true, t.judge()
	}
	return t.lexical
}

func (t *wordTree) judge() bool {
	leading := map[string]int{} // next segment → how many lead to it
	for _, child := range t.below {
		for next := range child.below {
			leading[next]++
		}
	}
	loners := 0
	for _, child := range t.below {
		shares, leads := false, false
		for next := range child.below {
			leads = leads || next != ""
			shares = shares || next != "" && leading[next] > 1
		}
		if leads && !shares {
			loners++
		}
	}
	return loners >= 2 && 3*loners >= len(t.below)
}
