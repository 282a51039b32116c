package pathspace

import (
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// Region is the paths of one class on one upstream, and the rows that match them.
type Region struct {
	pathClass
	Rows    [][]*policy.Row // for each policy, in the order of its files
	Methods []string        // those that the rows tell apart, see methodClasses
}

// RegionsOf cuts an upstream into areas by the rows that concern it, of one policy
// or of several side by side. No row matches what is in no region.
func RegionsOf(quirks target.Quirks, rows ...[]*policy.Row) ([]Region, error) {
	return limitedRegionsOf(maxStates, quirks, rows...)
}

func limitedRegionsOf(maxStates int, quirks target.Quirks, rows ...[]*policy.Row) ([]Region, error) {
	total := 0
	for _, list := range rows {
		total += len(list)
	}
	patterns := make([]string, 0, total)
	number := make(map[string]int, total) // pattern → index
	numbers := make([][]int, len(rows))   // for each policy: row → its pattern
	for i, list := range rows {
		numbers[i] = make([]int, len(list))
		for n, row := range list {
			at, known := number[row.Path]
			if !known {
				at = len(patterns)
				number[row.Path] = at
				patterns = append(patterns, row.Path)
			}
			numbers[i][n] = at
		}
	}
	classes, err := pathClassesOf(patterns, quirks, maxStates)
	if err != nil {
		return nil, err
	}
	rowsOf := make([]grouped, len(rows))
	for i := range rows {
		rowsOf[i] = groupBy(numbers[i], len(patterns))
	}
	regions := make([]Region, len(classes))
	methods := methodClassCache{}
	var order []int
	var all []*policy.Row
	for c, class := range classes {
		r := Region{pathClass: class, Rows: make([][]*policy.Row, len(rows))}
		all = all[:0]
		for i, list := range rows {
			order = order[:0]
			for _, pattern := range class.patterns {
				order = append(order, rowsOf[i].of(pattern)...)
			}
			slices.Sort(order)
			r.Rows[i] = make([]*policy.Row, len(order))
			for at, n := range order {
				r.Rows[i][at] = list[n]
			}
			all = append(all, r.Rows[i]...)
		}
		r.Methods = methods.of(all)
		regions[c] = r
	}
	return regions, nil
}

// grouped is numbers from 0 on, by the group that each is in.
type grouped struct {
	begin   []int // group → where its numbers begin; one more than there are groups
	members []int // of all groups, one after the other, each ascending
}

func groupBy(groups []int, count int) grouped {
	g := grouped{make([]int, count+2), make([]int, len(groups))}
	for _, group := range groups {
		g.begin[group+2]++
	}
	for group := range count {
		g.begin[group+2] += g.begin[group+1]
	}
	for n, group := range groups {
		g.members[g.begin[group+1]] = n
		g.begin[group+1]++
	}
	return g
}

func (g grouped) of(group int) []int { return g.members[g.begin[group]:g.begin[group+1]] }

// methodClassCache remembers methodClasses by what stands in the rows: a policy has many
// areas, and few ways to write methods.
type methodClassCache map[string][]string

func (m methodClassCache) of(rows []*policy.Row) []string {
	var buf [8]string
	written := buf[:0]
	for _, row := range rows {
		if !slices.Contains(written, row.Methods) {
			written = append(written, row.Methods)
		}
	}
	key := strings.Join(written, policy.MethodSeparator)
	methods, known := m[key]
	if !known {
		methods = methodClasses(rows)
		m[key] = methods
	}
	return methods
}

// RowsFor gives those rows of a policy that cover a method, one of the area's. The
// method * is one that no row names: only rows for every method cover it.
func (r *Region) RowsFor(side int, method string) []*policy.Row {
	var rows []*policy.Row
	for _, row := range r.Rows[side] {
		if policy.MatchMethod(method, row.Methods) {
			rows = append(rows, row)
		}
	}
	return rows
}

// UpstreamsOf gives the upstreams that rows distinguish: the given ones or, where
// their names are not known, those that rows name and, for all the others
// together, *.
func UpstreamsOf(known []string, policies ...[]*policy.Row) []string {
	if known != nil {
		return slices.Compact(slices.Sorted(slices.Values(known)))
	}
	seen := policy.StringSet{}
	for _, rows := range policies {
		for _, row := range rows {
			seen[row.Upstream] = struct{}{}
		}
	}
	_, others := seen[policy.AnyUpstream]
	delete(seen, policy.AnyUpstream)
	named := slices.Sorted(maps.Keys(seen))
	if others {
		named = append(named, policy.AnyUpstream)
	}
	return named
}

// Methods is a set of methods at one place: some of those that the rows there
// tell apart.
type Methods struct{ Members, Universe []string }

// Named gives the methods as a row would name them: * is every method but those
// in Except, and GET covers HEAD there and here, unless HEAD itself stands in the
// other list.
func (m Methods) Named() []string {
	switch {
	case !m.has(policy.AnyMethod):
		return slices.DeleteFunc(slices.Clone(m.Members), func(method string) bool {
			return method == "HEAD" && m.has("GET")
		})
	case m.has("HEAD") && m.lacks("GET"):
		return []string{policy.AnyMethod, "HEAD"}
	}
	return []string{policy.AnyMethod}
}

// Except gives the methods that Named would seem to cover and does not.
func (m Methods) Except() []string {
	except := []string{}
	for _, method := range m.Universe {
		switch {
		case m.has(method):
		case method == "HEAD" && (m.lacks("GET") || !m.has("GET") && !m.has(policy.AnyMethod)):
		case m.has(policy.AnyMethod) || method == "HEAD":
			except = append(except, method)
		}
	}
	return except
}

// String gives the set as people read it: GET|POST, or * but GET.
func (m Methods) String() string {
	text := strings.Join(m.Named(), policy.MethodSeparator)
	if except := m.Except(); len(except) > 0 {
		text += " but " + strings.Join(except, policy.MethodSeparator)
	}
	return text
}

// Example gives one method of the set.
func (m Methods) Example() string { return ExampleMethod(m.Members[0], m.Universe) }

// Union joins two sets of one place.
func (m Methods) Union(other Methods) Methods {
	members := slices.Concat(m.Members, other.Members)
	return Methods{slices.DeleteFunc(slices.Clone(m.Universe), func(method string) bool {
		return !slices.Contains(members, method)
	}), m.Universe}
}

func (m Methods) lacks(method string) bool {
	return slices.Contains(m.Universe, method) && !m.has(method)
}

func (m Methods) has(method string) bool { return slices.Contains(m.Members, method) }
