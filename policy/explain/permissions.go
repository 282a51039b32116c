package explain

import (
	"slices"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/pathspace"
)

// Permissions is all that a user may do.
type Permissions struct {
	Rows   []Permission // rows that allow something, in the order of the files
	Denied []Permission // rows that take away some of what these allow
}

// Permission is a row that concerns a user, and the g rows by which it does.
type Permission struct {
	Row   *policy.Row
	Chain []policy.Link
}

// PermissionsOf finds the rows that let a user do something. A row is left out if deny
// rows take away everything that it allows.
func PermissionsOf(s *policy.Snapshot, identity policy.Identity) (Permissions, error) {
	roles := s.Resolve(identity)
	var heldRows []*policy.Row
	for _, row := range s.Rows() {
		if roles.Has(row.Subject) {
			heldRows = append(heldRows, row)
		}
	}
	effective := map[*policy.Row]bool{}
	for _, upstream := range upstreamsIn(heldRows) {
		regions, err := pathspace.RegionsOf(s.Quirks(upstream), policy.RowsOn(upstream, heldRows))
		if err != nil {
			return Permissions{}, err
		}
		for i := range regions {
			for _, method := range regions[i].Methods {
				markEffective(regions[i].RowsFor(0, method), effective)
			}
		}
	}
	var p Permissions
	graph := policy.NewRoleGraph(s.Grants())
	reachable := graph.ImplicitRoles(directSubjects(s, identity))
	for _, row := range heldRows {
		if !effective[row] {
			continue
		}
		permission := Permission{row, reachable.ChainTo(row.Subject)}
		if row.Effect == policy.Allow {
			p.Rows = append(p.Rows, permission)
		} else {
			p.Denied = append(p.Denied, permission)
		}
	}
	return p, nil
}

// markEffective notes which of the rows that meet at one place have an effect there: allow rows
// where none denies, else the deny rows where some row allows.
func markEffective(rows []*policy.Row, effective map[*policy.Row]bool) {
	effect := policy.Allow
	if slices.ContainsFunc(rows, func(r *policy.Row) bool { return r.Effect == policy.Deny }) {
		if !slices.ContainsFunc(rows, func(r *policy.Row) bool { return r.Effect == policy.Allow }) {
			return
		}
		effect = policy.Deny
	}
	for _, row := range rows {
		if row.Effect == effect {
			effective[row] = true
		}
	}
}

// upstreamsIn gives the upstreams that rows tell apart.
func upstreamsIn(rows []*policy.Row) []string {
	return pathspace.UpstreamsOf(nil, rows)
}
