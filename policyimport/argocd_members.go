package policyimport

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// roleNames gives the names that are roles to Argo CD, each with the one that it
// has here. There role: is a custom; what a g row hands out is a role.
type roleNames map[string]string

const (
	adminRole    = "role:admin"
	readonlyRole = "role:readonly"
)

func (a *argoCD) roleNames() roleNames {
	// Those that Argo CD brings (assets/builtin-policy.csv) are there in any case.
	names := roleNames{adminRole: adminRole, readonlyRole: readonlyRole}
	for _, e := range a.entries {
		for _, name := range e.fields[1:] {
			if strings.HasPrefix(name, rolePrefix) {
				names[name] = name
			}
			if e.fields[0] == "p" {
				break // the others are no names
			}
		}
	}
	add := func(name string) {
		if names[name] != "" || name == "" || strings.HasPrefix(name, "proj:") {
			return
		}
		if own := rolePrefix + name; names[own] == "" { // else two roles would be one
			names[name] = own
		}
	}
	for _, e := range a.of("g") {
		add(e.fields[2])
	}
	add(value(a.rbac["policy.default"]))
	return names
}

// member carries one g row over.
func (a *argoCD) member(d *draft, names roleNames, e entry) {
	member, role := e.fields[1], e.fields[2]
	leave := func(what, mend string) { d.leave(e.at, e.text, what+e.in, mend) }
	if what, mend := oddName(member, role); what != "" {
		leave(what, mend)
		return
	}
	switch {
	case strings.HasPrefix(role, "proj:"):
		leave(quote(role)+" is a role of a project, which no path can tell apart",
			"give "+quote(member)+" a role that opens the doors, such as role:readonly; Argo CD goes on deciding about the project")
		return
	case names[role] == "":
		leave("there are both "+quote(role)+" and "+quote(rolePrefix+role), "give one of the two another name in Argo CD, and import again")
		return
	case names[member] != "":
		if !strings.HasPrefix(member, rolePrefix) {
			// A group of that name holds the role, too: Argo CD does not tell them apart.
			if what, mend := a.asGroup(member); what == "" {
				d.row(e.at, "g", member, names[member])
			} else {
				leave(what, mend)
			}
		}
		d.row(e.at, "g", names[member], names[role])
		return
	case strings.Contains(member, "@") && slices.Contains(a.scopes, "email"):
		d.row(e.at, "g", "user:"+member, names[role])
		return
	}
	if what, mend := a.asGroup(member); what != "" {
		leave(what, mend)
		return
	}
	d.row(e.at, "g", member, names[role])
	if !strings.Contains(member, ":") {
		d.note(e.at, quote(member)+" is taken for a group"+e.in, "if it is a local account or a user id, delete the row: authgate signs nobody in by these")
	}
}

// oddName finds blanks at the end of a name, which make it another one.
func oddName(member, role string) (what, mend string) {
	for _, name := range []string{member, role} {
		switch {
		case name == "":
			return "a field is empty", "write a name"
		case strings.TrimRight(name, " \t") != name:
			return quote(name) + " ends in a blank, which is part of the name to Argo CD, so the row most likely says nothing there",
				"take the blank away in Argo CD if it is a slip, and import again"
		}
	}
	return "", ""
}

// asGroup says why a name cannot stand here for the group of that name.
func (a *argoCD) asGroup(name string) (what, mend string) {
	switch {
	case a.accounts[name]:
		return quote(name) + " is a local account of Argo CD", "name the person by a group, or by user:EMAIL; local accounts do not exist behind authgate"
	case strings.HasPrefix(name, "proj:"):
		return quote(name) + " is a role of a project, whose tokens Argo CD makes itself", "give CI a token of an issuer that authgate knows (bearer), and that a role"
	case hasReserved(name):
		return quote(name) + " would mean something else here, where no group may begin so", "name the group otherwise, or write the row by hand"
	case strings.Contains(name, "*"):
		return "a * in " + quote(name) + " stands for itself in Argo CD, and for every team here", "name the groups, or write ORG:* if you mean all of them"
	case strings.Contains(name, "@"):
		return quote(name) + " counts in Argo CD as a group or as a user id, since scopes has no email",
			"write g, user:" + name + ", ROLE for a person, g, " + name + ", ROLE for a group"
	case strings.Trim(name, "0123456789") == "":
		return quote(name) + " looks like the id of a user, by which authgate knows nobody", "write user:EMAIL, or a group"
	case !slices.Contains(a.scopes, "groups") && onlyEmail(a.scopes):
		return quote(name) + " is no e-mail address, and scopes has no groups, so the row says nothing in Argo CD", "write g, " + name + ", ROLE by hand if the group is meant"
	}
	return "", ""
}

func onlyEmail(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { return s != "email" })
}

// hasReserved reports whether a name begins as only the policy's own may.
func hasReserved(name string) bool {
	for _, prefix := range []string{rolePrefix, "user:", "system:"} {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// everybody carries policy.default over, for whoever signed in and, where Argo CD
// takes them, for the others.
func (a *argoCD) everybody(d *draft, names roleNames) {
	for _, scope := range a.scopes {
		if scope != "groups" && scope != "email" {
			d.note(a.rbacFile.at(a.rbac["scopes"]), "Argo CD takes groups from the claim "+quote(scope)+", too", "authgate reads one claim, issuer.groupsClaim: see that the groups above are in it")
		}
	}
	at := fault.Position{}
	if n := a.rbac["policy.default"]; n != nil {
		at = a.rbacFile.at(n)
	}
	role := value(a.rbac["policy.default"])
	open := value(a.cm["users.anonymous.enabled"]) == "true"
	switch {
	case role == "":
		if open {
			d.note(a.cmFile.at(a.cm["users.anonymous.enabled"]), "Argo CD takes people without a login, who have no role there, and authgate asks them to log in", "")
		}
		return
	case strings.HasPrefix(role, "proj:") || names[role] == "" || strings.TrimSpace(role) != role:
		d.leave(at, "policy.default: "+role, "policy.default "+quote(role)+" cannot be a role here", "name a role that begins with role:")
		return
	}
	d.comment("policy.default: whoever signed in.")
	d.row(at, "g", authenticated, names[role])
	switch {
	case open:
		d.comment("WARNING: users.anonymous.enabled. ANYBODY WITHOUT A LOGIN holds %s. Delete the", names[role])
		d.comment("row unless that is meant: then nobody is asked for a login where it opens a door.")
		d.row(a.cmFile.at(a.cm["users.anonymous.enabled"]), "g", anonymous, names[role])
		d.note(a.cmFile.at(a.cm["users.anonymous.enabled"]), "WARNING: ANYBODY WITHOUT A LOGIN holds "+names[role]+", since users.anonymous.enabled is true",
			"delete the row of system:anonymous unless that is meant")
	case a.cm == nil:
		d.note(at, "whether Argo CD takes people without a login is in argocd-cm, which was not given", "name that file, too, if it does; authgate asks them to log in")
	}
}
