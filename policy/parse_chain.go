package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// maxChain is how many g rows casbin's role manager follows from one name; it
// silently drops what follows.
const maxChain = 10

// checkNames finds roles that lead to nothing, which is how a misspelt role
// looks. A role with rules and without members is no fault: it waits for its
// first member, or is asked for in a dry run.
func checkNames(grants []Grant, rowSubjects StringSet, faults *fault.List) {
	inheriting, granted := StringSet{}, StringSet{}
	for _, g := range grants {
		inheriting[g.Member] = struct{}{}
		granted[g.Role] = struct{}{}
	}
	definedRoles, heldRoles := rolesIn(rowSubjects, inheriting), rolesIn(rowSubjects, granted)
	reported := StringSet{}
	report := func(at fault.Position, role, message, hint string, known []string) {
		if reported.Has(role) {
			return
		}
		reported[role] = struct{}{}
		faults.Add(at, role+" "+message, cmp.Or(SuggestRole(role, known), hint))
	}
	for _, g := range grants {
		if ParseSubject(g.Member).Kind == KindRole && !rowSubjects.Has(g.Member) && !granted.Has(g.Member) {
			report(g.MemberAt, g.Member, "is used but has no rules and no members", "add rows for it", heldRoles)
		}
		if !rowSubjects.Has(g.Role) && !inheriting.Has(g.Role) {
			report(g.RoleAt, g.Role, "is granted but has no rules and inherits none", "add a p row for it",
				definedRoles)
		}
	}
}

// rolesIn gives the roles in two sets, sorted, each once.
func rolesIn(a, b StringSet) []string {
	var roles []string
	for _, set := range []StringSet{a, b} {
		for name := range set {
			if ParseSubject(name).Kind == KindRole {
				roles = append(roles, name)
			}
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// SuggestRole guesses at the role that was meant. In large policies it does not try:
// the work grows with the square of the names.
func SuggestRole(role string, known []string) string {
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
func checkChains(grants []Grant, faults *fault.List) {
	up := map[string][]int{} // member → its grants
	inDegree := map[string]int{}
	for i, g := range grants {
		up[g.Member] = append(up[g.Member], i)
		inDegree[g.Role]++
	}
	var ready []string
	for member := range up {
		if inDegree[member] == 0 {
			ready = append(ready, member)
		}
	}
	slices.Sort(ready) // so that faults do not change from run to run
	length, via := map[string]int{}, map[string]int{}
	for len(ready) > 0 {
		name := ready[0]
		ready = ready[1:]
		for _, i := range up[name] {
			role := grants[i].Role
			if length[name] == maxChain {
				faults.Add(grants[i].RoleAt,
					"the chain of roles "+chainText(name, grants, via)+" -> "+role+" is longer than 10 g rows",
					"shorten it: grant an inner role directly")
			}
			if length[name]+1 > length[role] {
				length[role], via[role] = length[name]+1, i
			}
			if inDegree[role]--; inDegree[role] == 0 {
				ready = append(ready, role)
			}
		}
	}
	checkCycles(grants, up, inDegree, faults)
}

// chainText spells out the longest chain that ends in name.
func chainText(name string, grants []Grant, via map[string]int) string {
	names := []string{name}
	for i, more := via[name]; more; i, more = via[grants[i].Member] {
		names = append(names, grants[i].Member)
	}
	slices.Reverse(names)
	return strings.Join(names, " -> ")
}

// checkCycles reports one cycle in each tangle of the names that still wait, at
// the row that came last and so closed it.
func checkCycles(grants []Grant, up map[string][]int, inDegree map[string]int, faults *fault.List) {
	inCycles := findInCycles(grants, inDegree)
	visitedBy := map[string]int{} // name → the walk that came by
	for walk, g := range grants {
		if !inCycles(g.Member) || visitedBy[g.Member] != 0 {
			continue
		}
		var path []int
		name := g.Member
		for visitedBy[name] == 0 { // every name in here has a next one
			visitedBy[name] = walk + 1
			next := slices.IndexFunc(up[name], func(i int) bool { return inCycles(grants[i].Role) })
			path = append(path, up[name][next])
			name = grants[up[name][next]].Role
		}
		if visitedBy[name] == walk+1 { // and not an earlier one, which reported it
			begin := slices.IndexFunc(path, func(i int) bool { return grants[i].Member == name })
			reportCycle(path[begin:], grants, faults)
		}
	}
}

// findInCycles takes away, from the names that wait, those that a cycle only leads
// to. Each name that is left has a grant to another one that is left.
func findInCycles(grants []Grant, inDegree map[string]int) func(name string) bool {
	down := map[string][]int{}    // role → its grants
	outDegree := map[string]int{} // name → grants to names that are left
	for i, g := range grants {
		if inDegree[g.Role] > 0 {
			down[g.Role] = append(down[g.Role], i)
			outDegree[g.Member]++
		}
	}
	var removed []string
	for role := range down {
		if outDegree[role] == 0 {
			removed = append(removed, role)
		}
	}
	for len(removed) > 0 {
		role := removed[0]
		removed = removed[1:]
		for _, i := range down[role] {
			if outDegree[grants[i].Member]--; outDegree[grants[i].Member] == 0 {
				removed = append(removed, grants[i].Member)
			}
		}
	}
	return func(name string) bool { return inDegree[name] > 0 && outDegree[name] > 0 }
}

func reportCycle(cycle []int, grants []Grant, faults *fault.List) {
	last := slices.Index(cycle, slices.Max(cycle))
	closing := grants[cycle[last]]
	names := []string{closing.Member}
	for n := range cycle {
		names = append(names, grants[cycle[(last+n)%len(cycle)]].Role)
	}
	const limit = 12
	if len(names) > limit {
		names = append(append(names[:limit/2:limit/2], "..."), names[len(names)-limit/2:]...)
	}
	faults.Add(closing.MemberAt, "role cycle: "+strings.Join(names, " -> "),
		"delete this row or another one of the cycle")
}
