package policy

import "slices"

// setNumbers numbers sets of numbers, given in ascending order, from 0 on. Two sets
// have the same number only if they are equal: a hash finds them, and they are compared.
type setNumbers struct {
	last    map[uint64]uint32 // hash → the last set with it, plus 1
	sets    []numberedSet
	members []int // of all sets, one after the other
}

type numberedSet struct {
	begin, end uint32 // its members
	earlier    uint32 // another set with the same hash, plus 1; 0: none
}

// grow makes room for so many sets.
func (n *setNumbers) grow(sets int) {
	n.last = make(map[uint64]uint32, sets)
	n.sets = make([]numberedSet, 0, sets)
	n.members = make([]int, 0, 2*sets)
}

func hashOf(set []int) uint64 {
	sum := uint64(1)
	for _, member := range set {
		sum = stir(sum, uint64(member))
	}
	return sum
}

// find gives the number of a set, if it has one.
func (n *setNumbers) find(set []int) (number uint32, known bool) {
	return n.among(n.last[hashOf(set)], set)
}

func (n *setNumbers) among(last uint32, set []int) (number uint32, known bool) {
	for ; last != 0; last = n.sets[last-1].earlier {
		s := n.sets[last-1]
		if slices.Equal(n.members[s.begin:s.end], set) {
			return last - 1, true
		}
	}
	return 0, false
}

// number gives the number of a set, the next one if it has none.
func (n *setNumbers) number(set []int) uint32 {
	sum := hashOf(set)
	last := n.last[sum]
	if number, known := n.among(last, set); known {
		return number
	}
	if n.last == nil {
		n.last = map[uint64]uint32{}
	}
	begin := uint32(len(n.members))
	n.members = append(n.members, set...)
	n.sets = append(n.sets, numberedSet{begin, uint32(len(n.members)), last})
	n.last[sum] = uint32(len(n.sets))
	return uint32(len(n.sets) - 1)
}
