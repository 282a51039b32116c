package pathspace

import (
	"slices"
)

// setInterner numbers sets of numbers, given in ascending order, from 0 on. Two sets
// have the same number only if they are equal: a hash finds them, and they are compared.
type setInterner struct {
	heads   map[uint64]uint32 // hash → the last set with it, plus 1
	sets    []internedSet
	members []int // of all sets, one after the other
}

type internedSet struct {
	begin, end uint32 // its members
	next       uint32 // another set with the same hash, plus 1; 0: none
}

// grow makes room for so many sets.
func (si *setInterner) grow(sets int) {
	si.heads = make(map[uint64]uint32, sets)
	si.sets = make([]internedSet, 0, sets)
	si.members = make([]int, 0, 2*sets)
}

func hashOf(set []int) uint64 {
	sum := uint64(1)
	for _, member := range set {
		sum = (sum ^ uint64(member)) * 0x9e3779b97f4a7c15
		sum ^= sum >> 32
	}
	return sum
}

// find gives the number of a set, if it has one.
func (si *setInterner) find(set []int) (id uint32, known bool) {
	return si.findFrom(si.heads[hashOf(set)], set)
}

func (si *setInterner) findFrom(head uint32, set []int) (id uint32, known bool) {
	for ; head != 0; head = si.sets[head-1].next {
		s := si.sets[head-1]
		if slices.Equal(si.members[s.begin:s.end], set) {
			return head - 1, true
		}
	}
	return 0, false
}

// intern gives the number of a set, the next one if it has none.
func (si *setInterner) intern(set []int) uint32 {
	sum := hashOf(set)
	head := si.heads[sum]
	if id, known := si.findFrom(head, set); known {
		return id
	}
	if si.heads == nil {
		si.heads = map[uint64]uint32{}
	}
	begin := uint32(len(si.members))
	si.members = append(si.members, set...)
	si.sets = append(si.sets, internedSet{begin, uint32(len(si.members)), head})
	si.heads[sum] = uint32(len(si.sets))
	return uint32(len(si.sets) - 1)
}
