package policy

import (
	"math"
	"math/bits"

	"github.com/example-org/authgate/target"
)

// index answers what casbin would, from rows compiled into flat arrays: a trie
// from paths to patterns, for each pattern groups of rows that cover the same
// methods to the same effect, for each group the subjects as bits. It is
// immutable, and a decision costs no allocation.
type index struct {
	*trie
	roots      map[string]uint32 // upstream → root
	everywhere uint32            // root of the rows of upstream *
	open       bool              // other upstreams are let in, too: by the rows of *

	methods map[string]uint8 // method → its bit; others have bit otherMethod
	rows    []*Row

	groupsOf []uint32    // pattern → its first group; one more than there are patterns
	groups   []ruleGroup // of each pattern those that deny first
	words    []groupWord
	rowsOf   []uint32 // row numbers, one for each bit of the words
}

// ruleGroup is the rows of one pattern with the same methods and effect.
type ruleGroup struct {
	methods    uint64
	first      uint32 // the lowest of its row numbers
	begin, end uint32 // its words
	effect     Effect
}

// groupWord holds the subjects of a group, 64 at a time.
type groupWord struct {
	at   uint32
	rows uint32 // where in rowsOf the row of the lowest bit stands; the others follow
	bits uint64
}

const (
	otherMethod = 0
	maxMethods  = 63
	noRow       = math.MaxUint32
)

// verdict is an answer of the index, and a fingerprint of the question as far as
// the answer depends on it, but for the subjects: upstream, method, and the
// patterns that the path matches. casbin looks at a path through these alone.
type verdict struct {
	Decision
	class uint64
}

// decide finds the first row that denies, else the first that allows.
func (x *index) decide(q *Request) verdict {
	w := x.walk(q.Upstream, q.Method)
	w.held = q.Roles.bits
	w.both(q.Path.String())
	return verdict{w.decision(), w.class}
}

// walked is a request whose patterns are known already.
type walked struct {
	indexWalk
	patterns []uint32
}

// matching walks a path once, to answer for many people.
func (x *index) matching(upstream, path, method string) walked {
	var patterns []uint32
	w := x.walk(upstream, method)
	w.gathered = &patterns
	w.both(path)
	return walked{w, patterns}
}

func (m walked) decide(held subjectSet) Decision {
	w := m.indexWalk
	w.held = held
	for _, pattern := range m.patterns {
		w.weigh(pattern)
	}
	return w.decision()
}

// indexWalk is one request on its way through the index.
type indexWalk struct {
	*index
	root           uint32
	method         uint64 // its bit
	held           subjectSet
	class          uint64
	denies, allows uint32    // the lowest row numbers so far
	gathered       *[]uint32 // if not nil, patterns are gathered here and not weighed
}

func (x *index) walk(upstream, method string) indexWalk {
	root := x.roots[upstream]
	return indexWalk{
		index: x, root: root, method: 1 << x.methods[method], class: stir(uint64(root)+1, uint64(x.methods[method])),
		denies: noRow, allows: noRow,
	}
}

// both visits the patterns of the upstream, and those of every upstream.
func (w *indexWalk) both(path string) {
	if w.root == 0 && !w.open {
		return
	}
	if w.root != 0 {
		w.visit(w.root, path)
	}
	w.visit(w.everywhere, path)
}

// visit goes down from a node with what is left of the path. It calls itself only
// where patterns part, and Load has bounded how often they do (see maxVisits).
func (w *indexWalk) visit(at uint32, path string) {
	for {
		n := &w.nodes[at]
		if n.rest != 0 {
			w.match(n.rest)
		}
		if path == "" {
			if n.exact != 0 {
				w.match(n.exact)
			}
			return
		}
		segment, below := target.CutSegment(path)
		next := w.literal(at, segment)
		for wild := n.wild; wild != 0; wild = w.nodes[wild].nextWild {
			if !target.MatchSegment(segment, w.nodes[wild].segment) {
				continue
			}
			if next != 0 {
				w.visit(next, below)
			}
			next = wild
		}
		if next == 0 {
			return
		}
		at, path = next, below
	}
}

// match takes note of a pattern that matches.
func (w *indexWalk) match(pattern uint32) {
	if w.gathered != nil {
		*w.gathered = append(*w.gathered, pattern)
		return
	}
	w.class = stir(w.class, uint64(pattern))
	w.weigh(pattern)
}

func (w *indexWalk) decision() Decision {
	switch {
	case w.denies != noRow:
		return Decision{Effect: Deny, Rule: w.rows[w.denies]}
	case w.allows != noRow:
		return Decision{Effect: Allow, Rule: w.rows[w.allows]}
	}
	return Decision{}
}

// weigh looks for rows of a pattern that speak of the method and the subjects.
func (w *indexWalk) weigh(pattern uint32) {
	for i := w.groupsOf[pattern]; i < w.groupsOf[pattern+1]; i++ {
		g := &w.groups[i]
		best := &w.allows
		if g.effect == Deny {
			best = &w.denies
		}
		if g.methods&w.method != 0 && g.first < *best {
			*best = min(*best, w.lowest(w.words[g.begin:g.end]))
		}
	}
}

// lowest gives the lowest number among the rows of a group that speak of somebody.
func (w *indexWalk) lowest(group []groupWord) uint32 {
	lowest := uint32(noRow)
	held := w.held
	for len(group) > 0 && len(held) > 0 {
		switch {
		case group[0].at < held[0].at:
			group = group[atLeast(group, held[0].at):]
		case group[0].at > held[0].at:
			held = held[atLeast(held, group[0].at):]
		default:
			for both := group[0].bits & held[0].bits; both != 0; both &= both - 1 {
				below := both&-both - 1
				lowest = min(lowest, w.rowsOf[group[0].rows+uint32(bits.OnesCount64(group[0].bits&below))])
			}
			group, held = group[1:], held[1:]
		}
	}
	return lowest
}

func (w groupWord) place() uint32 { return w.at }
func (w setWord) place() uint32   { return w.at }

// atLeast finds the first word at or behind a place. It takes ever longer steps
// and then halves them, so that few words are soon found among many.
func atLeast[W interface{ place() uint32 }](words []W, place uint32) int {
	end := 1
	for end < len(words) && words[end].place() < place {
		end *= 2
	}
	begin := end / 2
	end = min(end, len(words))
	for begin < end {
		if middle := int(uint(begin+end) / 2); words[middle].place() < place {
			begin = middle + 1
		} else {
			end = middle
		}
	}
	return begin
}
