package policy

import "slices"

// Permissions is all that somebody may do.
type Permissions struct {
	Rows   []Permission // rows that allow something, in the order of the files
	Denied []Permission // rows that take away some of what these allow
}

// Permission is a row that is about somebody, and the g rows by which it is.
type Permission struct {
	Row   *Row
	Chain []Link
}

// Permissions finds the rows that let somebody do something. A row is left out if deny
// rows take away everything that it allows.
func (s *Snapshot) Permissions(identity Identity) (Permissions, error) {
	roles := s.Resolve(identity)
	var heldRows []*Row
	for _, row := range s.rows {
		if roles.has(row.Subject) {
			heldRows = append(heldRows, row)
		}
	}
	effective := map[*Row]bool{}
	for _, upstream := range upstreamsIn(heldRows) {
		regions, err := regionsOf(s.Quirks(upstream), rowsOn(upstream, heldRows))
		if err != nil {
			return Permissions{}, err
		}
		for i := range regions {
			for _, method := range regions[i].methods {
				markEffective(regions[i].rowsFor(0, method), effective)
			}
		}
	}
	var p Permissions
	graph := newRoleGraph(s.grants)
	reachable := graph.implicitRoles(s.directSubjects(identity))
	for _, row := range heldRows {
		if !effective[row] {
			continue
		}
		permission := Permission{row, reachable.chainTo(row.Subject)}
		if row.Effect == Allow {
			p.Rows = append(p.Rows, permission)
		} else {
			p.Denied = append(p.Denied, permission)
		}
	}
	return p, nil
}

// markEffective notes which of the rows that meet at one place have an effect there: allow rows
// where none denies, else the deny rows where some row allows.
func markEffective(rows []*Row, effective map[*Row]bool) {
	effect := Allow
	if slices.ContainsFunc(rows, func(r *Row) bool { return r.Effect == Deny }) {
		if !slices.ContainsFunc(rows, func(r *Row) bool { return r.Effect == Allow }) {
			return
		}
		effect = Deny
	}
	for _, row := range rows {
		if row.Effect == effect {
			effective[row] = true
		}
	}
}

// upstreamsIn gives the upstreams that rows tell apart.
func upstreamsIn(rows []*Row) []string {
	return upstreamsOf(nil, &Snapshot{rows: rows})
}
