package pathspace

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// maxPageStates bounds what a server spends on the pages of an upstream: some 50 MB for patterns
// with stars all over each other, and far less for others.
const maxPageStates = 1 << 15

// PagesBelow gives one path of each class of paths, at a path or below it, that rows let a user
// GET. A user who may GET any page there may GET one of these. Pages below the prefixes are classes
// of their own, and left out.
func PagesBelow(s *policy.Snapshot, upstream, home string, prefixes []string) ([]target.Path, error) {
	const allowing, below, apart = 0, 1, 2
	within := belowPattern(home)
	var concerned []*policy.Row
	for _, row := range policy.RowsOn(upstream, s.Rows()) {
		if policy.MatchMethod("GET", row.Methods) && target.Overlaps(row.Path, within) {
			concerned = append(concerned, row)
		}
	}
	if !slices.ContainsFunc(concerned, func(row *policy.Row) bool { return row.Effect == policy.Allow }) {
		return nil, nil
	}
	others := make([]*policy.Row, len(prefixes))
	for i, prefix := range prefixes {
		others[i] = pageRow(belowPattern(prefix))
	}
	quirks := s.Quirks(upstream)
	regions, err := limitedRegionsOf(maxPageStates, quirks, concerned, []*policy.Row{pageRow(within)}, others)
	if err != nil {
		return nil, err
	}
	var pages []target.Path
	for i := range regions {
		r := &regions[i]
		if len(r.Rows[below]) == 0 || len(r.Rows[apart]) > 0 ||
			!slices.ContainsFunc(r.Rows[allowing], func(row *policy.Row) bool { return row.Effect == policy.Allow }) {
			continue
		}
		if path, err := target.ParseWith(r.Example, quirks); err == nil { // an example is canonical
			pages = append(pages, path)
		}
	}
	return pages, nil
}

func belowPattern(prefix string) string {
	return strings.TrimSuffix(prefix, "/") + "/" + target.AnyRest
}

func pageRow(pattern string) *policy.Row { return &policy.Row{Path: pattern, Methods: "GET"} }
