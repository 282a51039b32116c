package explain

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
)

// minimalRow writes the row that gives this effect to the question alone, for the
// subject that is most particular to the person and can stand in a row.
func (w *whatIf) minimalRow(effect policy.Effect) *policy.Row {
	for _, subject := range w.specificSubjects() {
		row := &policy.Row{
			Subject: subject, Upstream: w.request.Upstream, Path: w.request.Path.String(), Methods: w.request.Method, Effect: effect,
		}
		if isExactRow(row) {
			return row
		}
	}
	return nil
}

// isExactRow reports whether a row can stand in a policy file and means no more
// there than it says: a * in a path would be a pattern.
func isExactRow(row *policy.Row) bool {
	if strings.Contains(row.Path, "*") {
		return false
	}
	p := policy.NewParser(nil)
	p.Read(policy.Source{Data: []byte(row.String())})
	return p.Faults.Empty() && len(p.Rows) == 1 && p.Rows[0].String() == row.String()
}

// specificSubjects gives the subjects to which a row for this person may be given: the
// role that stands nearest and that no other of their roles leads to, so that
// the row reaches the fewest others; then the person's groups and address.
func (w *whatIf) specificSubjects() []string {
	if w.identity.Anonymous {
		return []string{policy.SubjectAnonymous}
	}
	var roles, names, signedInRoles []string
	inherited := map[string]bool{} // roles that another role of the person leads to
	for _, role := range w.reachable.Order {
		for _, i := range w.graph.GrantsByMember[role] {
			if strings.HasPrefix(role, policy.RolePrefix) {
				inherited[w.graph.Grants[i].Role] = true
			}
		}
	}
	signedIn := w.graph.ImplicitRoles([]string{policy.SubjectAuthenticated})
	for _, name := range w.reachable.Order {
		switch {
		case !strings.HasPrefix(name, policy.RolePrefix) || inherited[name]:
		case !rolesOnly(w.identity) && signedIn.Has(name):
			signedInRoles = append(signedInRoles, name)
		default:
			roles = append(roles, name)
		}
	}
	names = append(names, groupsOf(w.identity)...)
	if policy.IsEmail(w.identity.Email) {
		names = append(names, policy.UserPrefix+policy.LowerASCII(w.identity.Email))
	}
	for _, name := range w.identity.Roles {
		if strings.HasPrefix(name, policy.RolePrefix) {
			names = append(names, name)
		}
	}
	if !rolesOnly(w.identity) {
		names = append(append(names, signedInRoles...), policy.SubjectAuthenticated)
	}
	return slices.Concat(roles, names)
}
