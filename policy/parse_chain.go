package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// maxChain is how many g rows casbin's role manager follows from one name; it
// drops what lies behind without a word.
const maxChain = 10

// checkNames finds roles that lead to nothing, which is how a misspelt role
// looks. A role with rules and without members is no fault: it waits for its
// first member, or is asked for in a dry run.
func checkNames(grants []grant, ruled subjects, faults *fault.List) {
	inheriting, granted := subjects{}, subjects{}
	for _, g := range grants {
		inheriting[g.member] = struct{}{}
		granted[g.role] = struct{}{}
	}
	useful, held := rolesOf(ruled, inheriting), rolesOf(ruled, granted)
	said := subjects{}
	complain := func(at fault.Position, role, what, mend string, known []string) {
		if said.has(role) {
			return
		}
		said[role] = struct{}{}
		faults.Add(at, role+" "+what, orElse(similar(role, known), mend))
	}
	for _, g := range grants {
		if strings.HasPrefix(g.member, rolePrefix) && !ruled.has(g.member) && !granted.has(g.member) {
			complain(g.memberAt, g.member, "is used but has no rules and no members", "add rows for it", held)
		}
		if !ruled.has(g.role) && !inheriting.has(g.role) {
			complain(g.roleAt, g.role, "is granted but has no rules and inherits none", "add a p row for it", useful)
		}
	}
}

// rolesOf gives the roles in two sets, sorted, each once.
func rolesOf(a, b subjects) []string {
	var roles []string
	for _, set := range []subjects{a, b} {
		for name := range set {
			if strings.HasPrefix(name, rolePrefix) {
				roles = append(roles, name)
			}
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// similar guesses at the role that was meant. In large policies it does not try:
// the work grows with the square of the names.
func similar(role string, known []string) string {
	const many, long = 1000, 200
	if len(known) > many || len(role) > long {
		return ""
	}
	return fault.DidYouMean(role, slices.DeleteFunc(slices.Clone(known), func(k string) bool {
		return k == role || len(k) > long
	}))
}

// checkChains finds cycles, and chains that casbin would not follow to the end.
//
// It takes names off the graph in order (Kahn's algorithm), each with the length
// of the longest chain that leads to it; what cannot be taken off hangs on a
// cycle. No recursion: a chain may be as long as the file.
func checkChains(grants []grant, faults *fault.List) {
	up := map[string][]int{} // member → its grants
	waiting := map[string]int{}
	for i, g := range grants {
		up[g.member] = append(up[g.member], i)
		waiting[g.role]++
	}
	var ready []string
	for member := range up {
		if waiting[member] == 0 {
			ready = append(ready, member)
		}
	}
	slices.Sort(ready) // so that faults do not change from run to run
	length, via := map[string]int{}, map[string]int{}
	for len(ready) > 0 {
		name := ready[0]
		ready = ready[1:]
		for _, i := range up[name] {
			role := grants[i].role
			if length[name] == maxChain {
				faults.Add(grants[i].roleAt, "the chain of roles "+chainTo(name, grants, via)+" -> "+role+" is longer than 10 g rows",
					"shorten it: grant an inner role directly")
			}
			if length[name]+1 > length[role] {
				length[role], via[role] = length[name]+1, i
			}
			if waiting[role]--; waiting[role] == 0 {
				ready = append(ready, role)
			}
		}
	}
	checkCycles(grants, up, waiting, faults)
}

// chainTo spells out the longest chain that ends in name.
func chainTo(name string, grants []grant, via map[string]int) string {
	names := []string{name}
	for i, more := via[name]; more; i, more = via[grants[i].member] {
		names = append(names, grants[i].member)
	}
	slices.Reverse(names)
	return strings.Join(names, " -> ")
}

// checkCycles reports one cycle in each tangle of the names that still wait, at
// the row that came last and so closed it.
func checkCycles(grants []grant, up map[string][]int, waiting map[string]int, faults *fault.List) {
	inCycles := tangled(grants, waiting)
	walked := map[string]int{} // name → the walk that came by
	for walk, g := range grants {
		if !inCycles(g.member) || walked[g.member] != 0 {
			continue
		}
		var path []int
		name := g.member
		for walked[name] == 0 { // every name in here has a next one
			walked[name] = walk + 1
			next := slices.IndexFunc(up[name], func(i int) bool { return inCycles(grants[i].role) })
			path = append(path, up[name][next])
			name = grants[up[name][next]].role
		}
		if walked[name] == walk+1 { // and not an earlier one, which told of it
			begin := slices.IndexFunc(path, func(i int) bool { return grants[i].member == name })
			reportCycle(path[begin:], grants, faults)
		}
	}
}

// tangled takes away, from the names that wait, those that a cycle only leads
// to. Each name that is left has a grant to another one that is left.
func tangled(grants []grant, waiting map[string]int) func(name string) bool {
	down := map[string][]int{} // role → its grants
	leads := map[string]int{}  // name → grants to names that are left
	for i, g := range grants {
		if waiting[g.role] > 0 {
			down[g.role] = append(down[g.role], i)
			leads[g.member]++
		}
	}
	var gone []string
	for role := range down {
		if leads[role] == 0 {
			gone = append(gone, role)
		}
	}
	for len(gone) > 0 {
		role := gone[0]
		gone = gone[1:]
		for _, i := range down[role] {
			if leads[grants[i].member]--; leads[grants[i].member] == 0 {
				gone = append(gone, grants[i].member)
			}
		}
	}
	return func(name string) bool { return waiting[name] > 0 && leads[name] > 0 }
}

func reportCycle(cycle []int, grants []grant, faults *fault.List) {
	last := slices.Index(cycle, slices.Max(cycle))
	closing := grants[cycle[last]]
	names := []string{closing.member}
	for n := range cycle {
		names = append(names, grants[cycle[(last+n)%len(cycle)]].role)
	}
	const most = 12
	if len(names) > most {
		names = append(append(names[:most/2:most/2], "..."), names[len(names)-most/2:]...)
	}
	faults.Add(closing.memberAt, "roles go in a circle: "+strings.Join(names, " -> "), "delete this row or another one of the circle")
}
