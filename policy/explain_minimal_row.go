package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// minimalRow writes the row that gives this effect to the question alone, for the
// subject that is most particular to the person and can stand in a row.
func (w *whatIf) minimalRow(effect Effect) *Row {
	for _, subject := range w.specificSubjects() {
		row := &Row{subject, w.request.Upstream, w.request.Path.String(), w.request.Method, effect, fault.Position{}}
		if isExactRow(row) {
			return row
		}
	}
	return nil
}

// isExactRow reports whether a row can stand in a policy file and means no more
// there than it says: a * in a path would be a pattern.
func isExactRow(row *Row) bool {
	if strings.Contains(row.Path, "*") {
		return false
	}
	p := newParser(nil)
	p.read(Source{Data: []byte(row.String())})
	return p.faults.Empty() && len(p.rows) == 1 && p.rows[0].String() == row.String()
}

// specificSubjects gives the subjects to which a row for this person may be given: the
// role that stands nearest and that no other of their roles leads to, so that
// the row reaches the fewest others; then the person's groups and address.
func (w *whatIf) specificSubjects() []string {
	if w.identity.Anonymous {
		return []string{anonymous}
	}
	var roles, names, signedInRoles []string
	inherited := map[string]bool{} // roles that another role of the person leads to
	for _, role := range w.reachable.order {
		for _, i := range w.graph.grantsByMember[role] {
			if strings.HasPrefix(role, rolePrefix) {
				inherited[w.graph.grants[i].role] = true
			}
		}
	}
	signedIn := w.graph.implicitRoles([]string{authenticated})
	for _, name := range w.reachable.order {
		switch {
		case !strings.HasPrefix(name, rolePrefix) || inherited[name]:
		case !rolesOnly(w.identity) && signedIn.has(name):
			signedInRoles = append(signedInRoles, name)
		default:
			roles = append(roles, name)
		}
	}
	names = append(names, groupsOf(w.identity)...)
	if isEmail(w.identity.Email) {
		names = append(names, userPrefix+lowerASCII(w.identity.Email))
	}
	for _, name := range w.identity.Roles {
		if strings.HasPrefix(name, rolePrefix) {
			names = append(names, name)
		}
	}
	if !rolesOnly(w.identity) {
		names = append(append(names, signedInRoles...), authenticated)
	}
	return slices.Concat(roles, names)
}
