package policy

import (
	"hash/maphash"
	"math/bits"
	"strings"

	"github.com/example-org/authgate/target"
)

// trie holds patterns of paths, segment by segment, in one array: node 0 is none, and every
// upstream has a root of its own. Children come after their parents.
//
// A large policy does not fit into the caches of a processor. What one path looks at is
// therefore little and close together: a node is one cache line that holds its segment, and the
// literal children of a node are neighbours. Those of a node with many are a hash table.
type trie struct {
	nodes []trieNode
	texts []string // segments with a star, and those too long for their node
	seed  maphash.Seed
}

// scannedLiterals is how many literal children of a node are compared one by one.
const scannedLiterals = 4

// trieNode is a place in patterns, of 64 bytes. Where its segment holds a star,
// target.MatchSegment says what it matches.
type trieNode struct {
	short    [31]byte // its segment
	length   uint8    // of the segment
	text     uint32   // place of the segment in texts; 0: it is in short
	parent   uint32   // 0: a root, or a free place of a hash table
	literals uint32   // first place of its literal children
	places   uint32   // how many there are: above scannedLiterals a power of two, some of them free
	wild     uint32   // first child with a star in its segment
	nextWild uint32   // the next such child of the same parent
	exact    uint32   // pattern that ends here
	rest     uint32   // pattern that ends here with a segment **
}

// isSegment reports whether a node that is not wild is for a segment of a path.
func (t *trie) isSegment(n *trieNode, segment string) bool {
	if n.text != 0 {
		return t.texts[n.text] == segment
	}
	return string(n.short[:n.length]) == segment
}

// literal finds the child for just this segment, or 0.
func (t *trie) literal(n *trieNode, segment string) uint32 {
	if n.places <= scannedLiterals {
		for child := n.literals; child < n.literals+n.places; child++ {
			if t.isSegment(&t.nodes[child], segment) {
				return child
			}
		}
		return 0
	}
	for i := uint32(maphash.String(t.seed, segment)); ; i++ {
		child := n.literals + i&(n.places-1)
		if t.nodes[child].parent == 0 {
			return 0
		}
		if t.isSegment(&t.nodes[child], segment) {
			return child
		}
	}
}

// trieBuilder takes patterns in any order. Its node 0 is none, too.
type trieBuilder struct {
	nodes    []builderNode
	children map[builderChild]uint32 // literal ones
	wilds    int                     // how many nodes have a star
	texts    map[string]uint32       // segment → its place in the texts of the trie
}

type builderNode struct {
	segment     string
	literals    uint32 // how many literal children it has
	literal     uint32 // the newest of them
	nextLiteral uint32 // the next older one of the same parent
	wild        uint32
	nextWild    uint32
	exact       uint32
	rest        uint32
	placed      uint32 // its number in the trie
}

type builderChild struct {
	parent  uint32
	segment string
}

func newTrieBuilder(room int) *trieBuilder {
	return &trieBuilder{
		nodes: make([]builderNode, 1, room), children: make(map[builderChild]uint32, room),
		texts: make(map[string]uint32),
	}
}

func (b *trieBuilder) newNode(segment string) uint32 {
	b.nodes = append(b.nodes, builderNode{segment: segment})
	return uint32(len(b.nodes) - 1)
}

// insert gives the place of a pattern below a root: the field that holds its
// number, good until the next insert.
func (b *trieBuilder) insert(root uint32, pattern string) *uint32 {
	at := root
	for pattern != "" {
		if pattern == "/"+target.AnyRest {
			return &b.nodes[at].rest
		}
		var segment string
		segment, pattern = target.CutSegment(pattern)
		if strings.Contains(segment, target.AnySegment) {
			at = b.wildChild(at, segment)
		} else {
			at = b.literalChild(at, segment)
		}
	}
	return &b.nodes[at].exact
}

// wildChild finds or makes the child for a segment with a star.
func (b *trieBuilder) wildChild(at uint32, segment string) uint32 {
	for wild := b.nodes[at].wild; wild != 0; wild = b.nodes[wild].nextWild {
		if b.nodes[wild].segment == segment {
			return wild
		}
	}
	wild := b.newNode(segment)
	b.nodes[wild].nextWild = b.nodes[at].wild
	b.nodes[at].wild = wild
	b.wilds++
	return wild
}

