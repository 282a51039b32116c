package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// branch is a node of the trie of patterns. Its children are pieces of patterns:
// literals, * and globs.
type branch struct {
	id       int
	pieces   []string           // sorted
	kids     []*branch          // of the pieces, in the same order
	wild     []string           // those of pieces that hold a *
	children map[string]*branch // of the pieces; nil where they are few
	ends     []int              // patterns that end here
	tails    []int              // patterns that go on with /**
}

// fewPieces are found faster one by one than by a map.
const fewPieces = 8

func newBranch(patterns []string) *branch {
	count := 0
	var room []branch // nodes are made many at a time
	node := func() *branch {
		if len(room) == 0 {
			room = make([]branch, max(16, min(len(patterns), 256)))
		}
		b := &room[0]
		room, b.id = room[1:], count
		count++
		return b
	}
	root := node()
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
			child := at.child(piece)
			if child == nil {
				child = node()
				at.add(piece, child)
			}
			at = child
		}
	}
	root.sort()
	return root
}

func (b *branch) add(piece string, child *branch) {
	b.pieces, b.kids = append(b.pieces, piece), append(b.kids, child)
	switch {
	case b.children != nil:
		b.children[piece] = child
	case len(b.pieces) > fewPieces:
		b.children = map[string]*branch{}
		for i, piece := range b.pieces {
			b.children[piece] = b.kids[i]
		}
	}
}

// child finds the child for a piece, or nil.
func (b *branch) child(piece string) *branch {
	if b.children != nil {
		return b.children[piece]
	}
	for i, p := range b.pieces {
		if p == piece {
			return b.kids[i]
		}
	}
	return nil
}

func (b *branch) sort() {
	for _, child := range b.kids {
		child.sort()
	}
	if len(b.pieces) > 1 && !slices.IsSorted(b.pieces) {
		byPiece := make(map[string]*branch, len(b.pieces))
		for i, piece := range b.pieces {
			byPiece[piece] = b.kids[i]
		}
		slices.Sort(b.pieces)
		for i, piece := range b.pieces {
			b.kids[i] = byPiece[piece]
		}
	}
	for _, piece := range b.pieces {
		if strings.Contains(piece, target.AnySegment) {
			b.wild = append(b.wild, piece)
		}
	}
}

// depth is the length of the longest pattern below.
func (b *branch) depth() int {
	deepest := 0
	for _, child := range b.kids {
		deepest = max(deepest, 1+child.depth())
	}
	return deepest
}
