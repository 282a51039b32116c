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
	roots         map[string]uint32 // upstream → root
	wildcardRoot  uint32            // root of the rows of upstream *
	acceptUnknown bool              // other upstreams are let in, too: by the rows of *

	methodBits map[string]uint8 // method → its bit; others have bit otherMethod
	rows       []Row            // those of the snapshot

	groups     []rowGroup // a pattern is the number of its first group, which denies if one of them does
	words      []groupWord
	rowNumbers []uint32 // row numbers, one for each bit of the words
}

// rowGroup is the rows of one pattern with the same methods and effect.
type rowGroup struct {
	methods  uint64
	firstRow uint32 // the lowest of its row numbers
	words    uint32 // how many words it has; 0: it is one row, as most are
	at       uint32 // the first of them; the subject of its one row
	effect   Effect
	last     bool // the next one is of another pattern
}

// groupWord holds the subjects of a group, 64 at a time.
type groupWord struct {
	index      uint32
	firstRowAt uint32 // where in rowNumbers the row of the lowest bit stands; the others follow
	bits       uint64
}

const (
	otherMethod = 0
	maxMethods  = 63
	noRow       = math.MaxUint32
)

// indexDecision is an answer of the index, and a fingerprint of the question as far as
// the answer depends on it, but for the subjects: upstream, method, and the
// patterns that the path matches. casbin looks at a path through these alone.
type indexDecision struct {
	Decision
	matchHash uint64
}

// decide finds the first row that denies, else the first that allows.
func (x *index) decide(q *Request) indexDecision {
	w := x.newLookup(q.Upstream, q.Method)
	w.subjects = q.Roles.set.bits
	w.matchPath(q.Path.String())
	return indexDecision{w.decision(), w.matchHash}
}

// matchedPatterns is a request whose patterns are known already.
type matchedPatterns struct {
	lookup
	patterns []uint32
}

// matchPatterns walks a path once, to answer for many people.
func (x *index) matchPatterns(upstream, path, method string) matchedPatterns {
	var patterns []uint32
	w := x.newLookup(upstream, method)
	w.collected = &patterns
	w.matchPath(path)
	return matchedPatterns{w, patterns}
}

func (m matchedPatterns) decide(subjects subjectSet) Decision {
	w := m.lookup
	w.subjects = subjects
	for _, pattern := range m.patterns {
		w.evaluateRows(pattern)
	}
	return w.decision()
}

// lookup is one request on its way through the index.
type lookup struct {
	*index
	root                  uint32
	method                uint64 // its bit
	subjects              subjectSet
	matchHash             uint64
	firstDeny, firstAllow uint32    // the lowest row numbers so far
	collected             *[]uint32 // if not nil, patterns are gathered here and not evaluated
}

func (x *index) newLookup(upstream, method string) lookup {
	root := x.roots[upstream]
	return lookup{
		index: x, root: root, method: 1 << x.methodBits[method],
		matchHash: mixHash(uint64(root)+1, uint64(x.methodBits[method])),
		firstDeny: noRow, firstAllow: noRow,
	}
}

// matchPath visits the patterns of the upstream, and those of every upstream.
func (l *lookup) matchPath(path string) {
	if l.root == 0 && !l.acceptUnknown {
		return
	}
	if l.root != 0 {
		l.descend(l.root, path)
	}
	l.descend(l.wildcardRoot, path)
}

// descend goes down from a node with what is left of the path. It calls itself only
// where patterns part, and Load has bounded how often they do (see MaxVisits).
func (l *lookup) descend(at uint32, path string) {
	for {
		n := &l.nodes[at]
		if n.rest != 0 {
			l.patternMatched(n.rest)
		}
		if path == "" {
			if n.exact != 0 {
				l.patternMatched(n.exact)
			}
			return
		}
		segment, below := target.CutSegment(path)
		next := l.literal(n, segment)
		for wild := n.wild; wild != 0; wild = l.nodes[wild].nextWild {
			if !target.MatchSegment(segment, l.texts[l.nodes[wild].text]) {
				continue
			}
			if next != 0 {
				l.descend(next, below)
			}
			next = wild
		}
		if next == 0 {
			return
		}
		at, path = next, below
	}
}

// patternMatched takes note of a pattern that matches.
func (l *lookup) patternMatched(pattern uint32) {
	if l.collected != nil {
		*l.collected = append(*l.collected, pattern)
		return
	}
	l.matchHash = mixHash(l.matchHash, uint64(pattern))
	l.evaluateRows(pattern)
}

func (l *lookup) decision() Decision {
	switch {
	case l.firstDeny != noRow:
		return Decision{Effect: Deny, Row: &l.rows[l.firstDeny]}
	case l.firstAllow != noRow:
		return Decision{Effect: Allow, Row: &l.rows[l.firstAllow]}
	}
	return Decision{}
}

// evaluateRows looks for rows of a pattern that match the method and the subjects.
func (l *lookup) evaluateRows(pattern uint32) {
	for i := pattern; ; i++ {
		g := &l.groups[i]
		best := &l.firstAllow
		if g.effect == Deny {
			best = &l.firstDeny
		}
		if g.methods&l.method != 0 && g.firstRow < *best {
			*best = min(*best, l.firstMatchingRow(g))
		}
		if g.last {
			return
		}
	}
}

// firstMatchingRow gives the lowest number among the rows of a group that concern a user.
func (l *lookup) firstMatchingRow(g *rowGroup) uint32 {
	subjects := l.subjects
	if g.words == 0 {
		if subjects.has(g.at) {
			return g.firstRow
		}
		return noRow
	}
	group := l.words[g.at : g.at+g.words]
	lowest := uint32(noRow)
	for len(group) > 0 && len(subjects) > 0 {
		switch {
		case group[0].index < subjects[0].index:
			group = group[gallopSearch(group, subjects[0].index):]
		case group[0].index > subjects[0].index:
			subjects = subjects[gallopSearch(subjects, group[0].index):]
		default:
			for both := group[0].bits & subjects[0].bits; both != 0; both &= both - 1 {
				below := both&-both - 1
				lowest = min(lowest, l.rowNumbers[group[0].firstRowAt+uint32(bits.OnesCount64(group[0].bits&below))])
			}
			group, subjects = group[1:], subjects[1:]
		}
	}
	return lowest
}

func (w groupWord) wordIndex() uint32 { return w.index }
func (w setWord) wordIndex() uint32   { return w.index }

// gallopSearch finds the first word at or after a position. It takes ever longer steps
// and then halves them, so that few words are soon found among many.
func gallopSearch[W interface{ wordIndex() uint32 }](words []W, wordIndex uint32) int {
	end := 1
	for end < len(words) && words[end].wordIndex() < wordIndex {
		end *= 2
	}
	begin := end / 2
	end = min(end, len(words))
	for begin < end {
		if middle := int(uint(begin+end) / 2); words[middle].wordIndex() < wordIndex {
			begin = middle + 1
		} else {
			end = middle
		}
	}
	return begin
}
