package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// MaxVisits bounds how many nodes and groups of rows any one path may make the
// index look at, so that no request takes long, whatever it asks for. Patterns
// that part at a star again and again would otherwise double it at each segment.
const MaxVisits = 1000

// lookupCost says what the worst path makes the index look at from each node on.
type lookupCost struct {
	visits           []int
	costliestLiteral []uint32 // node → its heaviest literal child, or 0
}

// computeCost counts at each node what no path escapes, every child with a star,
// and of the literal children the heaviest: a path meets no more than one.
func (x *index) computeCost() lookupCost {
	b := lookupCost{make([]int, len(x.nodes)), make([]uint32, len(x.nodes))}
	for i := uint32(len(x.nodes)) - 1; i > 0; i-- { // children come after their parents
		n := &x.nodes[i]
		visits := 1 + x.groupCount(n.rest) + x.groupCount(n.exact)
		for _, child := range x.matchableChildren(b, i) {
			visits += b.visits[child]
		}
		b.visits[i] = min(visits, 1<<30)
		literal := !strings.Contains(n.segment, target.AnySegment)
		if costliest := &b.costliestLiteral[n.parent]; literal && b.visits[i] > b.visits[*costliest] {
			*costliest = i
		}
	}
	return b
}

func (x *index) groupCount(pattern uint32) int {
	return int(x.groupStart[pattern+1] - x.groupStart[pattern])
}

// matchableChildren gives the children of a node that one path may all meet.
func (x *index) matchableChildren(b lookupCost, at uint32) []uint32 {
	n := &x.nodes[at]
	var children []uint32
	if literal := b.costliestLiteral[at]; literal != 0 {
		children = append(children, literal)
	}
	for wild := n.wild; wild != 0; wild = x.nodes[wild].nextWild {
		children = append(children, wild)
	}
	return children
}

// checkCost finds the upstream where a path may cost most, and names rows that
// are to blame if it is too much.
func (x *index) checkCost(faults *fault.List) {
	b := x.computeCost()
	roots := []uint32{x.wildcardRoot}
	byName := slices.Sorted(maps.Keys(x.roots))
	if len(byName) > 0 {
		costliest := slices.MaxFunc(byName, func(u, v string) int { return cmp.Compare(b.visits[x.roots[u]], b.visits[x.roots[v]]) })
		roots = append(roots, x.roots[costliest])
	}
	visits := 0
	for _, root := range roots {
		visits += b.visits[root]
	}
	if visits <= MaxVisits {
		return
	}
	for _, row := range x.costliestRows(b, roots) {
		faults.Add(row.At, fmt.Sprintf("path %s overlaps with too many others: one request may have to be held against %d parts of patterns, and %d are allowed", text.Quote(row.Path), visits, MaxVisits),
			"end more of them with /**, or have fewer that differ in a * at the same segment")
	}
}

// costliestRows gives some rows from the heaviest branches below some nodes.
func (x *index) costliestRows(b lookupCost, pending []uint32) []*Row {
	const limit = 8
	first := x.firstRows()
	byCost := func(u, v uint32) int { return cmp.Compare(b.visits[u], b.visits[v]) }
	slices.SortStableFunc(pending, byCost)
	var rows []*Row
	for len(pending) > 0 && len(rows) < limit {
		at := pending[len(pending)-1]
		n := &x.nodes[at]
		for _, pattern := range []uint32{n.rest, n.exact} {
			if pattern != 0 {
				rows = append(rows, x.rows[first[pattern]])
			}
		}
		children := x.matchableChildren(b, at)
		slices.SortStableFunc(children, byCost)
		pending = append(pending[:len(pending)-1], children...)
	}
	return rows
}

// firstRows gives for each pattern the row that brought it.
func (x *index) firstRows() []uint32 {
	first := make([]uint32, len(x.groupStart)-1)
	for pattern := range first {
		first[pattern] = noRow
		for _, g := range x.groups[x.groupStart[pattern]:x.groupStart[pattern+1]] {
			first[pattern] = min(first[pattern], g.firstRow)
		}
	}
	return first
}
