package policy

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// Patterns cut the paths into classes: two paths are of one class if the very
// same patterns match both, so that no policy made of these patterns tells them
// apart. There are infinitely many paths and few classes, which is what makes an
// answer about all paths possible.
//
// They are found by walking all patterns at once, segment by segment. Where the
// walk is, is a set of nodes of the trie of all patterns (the subset construction
// of automata theory); what lies ahead depends on that set alone.
type class struct {
	label    string // a pattern that tells a person what is in it
	witness  string // a canonical path of the class, which target.Parse takes
	matching []int  // the patterns that match, as indices, ascending
}

// maxPlaces bounds the walk, and with it the memory that an answer takes: about a
// gigabyte. Ten thousand rows as people write them make about as many places; only
// patterns with stars all over each other make more.
const maxPlaces = 1 << 18

// classesOf finds every class of paths that some pattern matches, ordered by
// label. Patterns must have passed target.CheckPattern for these quirks; one may stand
// there twice.
func classesOf(patterns []string, quirks target.Quirks) ([]class, error) {
	w := walk{quirks: quirks, seen: map[string]bool{}, found: map[string]int{}, cuts: map[string][]cut{}}
	w.root = newBranch(patterns)
	w.visit(place{nodes: []*branch{w.root}, tails: w.root.tails})
	for len(w.queue) > 0 {
		if len(w.seen) > maxPlaces {
			return nil, fmt.Errorf("the patterns of %d rows cut the paths into more than %d classes", len(patterns), maxPlaces)
		}
		next := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.leave(next); err != nil {
			return nil, err
		}
	}
	w.name(patterns)
	slices.SortFunc(w.classes, func(a, b class) int {
		if c := strings.Compare(a.label, b.label); c != 0 {
			return c
		}
		return strings.Compare(a.witness, b.witness)
	})
	return w.classes, nil
}

// branch is a node of the trie of patterns. Its children are pieces of patterns:
// literals, * and globs.
type branch struct {
	id       int
	pieces   []string // sorted
	wild     []string // those of pieces that hold a *
	children map[string]*branch
	ends     []int // patterns that end here
	tails    []int // patterns that go on with /**
}

func newBranch(patterns []string) *branch {
	count := 0
	root := &branch{children: map[string]*branch{}}
	for i, pattern := range patterns {
		at := root
		for rest := pattern; ; {
			if rest == "" {
				at.ends = append(at.ends, i)
				break
			}
			if rest == "/"+target.AnyRest {
				at.tails = append(at.tails, i)
				break
			}
			var piece string
			piece, rest = target.CutSegment(rest)
			child := at.children[piece]
			if child == nil {
				count++
				child = &branch{id: count, children: map[string]*branch{}}
				at.children[piece] = child
				at.pieces = append(at.pieces, piece)
			}
			at = child
		}
	}
	root.sort()
	return root
}

func (b *branch) sort() {
	slices.Sort(b.pieces)
	for _, piece := range b.pieces {
		if strings.Contains(piece, target.AnySegment) {
			b.wild = append(b.wild, piece)
		}
		b.children[piece].sort()
	}
}

// place is where a walk may be: at some nodes at once, with some patterns that
// match whatever follows.
type place struct {
	nodes []*branch // by id
	tails []int     // ascending
	path  string    // a shortest one that leads here
	label string    // the same, with stars
}

type walk struct {
	quirks  target.Quirks // of the paths
	root    *branch
	seen    map[string]bool  // places, by their key
	queue   []place          // seen and not left yet
	found   map[string]int   // matching patterns, by their key → index into classes
	cuts    map[string][]cut // pieces, joined → how they cut segments
	classes []class
	key     []byte
}

func (w *walk) keyOf(nodes []*branch, patterns []int) string {
	w.key = w.key[:0]
	for _, n := range nodes {
		w.key = binary.AppendUvarint(w.key, uint64(n.id)+1)
	}
	w.key = append(w.key, 0)
	for _, p := range patterns {
		w.key = binary.AppendUvarint(w.key, uint64(p))
	}
	return string(w.key)
}

// visit notes the class of the paths that end here, and the place, if they are new.
func (w *walk) visit(p place) {
	if p.path != "" {
		w.note(p)
	}
	if strings.HasSuffix(p.path, "/") && w.quirks&target.EmptySegments == 0 { // an empty segment is the last one
		return
	}
	if key := w.keyOf(p.nodes, p.tails); !w.seen[key] {
		w.seen[key] = true
		w.queue = append(w.queue, p)
	}
}

func (w *walk) note(p place) {
	matching := slices.Clone(p.tails)
	for _, n := range p.nodes {
		matching = append(matching, n.ends...)
	}
	if len(matching) == 0 {
		return
	}
	slices.Sort(matching)
	key := w.keyOf(nil, matching)
	if _, known := w.found[key]; known || !isCanonical(p.path, w.quirks) {
		return
	}
	w.found[key] = len(w.classes)
	w.classes = append(w.classes, class{p.label, p.path, matching})
}

