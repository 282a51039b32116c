// Package pathspace groups all possible paths into classes that a set of path
// patterns tells apart, and finds an example path for each class. It knows patterns
// and the rows that hold them; it takes no decision. Its values are not safe for
// concurrent use.
package pathspace

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
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
type pathClass struct {
	Label    string // a pattern that tells a person what is in it
	Example  string // a canonical path of the class, which target.Parse takes
	patterns []int  // the patterns that match, as indices, ascending
}

// maxStates bounds the walk, and with it the memory that an answer takes: about a
// gigabyte. Ten thousand rows as people write them make about as many places; only
// patterns with stars all over each other make more.
const maxStates = 1 << 18

// pathClassesOf finds every class of paths that some pattern matches, ordered by
// label. Patterns must have passed target.CheckPattern for these quirks; one may stand
// there twice. More than maxStates states of the walk are an error.
func pathClassesOf(patterns []string, quirks target.Quirks, maxStates int) ([]pathClass, error) {
	cb := classBuilder{
		quirks: quirks, root: NewPatternTree(patterns), seen: make(map[uint64]struct{}, 2*len(patterns)),
		segmentClassCache: map[string][]segmentClass{},
	}
	cb.matchSets.grow(2 * len(patterns))
	cb.classes = make([]pathClass, 0, 2*len(patterns))
	cb.queue = make([]walkState, 0, len(patterns))
	cb.enqueue(walkState{nodes: []*patternNode{cb.root}, rest: cb.root.rest, restID: cb.restSets.intern(cb.root.rest)})
	for len(cb.queue) > 0 {
		next := cb.queue[0]
		cb.queue = cb.queue[1:]
		if err := cb.expand(next); err != nil {
			return nil, err
		}
		if len(cb.seen) > maxStates {
			return nil, fmt.Errorf("the patterns of %d rows cut the paths into more than %d classes", len(patterns),
				maxStates)
		}
	}
	cb.nameClasses(patterns)
	slices.SortFunc(cb.classes, func(a, b pathClass) int {
		if c := strings.Compare(a.Label, b.Label); c != 0 {
			return c
		}
		return strings.Compare(a.Example, b.Example)
	})
	return cb.classes, nil
}

// walkState is where a walk may be: at some nodes at once, with some patterns that
// match whatever follows.
type walkState struct {
	nodes  []*patternNode // by id
	rest   []int          // ascending
	restID uint32         // the same, as a number
	path   string         // a shortest one that leads here
	label  string         // the same, with stars
}

// isEnd reports whether no pattern goes on here: all that follows is of one class, which
// is noted.
func (p *walkState) isEnd() bool {
	return p.path != "" && len(p.rest) == 0 &&
		!slices.ContainsFunc(p.nodes, func(n *patternNode) bool { return len(n.segPatterns) > 0 })
}

type classBuilder struct {
	quirks            target.Quirks // of the paths
	root              *patternNode
	seen              map[uint64]struct{}       // places, by their key
	queue             []walkState               // seen and not left yet
	nodeSets          setInterner               // sets of several nodes
	restSets          setInterner               // sets of patterns that match whatever follows
	matchSets         setInterner               // sets of patterns that match → index into classes
	segmentClassCache map[string][]segmentClass // pieces, joined → how they cut segments
	classes           []pathClass

	// Buffers, used again for each place.
	nextNodes, spare     []*patternNode
	patternBuf, idBuf    []int
	segPatterns, wordBuf []string
	literalBuf           []segmentClass
}

// keyOf tells places apart. Most of them are one node, which needs no number but its own.
func (cb *classBuilder) keyOf(nodes []*patternNode, restID uint32) uint64 {
	const several = 1 << 31
	var key uint32
	switch len(nodes) {
	case 0:
	case 1:
		key = uint32(nodes[0].id) + 1
	default:
		cb.idBuf = cb.idBuf[:0]
		for _, n := range nodes {
			cb.idBuf = append(cb.idBuf, n.id)
		}
		key = several | cb.nodeSets.intern(cb.idBuf)
	}
	return uint64(key)<<32 | uint64(restID)
}

// enqueue puts a place into the queue if it is new.
func (cb *classBuilder) enqueue(p walkState) {
	if key := cb.keyOf(p.nodes, p.restID); !cb.isSeen(key) {
		cb.seen[key] = struct{}{}
		if p.isEnd() {
			return
		}
		p.nodes = slices.Clone(p.nodes)
		cb.queue = append(cb.queue, p)
	}
}

func (cb *classBuilder) isSeen(key uint64) bool {
	_, seen := cb.seen[key]
	return seen
}

