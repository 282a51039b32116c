package policy

import (
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
	w := walk{quirks: quirks, root: newBranch(patterns), seen: make(map[uint64]struct{}, 2*len(patterns)), cuts: map[string][]cut{}}
	w.found.grow(2 * len(patterns))
	w.classes = make([]class, 0, 2*len(patterns))
	w.queue = make([]place, 0, len(patterns))
	w.enter(place{nodes: []*branch{w.root}, tails: w.root.tails, tailsID: w.tails.number(w.root.tails)})
	for len(w.queue) > 0 {
		next := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.leave(next); err != nil {
			return nil, err
		}
		if len(w.seen) > maxPlaces {
			return nil, fmt.Errorf("the patterns of %d rows cut the paths into more than %d classes", len(patterns), maxPlaces)
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

// place is where a walk may be: at some nodes at once, with some patterns that
// match whatever follows.
type place struct {
	nodes   []*branch // by id
	tails   []int     // ascending
	tailsID uint32    // the same, as a number
	path    string    // a shortest one that leads here
	label   string    // the same, with stars
}

// isEnd reports whether no pattern goes on here: all that follows is of one class, which
// is noted.
func (p *place) isEnd() bool {
	return p.path != "" && len(p.tails) == 0 && !slices.ContainsFunc(p.nodes, func(n *branch) bool { return len(n.pieces) > 0 })
}

type walk struct {
	quirks  target.Quirks // of the paths
	root    *branch
	seen    map[uint64]struct{} // places, by their key
	queue   []place             // seen and not left yet
	nodes   setNumbers          // sets of several nodes
	tails   setNumbers          // sets of patterns that match whatever follows
	found   setNumbers          // sets of patterns that match → index into classes
	cuts    map[string][]cut    // pieces, joined → how they cut segments
	classes []class

	// Buffers, used again for each place.
	next, also       []*branch
	matched, numbers []int
	pieces, words    []string
	plain            []cut
}

// keyOf tells places apart. Most of them are one node, which needs no number but its own.
func (w *walk) keyOf(nodes []*branch, tailsID uint32) uint64 {
	const several = 1 << 31
	var key uint32
	switch len(nodes) {
	case 0:
	case 1:
		key = uint32(nodes[0].id) + 1
	default:
		w.numbers = w.numbers[:0]
		for _, n := range nodes {
			w.numbers = append(w.numbers, n.id)
		}
		key = several | w.nodes.number(w.numbers)
	}
	return uint64(key)<<32 | uint64(tailsID)
}

// enter puts a place into the queue if it is new.
func (w *walk) enter(p place) {
	if key := w.keyOf(p.nodes, p.tailsID); !w.isSeen(key) {
		w.seen[key] = struct{}{}
		if p.isEnd() {
			return
		}
		p.nodes = slices.Clone(p.nodes)
		w.queue = append(w.queue, p)
	}
}

func (w *walk) isSeen(key uint64) bool {
	_, seen := w.seen[key]
	return seen
}

// visit notes the class of the paths that go on from a place by a segment and end
// there, and the place behind it, if they are new. Only then the path is spelled out.
func (w *walk) visit(from place, c *cut, to place) {
	w.matched = append(w.matched[:0], to.tails...)
	for _, n := range to.nodes {
		w.matched = append(w.matched, n.ends...)
	}
	slices.Sort(w.matched)
	_, known := w.found.find(w.matched)
	isClass := len(w.matched) > 0 && !known
	ends := c.witness == "" && w.quirks&target.EmptySegments == 0 // an empty segment is the last one
	if !isClass && (ends || w.isSeen(w.keyOf(to.nodes, to.tailsID))) {
		return
	}
	to.path = from.path + "/" + c.witness
	to.label = to.path
	if from.label != from.path || c.label != c.witness {
		to.label = from.label + "/" + c.label
	}
	if isClass && isCanonical(to.path, w.quirks) {
		w.found.number(w.matched)
		w.classes = append(w.classes, class{to.label, to.path, slices.Clone(w.matched)})
	}
	if !ends {
		w.enter(to)
	}
}

// isCanonical keeps out what no request comes with, such as /.. for /.*.
func isCanonical(path string, quirks target.Quirks) bool {
	canonical, err := target.ParseWith(path, quirks)
	return err == nil && canonical.String() == path
}

// leave goes on from a place by every kind of segment that is told apart there.
func (w *walk) leave(p place) error {
	w.pieces = w.pieces[:0]
	ends := 0
	for _, n := range p.nodes {
		w.pieces = append(w.pieces, n.pieces...)
		ends += len(n.ends)
	}
	if len(w.pieces)+ends == 0 && p.path != "" { // all that follows is of the class that is noted
		return nil
	}
	if len(w.pieces) == 0 && w.isDone(p) {
		return nil
	}
	if len(p.nodes) > 1 {
		slices.Sort(w.pieces)
		w.pieces = slices.Compact(w.pieces)
	}
	cuts, err := w.cut(w.pieces)
	if err != nil {
		return err
	}
	for i := range cuts {
		w.step(p, &cuts[i])
	}
	return nil
}

// isDone reports whether the place behind one without further pieces is known, with
// its class: only patterns that match whatever follows are left.
func (w *walk) isDone(p place) bool {
	_, noted := w.found.find(p.tails)
	return len(p.tails) == 0 || noted && w.isSeen(w.keyOf(nil, p.tailsID))
}

// step goes on from a place by one kind of segment.
func (w *walk) step(p place, c *cut) {
	w.next = w.next[:0]
	for _, n := range p.nodes {
		for _, piece := range c.matching {
			if child := n.child(piece); child != nil {
				w.next = append(w.next, child)
			}
		}
	}
	to := place{nodes: w.next, tails: p.tails, tailsID: p.tailsID}
	if len(to.nodes) == 0 && len(to.tails) == 0 {
		return
	}
	if len(to.nodes) > 1 {
		slices.SortFunc(to.nodes, func(a, b *branch) int { return a.id - b.id })
	}
	more := false
	for _, n := range to.nodes {
		if len(n.tails) > 0 {
			to.tails, more = slices.Concat(to.tails, n.tails), true
		}
	}
	if more {
		slices.Sort(to.tails)
		to.tailsID = w.tails.number(to.tails)
	}
	w.visit(p, c, to)
}

// cut remembers how globs cut segments: the same ones often meet again. What it gives
// is good until it is called again.
func (w *walk) cut(pieces []string) ([]cut, error) {
	if !slices.ContainsFunc(pieces, isGlob) {
		return w.plainCuts(pieces), nil
	}
	key := strings.Join(pieces, "/")
	if cuts, known := w.cuts[key]; known {
		return cuts, nil
	}
	cuts, err := cutSegments(slices.Clone(pieces), w.quirks)
	w.cuts[key] = cuts
	return cuts, err
}

// plainCuts is cutSegments for literals and *.
func (w *walk) plainCuts(pieces []string) []cut {
	w.words = append(slices.Grow(w.words[:0], 2+2*len(pieces)), "")
	for _, piece := range pieces {
		if piece != target.AnySegment && piece != "" {
			w.words = append(w.words, piece, target.AnySegment)
		}
	}
	w.words = append(w.words, target.AnySegment)
	w.plain = append(slices.Grow(w.plain[:0], 2+len(pieces)), cut{matching: w.words[:1]})
	for i := 1; i+1 < len(w.words); i += 2 {
		w.plain = append(w.plain, cut{w.words[i], w.words[i], w.words[i : i+2]})
	}
	others := w.words[len(w.words)-1:]
	w.plain = append(w.plain, cut{fresh(pieces), target.AnySegment, others})
	return w.plain
}

// name gives each class the pattern whose plainest paths are in it: what /** means
// beside /a/** is every other path.
func (w *walk) name(patterns []string) {
	named := make([]bool, len(w.classes))
	unnamed := len(w.classes)
	strangers := strings.Repeat("/"+strange, w.root.depth()+1)
	for _, pattern := range patterns {
		i, found := w.found.find(w.matching(plainest(pattern, strangers)))
		if found && !named[i] {
			named[i] = true
			unnamed--
			w.classes[i].label = pattern
		}
	}
	if unnamed == 0 {
		return
	}
	called := make(map[string]bool, len(w.classes))
	for i, isNamed := range named {
		if isNamed {
			called[w.classes[i].label] = true
		}
	}
	for i := range w.classes {
		if c := &w.classes[i]; !named[i] && called[c.label] {
			c.label = c.witness // a class may be hard to tell; a path of it is not
		} else if !named[i] {
			called[c.label] = true
		}
	}
}

const strange = "%07" // in no pattern: target refuses control characters

// plainest gives the path of a pattern that as few others as possible match.
func plainest(pattern, strangers string) string {
	rest, open := strings.CutSuffix(pattern, "/"+target.AnyRest)
	path := strings.ReplaceAll(rest, target.AnySegment, strange)
	if open {
		path += strangers
	}
	return path
}

// matching walks one path through the trie. What it gives is good until it is called
// again.
func (w *walk) matching(path string) []int {
	nodes, next := append(w.next[:0], w.root), w.also
	matching := append(w.matched[:0], w.root.tails...)
	for path != "" && len(nodes) > 0 {
		var segment string
		segment, path = target.CutSegment(path)
		isLiteral := !strings.Contains(segment, target.AnySegment)
		next = next[:0]
		for _, n := range nodes {
			if literal := n.child(segment); literal != nil && isLiteral {
				next = append(next, literal)
			}
			for _, piece := range n.wild {
				if target.MatchSegment(segment, piece) {
					next = append(next, n.child(piece))
				}
			}
		}
		for _, n := range next {
			matching = append(matching, n.tails...)
		}
		nodes, next = next, nodes
	}
	for _, n := range nodes {
		matching = append(matching, n.ends...)
	}
	slices.Sort(matching)
	w.next, w.also, w.matched = nodes, next, matching
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

// overlaps reports whether some path matches a pattern and one of those below a
// branch: the overlaps of two patterns, for many at once.
func (b *branch) overlaps(pattern string) bool {
	switch {
	case len(b.tails) > 0 || pattern == "/"+target.AnyRest:
		return true
	case pattern == "":
		return len(b.ends) > 0
	}
	piece, rest := target.CutSegment(pattern)
	pieces := b.wild
	if strings.Contains(piece, target.AnySegment) {
		pieces = b.pieces
	} else if child := b.child(piece); child != nil && child.overlaps(rest) {
		return true
	}
	return slices.ContainsFunc(pieces, func(other string) bool {
		return overlapsSegment(piece, other) && b.child(other).overlaps(rest)
	})
}

// overlapsSegment asks the same of a segment. Two pieces with stars meet in the
// longer beginning, followed by all that either asks for in its middle and by the
// longer end, if the shorter ones agree with them.
func overlapsSegment(a, b string) bool {
	switch {
	case !strings.Contains(a, target.AnySegment):
		if !strings.Contains(b, target.AnySegment) {
			return a == b
		}
		return target.MatchSegment(a, b)
	case !strings.Contains(b, target.AnySegment):
		return target.MatchSegment(b, a)
	}
	beginA, beginB := a[:strings.Index(a, target.AnySegment)], b[:strings.Index(b, target.AnySegment)]
	endA, endB := a[strings.LastIndex(a, target.AnySegment)+1:], b[strings.LastIndex(b, target.AnySegment)+1:]
	return (strings.HasPrefix(beginA, beginB) || strings.HasPrefix(beginB, beginA)) &&
		(endsWith(endA, endB) || endsWith(endB, endA))
}

// overlaps reports whether some path matches both patterns.
func overlaps(a, b string) bool {
	for a != "/"+target.AnyRest && b != "/"+target.AnyRest {
		if a == "" || b == "" {
			return a == b
		}
		var pieceA, pieceB string
		pieceA, a = target.CutSegment(a)
		pieceB, b = target.CutSegment(b)
		if !overlapsSegment(pieceA, pieceB) {
			return false
		}
	}
	return true
}
