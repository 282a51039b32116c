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
func (s *Snapshot) Permissions(who Who) (Permissions, error) {
	roles := s.Resolve(who)
	var held []*Row
	for _, row := range s.rows {
		if roles.has(row.Subject) {
			held = append(held, row)
		}
	}
	useful := map[*Row]bool{}
	for _, upstream := range upstreamsIn(held) {
		areas, err := areasOf(s.Quirks(upstream), rowsOn(upstream, held))
		if err != nil {
			return Permissions{}, err
		}
		for i := range areas {
			for _, method := range areas[i].methods {
				mark(areas[i].rowsFor(0, method), useful)
			}
		}
	}
	var p Permissions
	ways := newWays(s.grants)
	from := ways.from(s.starts(who))
	for _, row := range held {
		if !useful[row] {
			continue
		}
		permission := Permission{row, from.to(row.Subject)}
		if row.Effect == Allow {
			p.Rows = append(p.Rows, permission)
		} else {
			p.Denied = append(p.Denied, permission)
		}
	}
	return p, nil
}

// mark notes which of the rows that meet at one place have an effect there: allow rows
// where none denies, else the deny rows where some row allows.
func mark(rows []*Row, useful map[*Row]bool) {
	effect := Allow
	if slices.ContainsFunc(rows, func(r *Row) bool { return r.Effect == Deny }) {
		if !slices.ContainsFunc(rows, func(r *Row) bool { return r.Effect == Allow }) {
			return
		}
		effect = Deny
	}
	for _, row := range rows {
		if row.Effect == effect {
			useful[row] = true
		}
	}
}

// upstreamsIn gives the upstreams that rows tell apart.
func upstreamsIn(rows []*Row) []string {
	return upstreamsOf(nil, &Snapshot{rows: rows})
}
