package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// compile makes the index of a policy. Upstreams that are nil are not known: any
// may be asked about.
func compile(rows []*Row, known *numbering, upstreams []string, faults *fault.List) *index {
	x := &index{trie: newTrie(2 * len(rows)), roots: make(map[string]uint32), open: upstreams == nil, rows: rows}
	x.everywhere = x.newNode(0, "")
	for _, upstream := range upstreams {
		if upstream != anyUpstream && x.roots[upstream] == 0 {
			x.roots[upstream] = x.newNode(0, "")
		}
	}
	if x.methods = numberMethods(rows, faults); x.methods == nil {
		return nil
	}
	entries := make([]entry, len(rows))
	covered := map[string]uint64{} // what stands in a row → bits
	patterns := uint32(0)
	for i, row := range rows {
		place := x.insert(x.rootFor(row.Upstream), row.Path)
		if *place == 0 {
			patterns++
			*place = patterns
		}
		if _, done := covered[row.Methods]; !done {
			covered[row.Methods] = x.coverage(row.Methods)
		}
		entries[i] = entry{*place, row.Effect, covered[row.Methods], known.ids[row.Subject], uint32(i)}
	}
	slices.SortFunc(entries, entry.compare)
	x.fill(entries, patterns)
	x.slim()
	x.checkBurden(faults)
	return x
}

func (x *index) rootFor(upstream string) uint32 {
	if upstream == anyUpstream {
		return x.everywhere
	}
	if x.roots[upstream] == 0 {
		x.roots[upstream] = x.newNode(0, "")
	}
	return x.roots[upstream]
}

// entry is a row on its way into the index.
type entry struct {
	pattern uint32
	effect  Effect
	methods uint64
	subject uint32
	row     uint32
}

func (e entry) compare(other entry) int {
	return cmp.Or(
		cmp.Compare(e.pattern, other.pattern),
		cmp.Compare(e.effect, other.effect), // Deny is first
		cmp.Compare(e.methods, other.methods),
		cmp.Compare(e.subject, other.subject),
		cmp.Compare(e.row, other.row),
	)
}

// fill makes groups of sorted entries.
func (x *index) fill(entries []entry, patterns uint32) {
	x.groupsOf = make([]uint32, 1, patterns+2) // pattern 0 is none, and has no groups
	x.rowsOf = make([]uint32, 0, len(entries))
	x.groups, x.words = make([]ruleGroup, 0, len(entries)), make([]groupWord, 0, len(entries))
	var last entry
	for i, e := range entries {
		if i == 0 || e.pattern != last.pattern {
			x.groupsOf = append(x.groupsOf, uint32(len(x.groups)))
		}
		newGroup := i == 0 || e.pattern != last.pattern || e.effect != last.effect || e.methods != last.methods
		switch {
		case newGroup:
			begin := uint32(len(x.words))
			x.groups = append(x.groups, ruleGroup{e.methods, e.row, begin, begin, e.effect})
		case e.subject == last.subject:
			continue // a later row that says the same in other words, as PUT|GET and GET|PUT
		}
		g := &x.groups[len(x.groups)-1]
		g.first = min(g.first, e.row)
		word := wordOf(e.subject)
		if newGroup || x.words[len(x.words)-1].at != word.at {
			x.words = append(x.words, groupWord{word.at, uint32(len(x.rowsOf)), 0})
			g.end++
		}
		x.words[len(x.words)-1].bits |= word.bits
		x.rowsOf = append(x.rowsOf, e.row)
		last = e
	}
	x.groupsOf = append(x.groupsOf, uint32(len(x.groups)))
}

// slim gives back what the arrays were grown by in excess.
func (x *index) slim() {
	x.nodes, x.groups, x.words = slices.Clone(x.nodes), slices.Clone(x.groups), slices.Clone(x.words)
}

// numberMethods gives each method that rows name a bit, and HEAD one in any case.
func numberMethods(rows []*Row, faults *fault.List) map[string]uint8 {
	methods := map[string]uint8{"HEAD": otherMethod + 1}
	seen := map[string]bool{anyMethod: true}
	for _, row := range rows {
		if seen[row.Methods] {
			continue
		}
		seen[row.Methods] = true
		for m := range strings.SplitSeq(row.Methods, methodSeparator) {
			if _, numbered := methods[m]; numbered {
				continue
			}
			if len(methods) == maxMethods {
				faults.Add(row.at, fmt.Sprintf("method %s is one more than the %d that a policy can tell apart (HEAD is one of them)", quote(m), maxMethods),
					"write * where every method is meant")
				return nil
			}
			methods[m] = uint8(len(methods) + 1)
		}
	}
	return methods
}

// coverage gives the bits of the methods that a row covers.
func (x *index) coverage(methods string) uint64 {
	if matchMethod("", methods) { // no method, so *
		return ^uint64(0)
	}
	var covered uint64
	for m, bit := range x.methods {
		if matchMethod(m, methods) {
			covered |= 1 << bit
		}
	}
	return covered
}
