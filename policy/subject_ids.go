package policy

import (
	"cmp"
	"math/bits"
	"slices"
)

// wordSize is how many subjects one word of a subjectSet holds.
const wordSize = 64

// subjectSet is a set of numbered subjects: its words that are not empty, in
// order. A user is a few of many thousand subjects, so most words are empty.
type subjectSet []setWord

type setWord struct {
	index uint32 // the word is of the subjects from at*wordSize on
	bits  uint64
}

func wordOf(id uint32) setWord { return setWord{id / wordSize, 1 << (id % wordSize)} }

func (s subjectSet) has(id uint32) bool {
	word := wordOf(id)
	i := gallopSearch(s, word.index)
	return i < len(s) && s[i].index == word.index && s[i].bits&word.bits != 0
}

// asSet makes a set of words in any order, in place.
func asSet(words []setWord) subjectSet {
	slices.SortFunc(words, func(a, b setWord) int { return cmp.Compare(a.index, b.index) })
	last := 0
	for i := 1; i < len(words); i++ {
		if words[i].index == words[last].index {
			words[last].bits |= words[i].bits
			continue
		}
		last++
		words[last] = words[i]
	}
	return words[:min(last+1, len(words))]
}

// subjectIDs numbers every name that stands in a policy, and knows what each of
// them brings. Each snapshot has its own.
type subjectIDs struct {
	byName   map[string]uint32
	names    []string
	withRows uint32       // how many are subjects of p rows: those are numbered first
	closure  []subjectSet // id → itself and every role that it leads to; nil: itself alone
}

func newSubjectIDs(rows []*Row, grants []Grant) *subjectIDs {
	n := &subjectIDs{byName: make(map[string]uint32, len(rows)/4+len(grants))}
	for _, row := range rows {
		n.add(row.Subject)
	}
	n.withRows = uint32(len(n.names))
	for _, g := range grants {
		n.add(g.Member)
		n.add(g.Role)
	}
	n.computeClosure(grants)
	return n
}

func (ids *subjectIDs) add(name string) {
	if !ids.has(name) {
		ids.byName[name] = uint32(len(ids.names))
		ids.names = append(ids.names, name)
	}
}

// computeClosure follows the grants to their ends, from every name. Load has seen to it
// that they go in no circle and end after maxChain of them, so that this is what
// casbin's role manager finds (see checkRoles).
func (ids *subjectIDs) computeClosure(grants []Grant) {
	ids.closure = make([]subjectSet, len(ids.names))
	granted := make([][]uint32, len(ids.names))
	for _, g := range grants {
		member := ids.byName[g.Member]
		granted[member] = append(granted[member], ids.byName[g.Role])
	}
	var closureOf func(id uint32) subjectSet
	closureOf = func(id uint32) subjectSet {
		if ids.closure[id] == nil && len(granted[id]) > 0 {
			words := []setWord{wordOf(id)}
			for _, role := range granted[id] {
				if closureOf(role) == nil {
					words = append(words, wordOf(role))
				}
				words = append(words, ids.closure[role]...)
			}
			ids.closure[id] = slices.Clip(asSet(words))
		}
		return ids.closure[id]
	}
	for id := range granted {
		closureOf(uint32(id))
	}
}

func (ids *subjectIDs) has(name string) bool {
	_, numbered := ids.byName[name]
	return numbered
}

// appendClosure adds a subject, and the roles that it leads to. Names that the
// policy does not hold bring nothing.
func (ids *subjectIDs) appendClosure(words []setWord, name string) []setWord {
	id, known := ids.byName[name]
	switch {
	case !known:
		return words
	case ids.closure[id] == nil:
		return append(words, wordOf(id))
	}
	return append(words, ids.closure[id]...)
}

// onlyWithRows gives those in a set that p rows name.
func (ids *subjectIDs) onlyWithRows(set subjectSet) subjectSet {
	var result subjectSet
	for _, word := range set {
		if last := ids.withRows / wordSize; word.index > last {
			break
		} else if word.index == last {
			word.bits &= 1<<(ids.withRows%wordSize) - 1
		}
		if word.bits != 0 {
			result = append(result, word)
		}
	}
	return result
}

// sortedNames gives the names in a set: roles and others, each sorted.
func (ids *subjectIDs) sortedNames(set subjectSet) (roles, others []string) {
	for _, word := range set {
		for remaining := word.bits; remaining != 0; remaining &= remaining - 1 {
			name := ids.names[word.index*wordSize+uint32(bits.TrailingZeros64(remaining))]
			if ParseSubject(name).Kind == KindRole {
				roles = append(roles, name)
			} else {
				others = append(others, name)
			}
		}
	}
	slices.Sort(roles)
	slices.Sort(others)
	return slices.Clone(roles), slices.Clone(others) // they are kept for each user: without room to grow
}

// fingerprint tells sets apart, but for one in 2^64.
func (s subjectSet) fingerprint() uint64 {
	sum := uint64(1)
	for _, word := range s {
		sum = mixHash(mixHash(sum, uint64(word.index)), word.bits)
	}
	return sum
}

// mixHash mixes one more number into a fingerprint (the finaliser of MurmurHash3). A
// fingerprint must not begin at 0: a 0 more would leave no trace in it.
func mixHash(sum, value uint64) uint64 {
	sum = bits.RotateLeft64(sum, 29) ^ value
	sum ^= sum >> 33
	sum *= 0xff51afd7ed558ccd
	sum ^= sum >> 33
	sum *= 0xc4ceb9fe1a85ec53
	return sum ^ sum>>33
}