// addTransition notes the class of the paths that go on from a place by a segment and end
// there, and the place after it, if they are new. Only then the path is spelled out.
func (cb *classBuilder) addTransition(from walkState, seg *segmentClass, to walkState) {
	cb.patternBuf = append(cb.patternBuf[:0], to.rest...)
	for _, n := range to.nodes {
		cb.patternBuf = append(cb.patternBuf, n.exact...)
	}
	slices.Sort(cb.patternBuf)
	_, known := cb.matchSets.find(cb.patternBuf)
	isClass := len(cb.patternBuf) > 0 && !known
	ends := seg.example == "" && cb.quirks&target.EmptySegments == 0 // an empty segment is the last one
	if !isClass && (ends || cb.isSeen(cb.keyOf(to.nodes, to.restID))) {
		return
	}
	to.path = from.path + "/" + seg.example
	to.label = to.path
	if from.label != from.path || seg.label != seg.example {
		to.label = from.label + "/" + seg.label
	}
	if isClass && isCanonical(to.path, cb.quirks) {
		cb.matchSets.intern(cb.patternBuf)
		cb.classes = append(cb.classes, pathClass{to.label, to.path, slices.Clone(cb.patternBuf)})
	}
	if !ends {
		cb.enqueue(to)
	}
}

// isCanonical keeps out what no request comes with, such as /.. for /.*.
func isCanonical(path string, quirks target.Quirks) bool {
	canonical, err := target.ParseWith(path, quirks)
	return err == nil && canonical.String() == path
}

// expand goes on from a place by every kind of segment that differs there.
func (cb *classBuilder) expand(p walkState) error {
	cb.segPatterns = cb.segPatterns[:0]
	ends := 0
	for _, n := range p.nodes {
		cb.segPatterns = append(cb.segPatterns, n.segPatterns...)
		ends += len(n.exact)
	}
	if len(cb.segPatterns)+ends == 0 && p.path != "" { // all that follows is of the class that is noted
		return nil
	}
	if len(cb.segPatterns) == 0 && cb.isExhausted(p) {
		return nil
	}
	if len(p.nodes) > 1 {
		slices.Sort(cb.segPatterns)
		cb.segPatterns = slices.Compact(cb.segPatterns)
	}
	classes, err := cb.segmentClasses(cb.segPatterns)
	if err != nil {
		return err
	}
	for i := range classes {
		cb.step(p, &classes[i])
	}
	return nil
}

// isExhausted reports whether the place after one without further pieces is known, with
// its class: only patterns that match whatever follows are left.
func (cb *classBuilder) isExhausted(p walkState) bool {
	_, noted := cb.matchSets.find(p.rest)
	return len(p.rest) == 0 || noted && cb.isSeen(cb.keyOf(nil, p.restID))
}

// step goes on from a place by one kind of segment.
func (cb *classBuilder) step(p walkState, seg *segmentClass) {
	cb.nextNodes = cb.nextNodes[:0]
	for _, n := range p.nodes {
		for _, segPattern := range seg.segPatterns {
			if child := n.child(segPattern); child != nil {
				cb.nextNodes = append(cb.nextNodes, child)
			}
		}
	}
	to := walkState{nodes: cb.nextNodes, rest: p.rest, restID: p.restID}
	if len(to.nodes) == 0 && len(to.rest) == 0 {
		return
	}
	if len(to.nodes) > 1 {
		slices.SortFunc(to.nodes, func(a, b *patternNode) int { return a.id - b.id })
	}
	more := false
	for _, n := range to.nodes {
		if len(n.rest) > 0 {
			to.rest, more = slices.Concat(to.rest, n.rest), true
		}
	}
	if more {
		slices.Sort(to.rest)
		to.restID = cb.restSets.intern(to.rest)
	}
	cb.addTransition(p, seg, to)
}

// segmentClasses remembers how globs cut segments: the same ones often meet again. What it gives
// is good until it is called again.
func (cb *classBuilder) segmentClasses(segPatterns []string) ([]segmentClass, error) {
	if !slices.ContainsFunc(segPatterns, isGlob) {
		return cb.literalClasses(segPatterns), nil
	}
	key := strings.Join(segPatterns, "/")
	if classes, known := cb.segmentClassCache[key]; known {
		return classes, nil
	}
	classes, err := segmentClassesOf(slices.Clone(segPatterns), cb.quirks)
	cb.segmentClassCache[key] = classes
	return classes, err
}

