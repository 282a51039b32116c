package cases

import (
	"cmp"
	"math/big"
	"slices"

	"github.com/example-org/authgate/policy"
)

// Coverage is how much of a policy took part in answering some cases. A p row did
// if it decided one; a g row, if it is on a chain by which a user who asked
// holds the subject of the row that decided.
type Coverage struct {
	Rows     int // p and g rows of the policy
	Covered  int
	Untested []Untested // the others, in the order of the files
}

// Untested is a row that took no part.
type Untested struct {
	Where string // policy.csv:3
	Row   string
}

// Percent is how much is covered, rounded down to a tenth: 99.95 is not 100.
func (c Coverage) Percent() float64 {
	if c.Rows == 0 {
		return 0
	}
	return float64(c.Covered*1000/c.Rows) / 10
}

// Reaches reports whether at least so many per cent are covered. It compares
// exactly.
func (c Coverage) Reaches(percent *big.Rat) bool {
	need := new(big.Rat).Mul(percent, big.NewRat(int64(c.Rows), 100))
	return need.Cmp(big.NewRat(int64(c.Covered), 1)) <= 0
}

// coverageTracker gathers the rows that took part.
type coverageTracker struct {
	graph   policy.RoleGraph
	rows    map[*policy.Row]bool
	grants  map[int]bool
	seen    map[[2]string]bool             // who asked, and the subject that decided
	members map[string]policy.ReachableSet // subject → all that leads to it
}

func newCoverageTracker(grants []policy.Grant) *coverageTracker {
	return &coverageTracker{
		policy.NewRoleGraph(grants),
		map[*policy.Row]bool{},
		map[int]bool{},
		map[[2]string]bool{},
		map[string]policy.ReachableSet{},
	}
}

// record marks the row that decided for an asker, if one did.
func (c *coverageTracker) record(row *policy.Row, subjects string, roles policy.Roles) {
	if row == nil {
		return
	}
	c.rows[row] = true
	key := [2]string{subjects, row.Subject}
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	members, known := c.members[row.Subject]
	if !known {
		members = c.graph.ImplicitMembers([]string{row.Subject})
		c.members[row.Subject] = members
	}
	for _, role := range members.Names() {
		for _, g := range c.graph.GrantsOfRole(role) {
			if roles.Has(c.graph.Grant(g).Member) {
				c.grants[g] = true
			}
		}
	}
}

func coverageOf(s *policy.Snapshot, t *coverageTracker) Coverage {
	type located struct {
		Untested
		file, line int
	}
	c := Coverage{Rows: s.RowCount(), Covered: len(t.rows) + len(t.grants)}
	var missing []located
	files := map[string]int{} // in the order in which they first appear
	rank := func(file string) int {
		if _, known := files[file]; !known {
			files[file] = len(files)
		}
		return files[file]
	}
	for _, row := range s.Rows() {
		if file := rank(row.At.File); !t.rows[row] {
			missing = append(missing, located{Untested{row.Where(), row.String()}, file, row.At.Line})
		}
	}
	for i, g := range s.Grants() {
		if file := rank(g.MemberAt.File); !t.grants[i] {
			missing = append(missing, located{Untested{g.Where(), g.String()}, file, g.MemberAt.Line})
		}
	}
	slices.SortFunc(missing,
		func(a, b located) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line)) })
	for _, m := range missing {
		c.Untested = append(c.Untested, m.Untested)
	}
	return c
}
