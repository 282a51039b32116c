package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// area is the paths of one class on one upstream, and the rows that speak of them.
type area struct {
	class
	rows    [][]*Row // for each policy, in the order of its files
	methods []string // those that the rows tell apart, see methodClasses
}

// areasOf cuts an upstream into areas by the rows that concern it, of one policy
// or of several side by side. What is in no area, no row speaks of.
func areasOf(quirks target.Quirks, rows ...[]*Row) ([]area, error) {
	var patterns []string
	number := map[string]int{}           // pattern → index
	rowsOf := make([][][]int, len(rows)) // for each policy: pattern → its rows, as indices
	for _, list := range rows {
		for _, row := range list {
			if _, known := number[row.Path]; !known {
				number[row.Path] = len(patterns)
				patterns = append(patterns, row.Path)
			}
		}
	}
	for i, list := range rows {
		rowsOf[i] = make([][]int, len(patterns))
		for n, row := range list {
			at := number[row.Path]
			rowsOf[i][at] = append(rowsOf[i][at], n)
		}
	}
	classes, err := classesOf(patterns, quirks)
	if err != nil {
		return nil, err
	}
	areas := make([]area, len(classes))
	for c, class := range classes {
		a := area{class: class, rows: make([][]*Row, len(rows))}
		var all []*Row
		for i, list := range rows {
			var order []int
			for _, pattern := range class.matching {
				order = append(order, rowsOf[i][pattern]...)
			}
			slices.Sort(order)
			for _, n := range order {
				a.rows[i] = append(a.rows[i], list[n])
			}
			all = append(all, a.rows[i]...)
		}
		a.methods = methodClasses(all)
		areas[c] = a
	}
	return areas, nil
}

// rowsFor gives those rows of a policy that cover a method, one of the area's. The
// method * is one that no row names: only rows for every method cover it.
func (a *area) rowsFor(policy int, method string) []*Row {
	var rows []*Row
	for _, row := range a.rows[policy] {
		if matchMethod(method, row.Methods) {
			rows = append(rows, row)
		}
	}
	return rows
}

// rowsOn gives the rows that concern an upstream, or any that no row names.
func rowsOn(upstream string, rows []*Row) []*Row {
	var on []*Row
	for _, row := range rows {
		if row.Upstream == upstream || row.Upstream == anyUpstream {
			on = append(on, row)
		}
	}
	return on
}

// upstreamsOf gives the upstreams that are told apart: the given ones or, where
// their names are not known, those that rows name and, for all the others
// together, *.
func upstreamsOf(known []string, policies ...*Snapshot) []string {
	if known != nil {
		return slices.Compact(slices.Sorted(slices.Values(known)))
	}
	met := subjects{}
	for _, s := range policies {
		for _, row := range s.rows {
			met[row.Upstream] = struct{}{}
		}
	}
	_, others := met[anyUpstream]
	delete(met, anyUpstream)
	named := slices.Sorted(maps.Keys(met))
	if others {
		named = append(named, anyUpstream)
	}
	return named
}

// Methods is a set of methods at one place: some of those that the rows there
// tell apart.
type Methods struct{ told, among []string }

// Named gives the methods as a row would name them: * is every method but those
// in Except, and GET covers HEAD there and here, unless HEAD itself stands in the
// other list.
func (m Methods) Named() []string {
	switch {
	case !m.has(anyMethod):
		return slices.DeleteFunc(slices.Clone(m.told), func(method string) bool {
			return method == "HEAD" && m.has("GET")
		})
	case m.has("HEAD") && m.lacks("GET"):
		return []string{anyMethod, "HEAD"}
	}
	return []string{anyMethod}
}

// Except gives the methods that Named would seem to cover and does not.
func (m Methods) Except() []string {
	except := []string{}
	for _, method := range m.among {
		switch {
		case m.has(method):
		case method == "HEAD" && (m.lacks("GET") || !m.has("GET") && !m.has(anyMethod)):
		case m.has(anyMethod) || method == "HEAD":
			except = append(except, method)
		}
	}
	return except
}

// String gives the set as people read it: GET|POST, or * but GET.
func (m Methods) String() string {
	text := strings.Join(m.Named(), methodSeparator)
	if except := m.Except(); len(except) > 0 {
		text += " but " + strings.Join(except, methodSeparator)
	}
	return text
}

// Witness gives one method of the set.
func (m Methods) Witness() string { return methodOf(m.told[0], m.among) }

// And joins two sets of one place.
func (m Methods) And(other Methods) Methods {
	told := slices.Concat(m.told, other.told)
	return Methods{slices.DeleteFunc(slices.Clone(m.among), func(method string) bool {
		return !slices.Contains(told, method)
	}), m.among}
}

func (m Methods) lacks(method string) bool {
	return slices.Contains(m.among, method) && !m.has(method)
}

func (m Methods) has(method string) bool { return slices.Contains(m.told, method) }
