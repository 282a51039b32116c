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
			Subject: subject, Upstream: w.request.Upstream, Path: w.request.Path.String(), Methods: w.request.Method,
			Effect: effect,
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
	read, err := policy.ParseRow(row.String())
	return err == nil && read != nil && read.String() == row.String()
}

// specificSubjects gives the subjects to which a row for this person may be given: the
// role that stands nearest and that no other of their roles leads to, so that
// the row reaches the fewest others; then the person's groups and address.
func (w *whatIf) specificSubjects() []string {
	if w.identity.Anonymous {
		return []string{policy.Anonymous}
	}
	var roles, names, signedInRoles []string
	inherited := map[string]bool{} // roles that another role of the person leads to
	for _, role := range w.reachable.Names() {
		for _, i := range w.graph.GrantsOfMember(role) {
			if policy.ParseSubject(role).Kind == policy.KindRole {
				inherited[w.graph.Grant(i).Role] = true
			}
		}
	}
	signedIn := w.graph.ImplicitRoles([]string{policy.Authenticated})
	for _, name := range w.reachable.Names() {
		switch {
		case policy.ParseSubject(name).Kind != policy.KindRole || inherited[name]:
		case !rolesOnly(w.identity) && signedIn.Has(name):
			signedInRoles = append(signedInRoles, name)
		default:
			roles = append(roles, name)
		}
	}
	names = append(names, groupsOf(w.identity)...)
	if user := policy.UserSubject(w.identity.Email); user != "" {
		names = append(names, user)
	}
	for _, name := range w.identity.Roles {
		if policy.ParseSubject(name).Kind == policy.KindRole {
			names = append(names, name)
		}
	}
	if !rolesOnly(w.identity) {
		names = append(append(names, signedInRoles...), policy.Authenticated)
	}
	return slices.Concat(roles, names)
}
