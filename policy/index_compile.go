package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
)

// compile makes the index of a policy. Upstreams that are nil are not known: any
// may be asked about.
func compile(rows []Row, ids *subjectIDs, upstreams []string, faults *fault.List) *index {
	x := &index{roots: make(map[string]uint32), acceptUnknown: upstreams == nil, rows: rows}
	patterns := newTrieBuilder(2 * len(rows))
	x.wildcardRoot = patterns.newNode("")
	for _, upstream := range upstreams {
		x.rootFor(upstream, patterns)
	}
	if x.methodBits = assignMethodBits(rows, faults); x.methodBits == nil {
		return nil
	}
	entries := make([]indexEntry, len(rows))
	methodMasks := map[string]uint64{} // what stands in a row → bits
	count := uint32(0)                 // of patterns
	for i := range rows {
		row := &rows[i]
		pattern := patterns.insert(x.rootFor(row.Upstream, patterns), row.Path)
		if *pattern == 0 {
			count++
			*pattern = count
		}
		if _, done := methodMasks[row.Methods]; !done {
			methodMasks[row.Methods] = x.methodMask(row.Methods)
		}
		entries[i] = indexEntry{*pattern, row.Effect, methodMasks[row.Methods], ids.byName[row.Subject], uint32(i)}
	}
	x.arrange(patterns, entries, count)
	slices.SortFunc(entries, indexEntry.compare)
	x.fill(entries, count)
	x.checkCost(faults)
	return x
}

// arrange lays the patterns out and renumbers them, one upstream after the other.
func (x *index) arrange(patterns *trieBuilder, entries []indexEntry, count uint32) {
	names, roots := slices.Sorted(maps.Keys(x.roots)), []uint32{x.wildcardRoot}
	for _, name := range names {
		roots = append(roots, x.roots[name])
	}
	var numbers []uint32
	x.trie, roots, numbers = patterns.build(roots, count)
	x.wildcardRoot = roots[0]
	for i, name := range names {
		x.roots[name] = roots[1+i]
	}
	for i := range entries {
		entries[i].pattern = numbers[entries[i].pattern]
	}
}

func (x *index) rootFor(upstream string, patterns *trieBuilder) uint32 {
	if upstream == AnyUpstream {
		return x.wildcardRoot
	}
	root := x.roots[upstream]
	if root == 0 {
		root = patterns.newNode("")
		x.roots[upstream] = root
	}
	return root
}

// indexEntry is a row on its way into the index.
type indexEntry struct {
	pattern uint32
	effect  Effect
	methods uint64
	subject uint32
	row     uint32
}

// isGroupedWith reports whether two entries are of one rowGroup.
func (e indexEntry) isGroupedWith(other indexEntry) bool {
	return e.pattern == other.pattern && e.effect == other.effect && e.methods == other.methods
}

func (e indexEntry) compare(other indexEntry) int {
	if e.pattern != other.pattern { // mostly
		return cmp.Compare(e.pattern, other.pattern)
	}
	return cmp.Or(
		cmp.Compare(e.effect, other.effect), // Deny is first
		cmp.Compare(e.methods, other.methods),
		cmp.Compare(e.subject, other.subject),
		cmp.Compare(e.row, other.row),
	)
}

// fill makes groups of sorted entries, after group 0, which is none, and has nodes name them.
func (x *index) fill(entries []indexEntry, patterns uint32) {
	x.groups = make([]rowGroup, 1, 1+len(entries))
	firstGroup := make([]uint32, patterns+1)
	for len(entries) > 0 {
		first, count := entries[0], 1
		for count < len(entries) && entries[count].isGroupedWith(first) {
			count++
		}
		if firstGroup[first.pattern] == 0 {
			x.groups[len(x.groups)-1].last = true
			firstGroup[first.pattern] = uint32(len(x.groups))
		}
		x.groups = append(x.groups, x.newGroup(entries[:count]))
		entries = entries[count:]
	}
	x.groups[len(x.groups)-1].last = true
	x.groups = slices.Clone(x.groups) // made for more, kept for long
	for i := range x.nodes {
		n := &x.nodes[i]
		n.exact, n.rest = firstGroup[n.exact], firstGroup[n.rest]
	}
}

// newGroup makes a group of entries that differ in subject and row only. Of rows with the same
// subject, the first counts: later ones say the same in other words, as PUT|GET and GET|PUT.
func (x *index) newGroup(entries []indexEntry) rowGroup {
	last := entries[0]
	g := rowGroup{methods: last.methods, firstRow: last.row, at: last.subject, effect: last.effect}
	if entries[len(entries)-1].subject == last.subject {
		return g
	}
	g.at = uint32(len(x.words))
	for i, e := range entries {
		if i > 0 && e.subject == last.subject {
			continue
		}
		word := wordOf(e.subject)
		if g.words == 0 || x.words[len(x.words)-1].index != word.index {
			x.words = append(x.words, groupWord{word.index, uint32(len(x.rowNumbers)), 0})
			g.words++
		}
		x.words[len(x.words)-1].bits |= word.bits
		x.rowNumbers = append(x.rowNumbers, e.row)
		g.firstRow = min(g.firstRow, e.row)
		last = e
	}
	return g
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
		visits := 1 + x.groupCount(n.rest) + x.groupCount(n.exact) + b.visits[b.costliestLiteral[i]]
		for wild := n.wild; wild != 0; wild = x.nodes[wild].nextWild {
			visits += b.visits[wild]
		}
		b.visits[i] = min(visits, 1<<30)
		if costliest := &b.costliestLiteral[n.parent]; b.visits[i] > b.visits[*costliest] && !x.isWild(n) {
			*costliest = i
		}
	}
	return b
}

func (x *index) groupCount(pattern uint32) int { return len(x.groupsOf(pattern)) }

// groupsOf gives the groups of a pattern.
func (x *index) groupsOf(pattern uint32) []rowGroup {
	if pattern == 0 {
		return nil
	}
	end := pattern + 1
	for !x.groups[end-1].last {
		end++
	}
	return x.groups[pattern:end]
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
	byCost := func(u, v uint32) int { return cmp.Compare(b.visits[u], b.visits[v]) }
	slices.SortStableFunc(pending, byCost)
	var rows []*Row
	for len(pending) > 0 && len(rows) < limit {
		at := pending[len(pending)-1]
		n := &x.nodes[at]
		for _, pattern := range []uint32{n.rest, n.exact} {
			if groups := x.groupsOf(pattern); len(groups) > 0 {
				first := slices.MinFunc(groups, func(g, h rowGroup) int { return cmp.Compare(g.firstRow, h.firstRow) })
				rows = append(rows, &x.rows[first.firstRow])
			}
		}
		children := x.matchableChildren(b, at)
		slices.SortStableFunc(children, byCost)
		pending = append(pending[:len(pending)-1], children...)
	}
	return rows
}
