package importer

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
)

// roleNames gives the names that are roles to Argo CD, each with the one that it
// has here. There role: is a custom; what a g row hands out is a role.
type roleNames struct {
	byName    map[string]string
	order     []string
	conflicts map[string]string // a name → another that would become the same here
}

const (
	adminRole    = "role:admin"
	readonlyRole = "role:readonly"
)

func (a *argoCD) roleNames() *roleNames {
	n := &roleNames{byName: map[string]string{}, conflicts: map[string]string{}}
	used := map[string]string{}
	add := func(name string) {
		if name == "" || n.byName[name] != "" || n.conflicts[name] != "" {
			return
		}
		short := strings.TrimPrefix(strings.TrimPrefix(name, policy.RolePrefix), "proj:")
		own := policy.RolePrefix + a.RolePrefix + short
		if other := used[own]; other != "" {
			n.conflicts[name] = other
			return
		}
		used[own] = name
		n.byName[name] = own
		n.order = append(n.order, name)
	}
	// Those that Argo CD brings are there in any case.
	add(adminRole)
	add(readonlyRole)
	for _, r := range a.model.rows {
		if strings.HasPrefix(r.subject, policy.RolePrefix) || r.project != "" && strings.HasPrefix(r.subject, "proj:") {
			if message, _ := malformedName(r.subject); message == "" {
				add(r.subject)
			}
		}
	}
	for _, g := range a.model.grants {
		if strings.HasPrefix(g.member, policy.RolePrefix) {
			add(g.member)
		}
		if !strings.HasPrefix(g.role, "proj:") || a.model.hasRows(g.role) {
			add(g.role)
		}
	}
	if name := a.rbac.keys["policy.default"].value(); a.model.hasRows(name) {
		add(name)
	}
	return n
}

// hasRows reports whether some p row is about a name.
func (m *model) hasRows(name string) bool {
	return slices.ContainsFunc(m.rows, func(r *modelRow) bool { return r.subject == name }) ||
		slices.ContainsFunc(m.grants, func(g grantRow) bool { return g.member == name })
}

// unused finds a name that no role has yet.
func (n *roleNames) unused(name string) string {
	for _, other := range n.byName {
		if other == name {
			return n.unused(name + "-2")
		}
	}
	return name
}

const partOfName = "Argo CD reads as part of the name, so the row grants nothing there"

// nameProblem says what is wrong with the names of a row, where that makes other names of
// them: Argo CD knows neither comments after a row nor other quotes.
func (a *argoCD) nameProblem(e entry) (message, hint string) {
	last := e.fields[len(e.fields)-1]
	known := e.fields[0] == "g" && slices.ContainsFunc(a.entries, func(other entry) bool {
		return other.fields[1] == last && (other.fields[0] == "p" || other.fields[0] == "g")
	})
	if cut := comment.FindString(last); cut != "" && !known {
		return text.Quote(last) + ": Argo CD reads the comment as part of the name, so the row grants nothing there",
			"put the comment on a line of its own in Argo CD if the row is meant, and import again"
	}
	for i, name := range e.fields[1:] {
		if i == 0 && e.fields[0] == "p" || e.fields[0] == "g" {
			if name == "" {
				return "a field is empty", "write a name"
			}
		}
		if message, hint := malformedName(name); message != "" {
			return message, hint
		}
	}
	return "", ""
}

var comment = regexp.MustCompile(`(\s(#|//|;|--)|^#).*$`)

