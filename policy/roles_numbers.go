package policy

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
)

// wordSize is how many subjects one word of a subjectSet holds.
const wordSize = 64

// subjectSet is a set of numbered subjects: its words that are not empty, in
// order. Somebody is a few of many thousand subjects, so most words are empty.
type subjectSet []setWord

type setWord struct {
	at   uint32 // the word is of the subjects from at*wordSize on
	bits uint64
}

func wordOf(id uint32) setWord { return setWord{id / wordSize, 1 << (id % wordSize)} }

// asSet makes a set of words in any order, in place.
func asSet(words []setWord) subjectSet {
	slices.SortFunc(words, func(a, b setWord) int { return cmp.Compare(a.at, b.at) })
	last := 0
	for i := 1; i < len(words); i++ {
		if words[i].at == words[last].at {
			words[last].bits |= words[i].bits
			continue
		}
		last++
		words[last] = words[i]
	}
	return words[:min(last+1, len(words))]
}

// numbering numbers every name that stands in a policy, and knows what each of
// them brings. Snapshots are told apart by theirs.
type numbering struct {
	ids    map[string]uint32
	names  []string
	ruled  uint32       // how many are subjects of p rows: those are numbered first
	brings []subjectSet // id → itself and every role that it leads to; nil: itself alone
}

func numberSubjects(rows []*Row, grants []grant) *numbering {
	n := &numbering{ids: make(map[string]uint32, len(rows)/4+len(grants))}
	for _, row := range rows {
		n.add(row.Subject)
	}
	n.ruled = uint32(len(n.names))
	for _, g := range grants {
		n.add(g.member)
		n.add(g.role)
	}
	n.close(grants)
	return n
}

func (n *numbering) add(name string) {
	if !n.has(name) {
		n.ids[name] = uint32(len(n.names))
		n.names = append(n.names, name)
	}
}

// close follows the grants to their ends, from every name. Load has seen to it
// that they go in no circle and end after maxChain of them, so that this is what
// casbin's role manager finds (see checkRoles).
func (n *numbering) close(grants []grant) {
	n.brings = make([]subjectSet, len(n.names))
	granted := make([][]uint32, len(n.names))
	for _, g := range grants {
		member := n.ids[g.member]
		granted[member] = append(granted[member], n.ids[g.role])
	}
	var closed func(id uint32) subjectSet
	closed = func(id uint32) subjectSet {
		if n.brings[id] == nil && len(granted[id]) > 0 {
			words := []setWord{wordOf(id)}
			for _, role := range granted[id] {
				if closed(role) == nil {
					words = append(words, wordOf(role))
				}
				words = append(words, n.brings[role]...)
			}
			n.brings[id] = slices.Clip(asSet(words))
		}
		return n.brings[id]
	}
	for id := range granted {
		closed(uint32(id))
	}
}

func (n *numbering) has(name string) bool {
	_, numbered := n.ids[name]
	return numbered
}

// appendBrought adds a subject, and the roles that it leads to. Names that the
// policy does not hold bring nothing.
func (n *numbering) appendBrought(words []setWord, name string) []setWord {
	id, known := n.ids[name]
	switch {
	case !known:
		return words
	case n.brings[id] == nil:
		return append(words, wordOf(id))
	}
	return append(words, n.brings[id]...)
}

// ruledOf gives those in a set that p rows speak of.
func (n *numbering) ruledOf(set subjectSet) subjectSet {
	var ruled subjectSet
	for _, word := range set {
		if last := n.ruled / wordSize; word.at > last {
			break
		} else if word.at == last {
			word.bits &= 1<<(n.ruled%wordSize) - 1
		}
		if word.bits != 0 {
			ruled = append(ruled, word)
		}
	}
	return ruled
}

// spelled gives the names in a set: roles and others, each sorted.
func (n *numbering) spelled(set subjectSet) (roles, others []string) {
	for _, word := range set {
		for left := word.bits; left != 0; left &= left - 1 {
			name := n.names[word.at*wordSize+uint32(bits.TrailingZeros64(left))]
			if strings.HasPrefix(name, rolePrefix) {
				roles = append(roles, name)
			} else {
				others = append(others, name)
			}
		}
	}
	slices.Sort(roles)
	slices.Sort(others)
	return roles, others
}

// fingerprint tells sets apart, but for one in 2^64.
func (s subjectSet) fingerprint() uint64 {
	sum := uint64(1)
	for _, word := range s {
		sum = stir(stir(sum, uint64(word.at)), word.bits)
	}
	return sum
}

// stir mixes one more number into a fingerprint (the finaliser of MurmurHash3). A
// fingerprint must not begin at 0: a 0 more would leave no trace in it.
func stir(sum, more uint64) uint64 {
	sum = bits.RotateLeft64(sum, 29) ^ more
	sum ^= sum >> 33
	sum *= 0xff51afd7ed558ccd
	sum ^= sum >> 33
	sum *= 0xc4ceb9fe1a85ec53
	return sum ^ sum>>33
}
