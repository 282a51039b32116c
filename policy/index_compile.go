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

// compile makes the index of a policy. Upstreams that are nil are not known: any
// may be asked about.
func compile(rows []Row, ids *subjectIDs, upstreams []string, faults *fault.List) *index {
	x := &index{
		trie: newTrie(2 * len(rows)), roots: make(map[string]uint32), acceptUnknown: upstreams == nil,
		rows: rows,
	}
	x.wildcardRoot = x.newNode(0, "")
	for _, upstream := range upstreams {
		if upstream != AnyUpstream && x.roots[upstream] == 0 {
			x.roots[upstream] = x.newNode(0, "")
		}
	}
	if x.methodBits = assignMethodBits(rows, faults); x.methodBits == nil {
		return nil
	}
	entries := make([]indexEntry, len(rows))
	methodMasks := map[string]uint64{} // what stands in a row → bits
	patterns := uint32(0)
	for i := range rows {
		row := &rows[i]
		slot := x.insert(x.rootFor(row.Upstream), row.Path)
		if *slot == 0 {
			patterns++
			*slot = patterns
		}
		if _, done := methodMasks[row.Methods]; !done {
			methodMasks[row.Methods] = x.methodMask(row.Methods)
		}
		entries[i] = indexEntry{*slot, row.Effect, methodMasks[row.Methods], ids.byName[row.Subject], uint32(i)}
	}
	x.arrange(entries, patterns)
	slices.SortFunc(entries, indexEntry.compare)
	x.fill(entries, patterns)
	x.clip()
	x.checkCost(faults)
	return x
}

// arrange renumbers the nodes and the patterns, one upstream after the other.
func (x *index) arrange(entries []indexEntry, patterns uint32) {
	names, roots := slices.Sorted(maps.Keys(x.roots)), []uint32{x.wildcardRoot}
	for _, name := range names {
		roots = append(roots, x.roots[name])
	}
	nodes, renumbered := x.trie.arrange(roots, patterns)
	x.wildcardRoot = nodes[x.wildcardRoot]
	for _, name := range names {
		x.roots[name] = nodes[x.roots[name]]
	}
	for i := range entries {
		entries[i].pattern = renumbered[entries[i].pattern]
	}
}

func (x *index) rootFor(upstream string) uint32 {
	if upstream == AnyUpstream {
		return x.wildcardRoot
	}
	if x.roots[upstream] == 0 {
		x.roots[upstream] = x.newNode(0, "")
	}
	return x.roots[upstream]
}

// indexEntry is a row on its way into the index.
type indexEntry struct {
	pattern uint32
	effect  Effect
	methods uint64
	subject uint32
	row     uint32
}

func (e indexEntry) compare(other indexEntry) int {
	return cmp.Or(
		cmp.Compare(e.pattern, other.pattern),
		cmp.Compare(e.effect, other.effect), // Deny is first
		cmp.Compare(e.methods, other.methods),
		cmp.Compare(e.subject, other.subject),
		cmp.Compare(e.row, other.row),
	)
}

// fill makes groups of sorted entries.
func (x *index) fill(entries []indexEntry, patterns uint32) {
	x.groupStart = make([]uint32, 1, patterns+2) // pattern 0 is none, and has no groups
	x.rowNumbers = make([]uint32, 0, len(entries))
	x.groups, x.words = make([]rowGroup, 0, len(entries)), make([]groupWord, 0, len(entries))
	var last indexEntry
	for i, e := range entries {
		if i == 0 || e.pattern != last.pattern {
			x.groupStart = append(x.groupStart, uint32(len(x.groups)))
		}
		newGroup := i == 0 || e.pattern != last.pattern || e.effect != last.effect || e.methods != last.methods
		switch {
		case newGroup:
			begin := uint32(len(x.words))
			x.groups = append(x.groups, rowGroup{e.methods, e.row, begin, begin, e.subject, e.effect, true})
		case e.subject == last.subject:
			continue // a later row that says the same in other words, as PUT|GET and GET|PUT
		}
		g := &x.groups[len(x.groups)-1]
		g.firstRow, g.single = min(g.firstRow, e.row), newGroup
		word := wordOf(e.subject)
		if newGroup || x.words[len(x.words)-1].index != word.index {
			x.words = append(x.words, groupWord{word.index, uint32(len(x.rowNumbers)), 0})
			g.end++
		}
		x.words[len(x.words)-1].bits |= word.bits
		x.rowNumbers = append(x.rowNumbers, e.row)
		last = e
	}
	x.groupStart = append(x.groupStart, uint32(len(x.groups)))
}

// clip gives back what the arrays were grown by in excess.
func (x *index) clip() {
	x.nodes, x.groups, x.words = slices.Clone(x.nodes), slices.Clone(x.groups), slices.Clone(x.words)
}

// assignMethodBits gives each method that rows name a bit, and HEAD one in any case.
func assignMethodBits(rows []Row, faults *fault.List) map[string]uint8 {
	methods := map[string]uint8{"HEAD": otherMethod + 1}
	seen := map[string]bool{AnyMethod: true}
	for i := range rows {
		row := &rows[i]
		if seen[row.Methods] {
			continue
		}
		seen[row.Methods] = true
		for m := range strings.SplitSeq(row.Methods, MethodSeparator) {
			if _, known := methods[m]; known {
				continue
			}
			if len(methods) == maxMethods {
				faults.Add(row.At, fmt.Sprintf("method %s is one more than the %d that a policy can tell apart "+
					"(HEAD is one of them)", text.Quote(m), maxMethods),
					"write * where every method is meant")
				return nil
			}
			methods[m] = uint8(len(methods) + 1)
		}
	}
	return methods
}

// methodMask gives the bits of the methods that a row covers.
func (x *index) methodMask(methods string) uint64 {
	if MatchMethod("", methods) { // no method, so *
		return ^uint64(0)
	}
	var mask uint64
	for m, bit := range x.methodBits {
		if MatchMethod(m, methods) {
			mask |= 1 << bit
		}
	}
	return mask
}

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
		costliest := slices.MaxFunc(byName,
			func(u, v string) int { return cmp.Compare(b.visits[x.roots[u]], b.visits[x.roots[v]]) })
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
		faults.Add(row.At, fmt.Sprintf("path %s overlaps with too many others: one request may have to be held "+
			"against %d parts of patterns, and %d are allowed", text.Quote(row.Path), visits, MaxVisits),
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
				rows = append(rows, &x.rows[first[pattern]])
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