// literalChild finds or makes the child for a segment without a star.
func (b *trieBuilder) literalChild(at uint32, segment string) uint32 {
	if newest := b.nodes[at].literal; newest != 0 && b.nodes[newest].segment == segment {
		return newest // rows about the same part of an upstream follow each other
	}
	key := builderChild{at, segment}
	if known := b.children[key]; known != 0 {
		return known
	}
	child := b.newNode(segment)
	b.nodes[child].nextLiteral = b.nodes[at].literal
	b.nodes[at].literal = child
	b.nodes[at].literals++
	b.children[key] = child
	return child
}

// places gives how many places the literal children of a node take.
func (n *builderNode) places() uint32 {
	if n.literals <= scannedLiterals {
		return n.literals
	}
	return 1 << bits.Len32(n.literals+n.literals/3-1) // at most three quarters are taken
}

// build lays the nodes out, one upstream after the other, and numbers the patterns in that
// order. It gives the new number of each root, and of each pattern.
func (b *trieBuilder) build(roots []uint32, patterns uint32) (t *trie, rootNumbers, patternNumbers []uint32) {
	size := 1 + len(roots) + b.wilds
	for i := range b.nodes {
		size += int(b.nodes[i].places())
	}
	t = &trie{nodes: make([]trieNode, 1, size), texts: make([]string, 1), seed: maphash.MakeSeed()}
	for _, root := range roots {
		b.nodes[root].placed = t.allot(1)
		rootNumbers = append(rootNumbers, b.nodes[root].placed)
		b.layOutBelow(t, root)
	}
	patternNumbers = make([]uint32, patterns+1)
	numbered := uint32(0)
	for i := range t.nodes {
		for _, pattern := range []*uint32{&t.nodes[i].rest, &t.nodes[i].exact} {
			if *pattern != 0 {
				numbered++
				patternNumbers[*pattern] = numbered
				*pattern = numbered
			}
		}
	}
	return t, rootNumbers, patternNumbers
}

// layOutBelow fills a node that has a place, and lays out what is below it.
func (b *trieBuilder) layOutBelow(t *trie, at uint32) {
	from := &b.nodes[at]
	n := &t.nodes[from.placed]
	n.exact, n.rest = from.exact, from.rest
	n.places = from.places()
	n.literals = t.allot(n.places)
	next := n.literals
	for child := from.literal; child != 0; child = b.nodes[child].nextLiteral {
		if n.places > scannedLiterals {
			next = t.freePlace(n, b.nodes[child].segment)
		}
		b.place(t, child, from.placed, next)
		next++
	}
	previous := &n.wild
	for wild := from.wild; wild != 0; wild = b.nodes[wild].nextWild {
		number := t.allot(1)
		b.place(t, wild, from.placed, number)
		*previous, previous = number, &t.nodes[number].nextWild
	}
	for child := from.literal; child != 0; child = b.nodes[child].nextLiteral {
		b.layOutBelow(t, child)
	}
	for wild := from.wild; wild != 0; wild = b.nodes[wild].nextWild {
		b.layOutBelow(t, wild)
	}
}

// allot takes some places, for which build has made room, and gives the first of them.
func (t *trie) allot(places uint32) uint32 {
	first := uint32(len(t.nodes))
	t.nodes = t.nodes[:first+places]
	return first
}

// freePlace finds a free place in the hash table of a node's children.
func (t *trie) freePlace(n *trieNode, segment string) uint32 {
	i := uint32(maphash.String(t.seed, segment))
	for t.nodes[n.literals+i&(n.places-1)].parent != 0 {
		i++
	}
	return n.literals + i&(n.places-1)
}

// place puts a segment where a node has its place.
func (b *trieBuilder) place(t *trie, from, parent, number uint32) {
	segment := b.nodes[from].segment
	b.nodes[from].placed = number
	n := &t.nodes[number]
	n.parent = parent
	switch wild := strings.Contains(segment, target.AnySegment); {
	case wild || len(segment) > len(n.short):
		n.text = b.texts[segment]
		if n.text == 0 {
			n.text = uint32(len(t.texts))
			t.texts = append(t.texts, strings.Clone(segment))
			b.texts[segment] = n.text
		}
	default:
		n.length = uint8(copy(n.short[:], segment))
	}
}

// isWild reports whether the segment of a node has a star.
func (t *trie) isWild(n *trieNode) bool {
	return n.text != 0 && strings.Contains(t.texts[n.text], target.AnySegment)
}