// isCanonical keeps out what no request comes with, such as /.. for /.*.
func isCanonical(path string, quirks target.Quirks) bool {
	canonical, err := target.ParseWith(path, quirks)
	return err == nil && canonical.String() == path
}

// leave goes on from a place by every kind of segment that is told apart there.
func (w *walk) leave(p place) error {
	var pieces []string
	ends := 0
	for _, n := range p.nodes {
		pieces = append(pieces, n.pieces...)
		ends += len(n.ends)
	}
	if len(pieces)+ends == 0 && p.path != "" { // all that follows is of the class that is noted
		return nil
	}
	slices.Sort(pieces)
	pieces = slices.Compact(pieces)
	cuts, err := w.cut(pieces)
	if err != nil {
		return err
	}
	for _, c := range cuts {
		next := place{tails: p.tails, path: p.path + "/" + c.witness, label: p.label + "/" + c.label}
		for _, n := range p.nodes {
			for _, piece := range c.matching {
				if child := n.children[piece]; child != nil {
					next.nodes = append(next.nodes, child)
				}
			}
		}
		if len(next.nodes) == 0 && len(next.tails) == 0 {
			continue
		}
		slices.SortFunc(next.nodes, func(a, b *branch) int { return a.id - b.id })
		for _, n := range next.nodes {
			if len(n.tails) > 0 {
				next.tails = slices.Concat(next.tails, n.tails)
				slices.Sort(next.tails)
			}
		}
		w.visit(next)
	}
	return nil
}

// cut remembers how globs cut segments: the same ones often meet again.
func (w *walk) cut(pieces []string) ([]cut, error) {
	if !slices.ContainsFunc(pieces, isGlob) {
		return cutSegments(pieces, w.quirks)
	}
	key := strings.Join(pieces, "/")
	if cuts, known := w.cuts[key]; known {
		return cuts, nil
	}
	cuts, err := cutSegments(pieces, w.quirks)
	w.cuts[key] = cuts
	return cuts, err
}

// name gives each class the pattern whose plainest paths are in it: what /** means
// beside /a/** is every other path.
func (w *walk) name(patterns []string) {
	named := make([]bool, len(w.classes))
	depth := w.root.depth()
	for _, pattern := range patterns {
		i, found := w.found[w.keyOf(nil, w.matching(plainest(pattern, depth)))]
		if found && !named[i] {
			named[i] = true
			w.classes[i].label = pattern
		}
	}
	called := map[string]bool{}
	for i, isNamed := range named {
		if isNamed {
			called[w.classes[i].label] = true
		}
	}
	for i := range w.classes {
		if c := &w.classes[i]; !named[i] && called[c.label] {
			c.label = c.witness // a class may be hard to tell; a path of it is not
		} else {
			called[c.label] = true
		}
	}
}

// plainest gives the path of a pattern that as few others as possible match.
func plainest(pattern string, depth int) string {
	const strange = "%07" // in no pattern: target refuses control characters
	rest, open := strings.CutSuffix(pattern, "/"+target.AnyRest)
	path := strings.ReplaceAll(rest, target.AnySegment, strange)
	if open {
		path += strings.Repeat("/"+strange, depth+1)
	}
	return path
}

// depth is the length of the longest pattern below.
func (b *branch) depth() int {
	deepest := 0
	for _, child := range b.children {
		deepest = max(deepest, 1+child.depth())
	}
	return deepest
}

// matching walks one path through the trie.
func (w *walk) matching(path string) []int {
	nodes := []*branch{w.root}
	matching := slices.Clone(w.root.tails)
	for path != "" {
		var segment string
		segment, path = target.CutSegment(path)
		var next []*branch
		for _, n := range nodes {
			if literal := n.children[segment]; literal != nil && !strings.Contains(segment, target.AnySegment) {
				next = append(next, literal)
			}
			for _, piece := range n.wild {
				if target.MatchSegment(segment, piece) {
					next = append(next, n.children[piece])
				}
			}
		}
		for _, n := range next {
			matching = append(matching, n.tails...)
		}
		nodes = next
	}
	for _, n := range nodes {
		matching = append(matching, n.ends...)
	}
	slices.Sort(matching)
	return matching
}

// methodClasses gives the methods that rows tell apart: each that is named, in
// order, and * for all others together, if a row speaks of them. HEAD goes with
// GET unless a row names it.
func methodClasses(rows []*Row) []string {
	named := map[string]bool{}
	for _, row := range rows {
		for m := range strings.SplitSeq(row.Methods, methodSeparator) {
			named[m] = true
		}
	}
	others := named[anyMethod]
	delete(named, anyMethod)
	methods := slices.Sorted(maps.Keys(named))
	if others {
		methods = append(methods, anyMethod)
	}
	return methods
}

// methodOf gives a method to ask with, for a class among methodClasses.
func methodOf(class string, classes []string) string {
	if class != anyMethod {
		return class
	}
	for _, m := range []string{"DELETE", "OPTIONS", "PATCH", "POST", "PUT"} {
		if !slices.Contains(classes, m) {
			return m
		}
	}
	other := "OTHER" // as good as any
	for slices.Contains(classes, other) {
		other += "S"
	}
	return other
}
