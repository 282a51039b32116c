package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// leastRow writes the row that gives this effect to the question alone, for the
// subject that is most particular to the person and can stand in a row.
func (t *trial) leastRow(effect Effect) *Row {
	for _, subject := range t.particular() {
		row := &Row{subject, t.q.Upstream, t.q.Path.String(), t.q.Method, effect, fault.Position{}}
		if readable(row) {
			return row
		}
	}
	return nil
}

// readable reports whether a row can stand in a policy file and means no more
// there than it says: a * in a path would be a pattern.
func readable(row *Row) bool {
	if strings.Contains(row.Path, "*") {
		return false
	}
	p := newParser(nil)
	p.read(Source{Data: []byte(row.String())})
	return p.faults.Empty() && len(p.rows) == 1 && p.rows[0].String() == row.String()
}

// particular gives the subjects to which a row for this person may be given: the
// role that stands nearest and that no other of their roles leads to, so that
// the row reaches the fewest others; then the person's groups and address.
func (t *trial) particular() []string {
	if t.who.Anonymous {
		return []string{anonymous}
	}
	var roles, names, everybody []string
	inner := map[string]bool{} // roles that another role of the person leads to
	for _, role := range t.held.order {
		for _, i := range t.ways.up[role] {
			if strings.HasPrefix(role, rolePrefix) {
				inner[t.ways.grants[i].role] = true
			}
		}
	}
	everybodys := t.ways.from([]string{authenticated})
	for _, name := range t.held.order {
		switch {
		case !strings.HasPrefix(name, rolePrefix) || inner[name]:
		case !rolesOnly(t.who) && everybodys.has(name):
			everybody = append(everybody, name)
		default:
			roles = append(roles, name)
		}
	}
	names = append(names, groupsOf(t.who)...)
	if isEmail(t.who.Email) {
		names = append(names, userPrefix+lowerASCII(t.who.Email))
	}
	for _, name := range t.who.Roles {
		if strings.HasPrefix(name, rolePrefix) {
			names = append(names, name)
		}
	}
	if !rolesOnly(t.who) {
		names = append(append(names, everybody...), authenticated)
	}
	return slices.Concat(roles, names)
}
