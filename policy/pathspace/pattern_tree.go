package pathspace

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// patternNode is a node of the trie of patterns. Its children are pieces of patterns:
// literals, * and globs.
type patternNode struct {
	id          int
	segPatterns []string                // sorted
	children    []*patternNode          // of the pieces, in the same order
	wildcards   []string                // those of pieces that hold a *
	childIndex  map[string]*patternNode // of the pieces; nil where they are few
	exact       []int                   // patterns that end here
	rest        []int                   // patterns that go on with /**
}

// maxLinearChildren are found faster one by one than by a map.
const maxLinearChildren = 8

func NewPatternTree(patterns []string) *patternNode {
	count := 0
	var pool []patternNode // nodes are made many at a time
	node := func() *patternNode {
		if len(pool) == 0 {
			pool = make([]patternNode, max(16, min(len(patterns), 256)))
		}
		b := &pool[0]
		pool, b.id = pool[1:], count
		count++
		return b
	}
	root := node()
	for i, pattern := range patterns {
		at := root
		for rest := pattern; ; {
			if rest == "" {
				at.exact = append(at.exact, i)
				break
			}
			if rest == "/"+target.AnyRest {
				at.rest = append(at.rest, i)
				break
			}
			var segPattern string
			segPattern, rest = target.CutSegment(rest)
			child := at.child(segPattern)
			if child == nil {
				child = node()
				at.add(segPattern, child)
			}
			at = child
		}
	}
	root.sort()
	return root
}

func (n *patternNode) add(segPattern string, child *patternNode) {
	n.segPatterns, n.children = append(n.segPatterns, segPattern), append(n.children, child)
	switch {
	case n.childIndex != nil:
		n.childIndex[segPattern] = child
	case len(n.segPatterns) > maxLinearChildren:
		n.childIndex = map[string]*patternNode{}
		for i, segPattern := range n.segPatterns {
			n.childIndex[segPattern] = n.children[i]
		}
	}
}

// child finds the child for a piece, or nil.
func (n *patternNode) child(segPattern string) *patternNode {
	if n.childIndex != nil {
		return n.childIndex[segPattern]
	}
	for i, p := range n.segPatterns {
		if p == segPattern {
			return n.children[i]
		}
	}
	return nil
}

func (n *patternNode) sort() {
	for _, child := range n.children {
		child.sort()
	}
	if len(n.segPatterns) > 1 && !slices.IsSorted(n.segPatterns) {
		byPiece := make(map[string]*patternNode, len(n.segPatterns))
		for i, segPattern := range n.segPatterns {
			byPiece[segPattern] = n.children[i]
		}
		slices.Sort(n.segPatterns)
		for i, segPattern := range n.segPatterns {
			n.children[i] = byPiece[segPattern]
		}
	}
	for _, segPattern := range n.segPatterns {
		if strings.Contains(segPattern, target.AnySegment) {
			n.wildcards = append(n.wildcards, segPattern)
		}
	}
}

// depth is the length of the longest pattern below.
func (n *patternNode) depth() int {
	deepest := 0
	for _, child := range n.children {
		deepest = max(deepest, 1+child.depth())
	}
	return deepest
}