// literalClasses is segmentClassesOf for literals and *.
func (cb *classBuilder) literalClasses(segPatterns []string) []segmentClass {
	cb.wordBuf = append(slices.Grow(cb.wordBuf[:0], 2+2*len(segPatterns)), "")
	for _, segPattern := range segPatterns {
		if segPattern != target.AnySegment && segPattern != "" {
			cb.wordBuf = append(cb.wordBuf, segPattern, target.AnySegment)
		}
	}
	cb.wordBuf = append(cb.wordBuf, target.AnySegment)
	cb.literalBuf = append(slices.Grow(cb.literalBuf[:0], 2+len(segPatterns)),
		segmentClass{segPatterns: cb.wordBuf[:1]})
	for i := 1; i+1 < len(cb.wordBuf); i += 2 {
		cb.literalBuf = append(cb.literalBuf, segmentClass{cb.wordBuf[i], cb.wordBuf[i], cb.wordBuf[i : i+2]})
	}
	others := cb.wordBuf[len(cb.wordBuf)-1:]
	cb.literalBuf = append(cb.literalBuf, segmentClass{unusedSegment(segPatterns), target.AnySegment, others})
	return cb.literalBuf
}

// nameClasses gives each class the pattern whose plainest paths are in it: what /** means
// together with /a/** is every other path.
func (cb *classBuilder) nameClasses(patterns []string) {
	named := make([]bool, len(cb.classes))
	unnamed := len(cb.classes)
	placeholders := strings.Repeat("/"+placeholder, cb.root.depth()+1)
	for _, pattern := range patterns {
		i, found := cb.matchSets.find(cb.matchPath(simplestExample(pattern, placeholders)))
		if found && !named[i] {
			named[i] = true
			unnamed--
			cb.classes[i].Label = pattern
		}
	}
	if unnamed == 0 {
		return
	}
	labels := make(map[string]bool, len(cb.classes))
	for i, isNamed := range named {
		if isNamed {
			labels[cb.classes[i].Label] = true
		}
	}
	for i := range cb.classes {
		if c := &cb.classes[i]; !named[i] && labels[c.Label] {
			c.Label = c.Example // a class may be hard to tell; a path of it is not
		} else if !named[i] {
			labels[c.Label] = true
		}
	}
}

const placeholder = "%07" // in no pattern: target refuses control characters

// simplestExample gives the path of a pattern that as few others as possible match.
func simplestExample(pattern, placeholders string) string {
	rest, endsInRest := strings.CutSuffix(pattern, "/"+target.AnyRest)
	path := strings.ReplaceAll(rest, target.AnySegment, placeholder)
	if endsInRest {
		path += placeholders
	}
	return path
}

// matchPath walks one path through the trie. What it gives is good until it is called
// again.
func (cb *classBuilder) matchPath(path string) []int {
	nodes, next := append(cb.nextNodes[:0], cb.root), cb.spare
	matched := append(cb.patternBuf[:0], cb.root.rest...)
	for path != "" && len(nodes) > 0 {
		var segment string
		segment, path = target.CutSegment(path)
		isLiteral := !strings.Contains(segment, target.AnySegment)
		next = next[:0]
		for _, n := range nodes {
			if literal := n.child(segment); literal != nil && isLiteral {
				next = append(next, literal)
			}
			for _, segPattern := range n.wildcards {
				if target.MatchSegment(segment, segPattern) {
					next = append(next, n.child(segPattern))
				}
			}
		}
		for _, n := range next {
			matched = append(matched, n.rest...)
		}
		nodes, next = next, nodes
	}
	for _, n := range nodes {
		matched = append(matched, n.exact...)
	}
	slices.Sort(matched)
	cb.nextNodes, cb.spare, cb.patternBuf = nodes, next, matched
	return matched
}

// methodClasses gives the methods that rows tell apart: each that is named, in
// order, and * for all others together, if a row names them. HEAD goes with
// GET unless a row names it.
func methodClasses(rows []*policy.Row) []string {
	named := map[string]bool{}
	for _, row := range rows {
		for m := range strings.SplitSeq(row.Methods, policy.MethodSeparator) {
			named[m] = true
		}
	}
	others := named[policy.AnyMethod]
	delete(named, policy.AnyMethod)
	methods := slices.Sorted(maps.Keys(named))
	if others {
		methods = append(methods, policy.AnyMethod)
	}
	return methods
}

// ExampleMethod gives a method to ask with, for a class among methodClasses.
func ExampleMethod(class string, classes []string) string {
	if class != policy.AnyMethod {
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

// Overlaps reports whether some path matches a pattern and one of those below a
// branch: the overlaps of two patterns, for many at once.
func (n *patternNode) Overlaps(pattern string) bool {
	switch {
	case len(n.rest) > 0 || pattern == "/"+target.AnyRest:
		return true
	case pattern == "":
		return len(n.exact) > 0
	}
	segPattern, rest := target.CutSegment(pattern)
	segPatterns := n.wildcards
	if strings.Contains(segPattern, target.AnySegment) {
		segPatterns = n.segPatterns
	} else if child := n.child(segPattern); child != nil && child.Overlaps(rest) {
		return true
	}
	return slices.ContainsFunc(segPatterns, func(other string) bool {
		return target.OverlapsSegment(segPattern, other) && n.child(other).Overlaps(rest)
	})
}
