package policy

import (
	"hash/maphash"
	"strings"

	"github.com/example-org/authgate/target"
)

// trie holds patterns of paths, segment by segment, in flat arrays: node 0 is
// none, and every upstream has a root of its own. Children come after their
// parents. A large policy does not fit into the caches of a processor: what one path
// looks at is neighbours in memory (see arrange).
type trie struct {
	nodes []trieNode
	seed  maphash.Seed
	slots []trieSlot // hash table (parent, literal segment) → child, open addressing
	used  int
}

// scannedLiterals is how many literal children of an arranged node are compared one by one. Those
// of a node with more are in the hash table.
const scannedLiterals = 4

// trieNode is a place in patterns. Where its segment holds a star,
// target.MatchSegment says what it matches.
type trieNode struct {
	segment  string
	parent   uint32
	literals uint32 // how many literal children it has
	literal  uint32 // the first of them, and the others follow; 0: not arranged yet
	wild     uint32 // first child with a star in its segment
	nextWild uint32 // the next such child of the same parent
	exact    uint32 // pattern that ends here
	rest     uint32 // pattern that ends here with a segment **
}

type trieSlot struct {
	tag   uint32 // half of the hash, so that most misses touch no node
	child uint32 // 0: free
}

func newTrie(room int) *trie {
	return &trie{nodes: make([]trieNode, 1, room), seed: maphash.MakeSeed(), slots: make([]trieSlot, 16)}
}

func (t *trie) newNode(parent uint32, segment string) uint32 {
	t.nodes = append(t.nodes, trieNode{segment: segment, parent: parent})
	return uint32(len(t.nodes) - 1)
}

// insert gives the place of a pattern below a root: the field that holds its
// number, good until the next insert.
func (t *trie) insert(root uint32, pattern string) *uint32 {
	at := root
	for pattern != "" {
		if pattern == "/"+target.AnyRest {
			return &t.nodes[at].rest
		}
		var segment string
		segment, pattern = target.CutSegment(pattern)
		at = t.child(at, segment)
	}
	return &t.nodes[at].exact
}

// child finds or makes the child for a segment of a pattern.
func (t *trie) child(at uint32, segment string) uint32 {
	if strings.Contains(segment, target.AnySegment) {
		for wild := t.nodes[at].wild; wild != 0; wild = t.nodes[wild].nextWild {
			if t.nodes[wild].segment == segment {
				return wild
			}
		}
		wild := t.newNode(at, segment)
		t.nodes[wild].nextWild = t.nodes[at].wild
		t.nodes[at].wild = wild
		return wild
	}
	if known := t.literal(at, segment); known != 0 {
		return known
	}
	t.grow()
	child := t.newNode(at, segment)
	t.nodes[at].literals++
	t.store(child)
	return child
}

func (t *trie) hash(parent uint32, segment string) uint64 {
	return maphash.String(t.seed, segment) ^ uint64(parent)*0x9e3779b97f4a7c15
}

// literal finds the child for just this segment, or 0.
func (t *trie) literal(parent uint32, segment string) uint32 {
	if n := &t.nodes[parent]; n.literals == 0 {
		return 0
	} else if n.literal != 0 && n.literals <= scannedLiterals {
		for child := n.literal; child < n.literal+n.literals; child++ {
			if t.nodes[child].segment == segment {
				return child
			}
		}
		return 0
	}
	sum := t.hash(parent, segment)
	mask := uint32(len(t.slots) - 1)
	for i := uint32(sum) & mask; ; i = (i + 1) & mask {
		slot := t.slots[i]
		if slot.child == 0 {
			return 0
		}
		if slot.tag != uint32(sum>>32) {
			continue
		}
		if n := &t.nodes[slot.child]; n.parent == parent && n.segment == segment {
			return slot.child
		}
	}
}

// grow keeps the table at most three quarters full, for one more.
func (t *trie) grow() {
	if 4*(t.used+1) <= 3*len(t.slots) {
		return
	}
	old := t.slots
	t.slots, t.used = make([]trieSlot, 2*len(old)), 0
	for _, slot := range old {
		if slot.child != 0 {
			t.store(slot.child)
		}
	}
}

func (t *trie) store(child uint32) {
	sum := t.hash(t.nodes[child].parent, t.nodes[child].segment)
	mask := uint32(len(t.slots) - 1)
	i := uint32(sum) & mask
	for t.slots[i].child != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = trieSlot{uint32(sum >> 32), child}
	t.used++
}

// arrange renumbers the nodes and patterns: those below a root follow each other, and so do few
// children of a node; each of many is followed by what is below it. Segments of the same text
// share it. It gives the new number of each old node and of each old pattern, and nothing is
// inserted any more.
func (t *trie) arrange(roots []uint32, patterns uint32) (nodeNumbers, patternNumbers []uint32) {
	old, children := t.nodes, t.literalChildren()
	nodeNumbers, patternNumbers = make([]uint32, len(old)), make([]uint32, patterns+1)
	t.nodes = make([]trieNode, 1, len(old))
	texts := make(map[string]string)
	place := func(at uint32) {
		n := old[at]
		if _, known := texts[n.segment]; !known {
			texts[n.segment] = strings.Clone(n.segment)
		}
		n.segment = texts[n.segment]
		nodeNumbers[at] = uint32(len(t.nodes))
		t.nodes = append(t.nodes, n)
	}
	var placeBelow func(at uint32)
	placeBelow = func(at uint32) {
		if len(children[at]) > 0 {
			t.nodes[nodeNumbers[at]].literal = uint32(len(t.nodes))
		}
		below := children[at]
		for wild := old[at].wild; wild != 0; wild = old[wild].nextWild {
			below = append(below, wild)
		}
		scanned := len(children[at]) <= scannedLiterals
		for _, child := range below {
			if place(child); !scanned {
				placeBelow(child)
			}
		}
		for _, child := range below {
			if scanned {
				placeBelow(child)
			}
		}
	}
	for _, root := range roots {
		place(root)
		placeBelow(root)
	}
	numbered := uint32(0)
	for i := range t.nodes {
		n := &t.nodes[i]
		n.parent, n.wild, n.nextWild = nodeNumbers[n.parent], nodeNumbers[n.wild], nodeNumbers[n.nextWild]
		for _, pattern := range []*uint32{&n.rest, &n.exact} {
			if *pattern != 0 {
				numbered++
				patternNumbers[*pattern] = numbered
				*pattern = numbered
			}
		}
	}
	t.rehash()
	return nodeNumbers, patternNumbers
}

// literalChildren gives the literal children of each node.
func (t *trie) literalChildren() [][]uint32 {
	children := make([][]uint32, len(t.nodes))
	all := make([]uint32, len(t.nodes))
	for i := range t.nodes {
		n := &t.nodes[i]
		children[i], all = all[:0:n.literals], all[n.literals:]
	}
	for i := uint32(1); i < uint32(len(t.nodes)); i++ {
		if n := &t.nodes[i]; n.parent != 0 && !strings.Contains(n.segment, target.AnySegment) {
			children[n.parent] = append(children[n.parent], i)
		}
	}
	return children
}

// rehash fills a new table with the children that are not compared one by one.
func (t *trie) rehash() {
	t.slots, t.used = make([]trieSlot, 16), 0
	for i := range t.nodes {
		n := &t.nodes[i]
		if t.nodes[n.parent].literals > scannedLiterals && !strings.Contains(n.segment, target.AnySegment) {
			t.grow()
			t.store(uint32(i))
		}
	}
}