// malformedName finds letters that are not meant to be part of a name.
func malformedName(name string) (message, hint string) {
	runes := []rune(name)
	isInvisible := func(r rune) bool {
		return unicode.In(r, unicode.Cf, unicode.Zs, unicode.Zl, unicode.Zp) && r != ' ' ||
			unicode.IsControl(r) && r != '\t'
	}
	switch {
	case name == "":
	case placeholder(name) != "":
		return text.Quote(placeholder(name)) + unfilled, giveFilled + "authgate policy import argocd -"
	case strings.TrimRight(name, " \t") != name:
		return text.Quote(name) + " ends in a space, which " + partOfName,
			"remove the space in Argo CD if it is a typo, and import again"
	case strings.ContainsAny(string(runes[0])+string(runes[len(runes)-1]), "'`\"‘’“”„«»"):
		return text.Quote(name) + " has quotes that " + partOfName,
			`use none or plain double ones in Argo CD, and import again`
	case slices.ContainsFunc(runes, isInvisible):
		return text.Quote(name) + " holds a letter that is not seen, which " + partOfName,
			"write the name again in Argo CD, and import again"
	}
	return "", ""
}

// placeholder gives the part of a name that a tool fills in before the cluster gets it:
// ${NAME}, $(NAME), $NAME, <NAME>. No group is called so.
func placeholder(name string) string { return placeholders.FindString(name) }

var placeholders = regexp.MustCompile(`\$\{\w[^}]*\}|\$\(\w+\)|^\$[A-Za-z_]\w*$|^<[^<>]+>|:<[^<>]+>$`)

const (
	unfilled   = " is a placeholder, and nothing fills it in there"
	giveFilled = "give the file with its placeholders filled in, for example: envsubst < FILE | "
)

// hasReservedPrefix reports whether a name begins as only the policy's own may.
func hasReservedPrefix(name string) bool {
	for _, prefix := range []string{policy.RolePrefix, policy.UserPrefix, policy.SystemPrefix} {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// subjects gives those who hold here what a name holds in Argo CD, or why there are
// none. What is said without that is a remark.
func (a *argoCD) subjects(name string) (subjects []string, remark, message, hint string) {
	groupsCount := slices.ContainsFunc(a.scopes, func(s string) bool { return s != "email" })
	switch {
	case a.accounts[name]:
		message, hint = text.Quote(name)+" is a local account of Argo CD, with which no one signs in to authgate", ""
	case strings.HasPrefix(name, "proj:"):
		message = text.Quote(name) + " is a role of a project, whose tokens Argo CD makes itself"
		hint = "give CI a token of an issuer that authgate knows (bearer)"
	case hasReservedPrefix(name):
		message = text.Quote(name) + " would mean something else here, where no group may begin so"
	case strings.Contains(name, "*"):
		message = "a * in " + text.Quote(name) + " stands for itself in Argo CD, and for every team here"
		hint = "write ORG:* for GROUP if you mean all teams"
	case strings.Contains(name, "@") && slices.Contains(a.scopes, "email"):
		subjects = []string{policy.UserPrefix + name}
		if groupsCount {
			subjects = append(subjects, name)
		}
	case strings.Trim(name, "0123456789") == "":
		message = text.Quote(name) + " looks like the id of a user, and authgate knows people by their e-mail address"
		hint = "write user:EMAIL for GROUP"
	case !groupsCount:
		message = text.Quote(name) + " is no e-mail address, and scopes has no groups, so the row grants nothing in Argo CD"
	case strings.Contains(name, "@") && a.rbac.file == nil && len(a.rbac.keys) == 0:
		subjects = []string{name}
		remark = text.Quote(name) + " counts in Argo CD as an e-mail address, too, where scopes of " + rbacMap +
			" has email; that was not given, and here it counts as a group alone"
	case strings.Contains(name, "@"):
		subjects = []string{name}
		remark = text.Quote(name) + " counts in Argo CD as a group or as a user id, since scopes has no email, and here " +
			"as a " +
			"group alone"
	default:
		subjects = []string{name}
	}
	return subjects, remark, message, hint
}

// grantHint says how to come to a row that is there as a comment.
func grantHint(role string) string {
	return "to grant the role, take the # off g, GROUP, " + role + " in the result, put a group in the place of GROUP," +
		" and take out its authgate:ignore comments"
}

func hasNoPosition(at fault.Position) bool { return at.File == "" }
