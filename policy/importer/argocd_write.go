package importer

import (
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
)

// argocdWriter writes the policy for what the model decides.
type argocdWriter struct {
	*argoCD
	pb              *policyBuilder
	names           *roleNames
	pagesRole       string // the role of the pages
	roles           map[string]*role
	usedRoles       []string // roles that are written, in their order
	holders         []holder
	placeholders    map[string]bool // roles whose g row with GROUP is there
	skippedSubjects map[string]bool // subjects of rows that were reported: what follows from them is not
}

// role is a role of Argo CD as it is written.
type role struct {
	name       string // its name here
	access     access
	rows       access   // of its own
	parents    []string // roles of Argo CD that it inherits here, too
	written    access   // with what it inherits
	meaningful bool     // it allows something, an endpoint or not
	hasMembers bool
	broad      bool // it may do all but extensions
	depth      int  // of the chain of g rows that it begins
}

// holder is a group or a person, and what they hold.
type holder struct {
	name     string // in Argo CD
	subjects []string
	grants   []grantEntry
	exact    bool // the roles give no more than Argo CD does
	extra    access
}

type grantEntry struct {
	entry
	role, project string
}

func (w *argocdWriter) write() {
	w.names = w.roleNames()
	w.placeholders, w.skippedSubjects = map[string]bool{}, map[string]bool{}
	prefix := w.RolePrefix
	if prefix == "" {
		prefix = "argocd-" // two imports without a prefix would have one role of pages
	}
	w.pagesRole = w.names.unused(policy.RolePrefix + prefix + "pages")
	w.reportRules()
	w.findRoles()
	w.writeHeading()
	w.pb.comment("Who")
	w.pb.blankLine()
	w.writeMembers()
	w.writeDefaultRole()
	w.reportEmpty()
	w.pb.blankLine()
	w.writeSourceRows()
	w.writeRoles()
	w.writeAnonymous()
}

func (w *argocdWriter) writeHeading() {
	from := []string{rbacMap}
	if len(w.projects) > 0 {
		from = append(from, "AppProjects")
	}
	w.pb.comment("authgate:import argocd")
	w.pb.comment("From Argo CD: %s.", strings.Join(from, " and "))
	w.pb.comment("")
	w.pb.comment("These rows say who may use which endpoint. After that Argo CD asks its own rows, on")
	w.pb.comment("the person's own token: give the upstream identity: {credential: idToken}.")
	w.pb.blankLine()
}

// findRoles works out what is written of each role.
func (w *argocdWriter) findRoles() {
	w.roles = map[string]*role{}
	for _, name := range w.names.order {
		r := &role{name: w.names.byName[name], access: w.model.access(name, true)}
		r.meaningful = len(r.access) > 0 || w.isMeaningful(name)
		r.broad = allButExtensions().isSubsetOf(r.access)
		w.roles[name] = r
	}
	visiting := map[string]bool{}
	for _, name := range w.names.order {
		w.inheritRows(name, visiting)
	}
	w.findHolders()
	w.findUsed()
}

// isMeaningful reports whether a role that opens no endpoint allows something that
// Argo CD asks for all the same, such as override.
func (w *argocdWriter) isMeaningful(name string) bool {
	meaningful := false
	for _, project := range append([]string{""}, w.model.projects...) {
		roles := w.model.implicitRoles(name, project)
		for _, r := range w.model.rows {
			switch {
			case !roles[r.subject] || r.project != "" && r.project != project:
			case r.deny || w.model.failsOn(r):
				return false
			case r.effect() == "allow" && w.model.isMeaningful(r):
				meaningful = true
			}
		}
	}
	return meaningful
}

// allButExtensions is what the rows of argocdAll stand for.
func allButExtensions() access {
	all := access{}
	for _, p := range argocdTable {
		if p.resource == "extensions" {
			continue
		}
		for _, row := range p.endpoints {
			all[endpointAccess{row, "*"}] = true
		}
	}
	return all
}

// maxWrittenChain is how long chains are written: the policy takes ten g rows, and a group
// and the role of the pages are at the ends.
const maxWrittenChain = 8

// inheritRows decides which rows of a role are its own and which it inherits. It inherits
// as in Argo CD where that gives no more than Argo CD does; a deny of the role, a circle
// or a long chain are reasons to write all of its rows out.
func (w *argocdWriter) inheritRows(name string, visiting map[string]bool) *role {
	r := w.roles[name]
	if r.written != nil || visiting[name] {
		return r
	}
	visiting[name] = true
	defer delete(visiting, name)
	inherited := access{}
	for _, g := range w.model.grants {
		parent := w.roles[g.role]
		if g.member != name || parent == nil || g.role == name || slices.Contains(r.parents, g.role) ||
			visiting[g.role] || r.broad || !parent.meaningful {
			continue
		}
		parent = w.inheritRows(g.role, visiting)
		if parent.written == nil || !parent.written.isSubsetOf(r.access) || parent.depth >= maxWrittenChain ||
			g.project != "" {
			continue
		}
		maps.Copy(inherited, parent.written)
		r.parents = append(r.parents, g.role)
		r.depth = max(r.depth, parent.depth+1)
	}
	r.rows = access{}
	for o := range r.access {
		if !inherited.covers(o) {
			r.rows[o] = true
		}
	}
	r.written = maps.Clone(r.access)
	return r
}

// findHolders puts the g rows of each group and person together.
func (w *argocdWriter) findHolders() {
	byName := map[string]int{}
	add := func(e entry, project string) {
		if message, _ := w.nameProblem(e); message != "" {
			return
		}
		member, role := e.fields[1], e.fields[2]
		if w.roles[member] != nil && strings.HasPrefix(member, policy.RolePrefix) {
			return
		}
		i, known := byName[member]
		if !known {
			i = len(w.holders)
			byName[member] = i
			h := holder{name: member}
			h.subjects, _, _, _ = w.subjects(member)
			w.holders = append(w.holders, h)
		}
		w.holders[i].grants = append(w.holders[i].grants, grantEntry{e, role, project})
	}
	w.eachGrant(add)
	for i := range w.holders {
		h := &w.holders[i]
		if len(h.subjects) == 0 {
			continue
		}
		written, allowed := access{}, w.model.access(h.name, w.roles[h.name] != nil)
		for _, row := range h.grants {
			if r := w.roles[row.role]; r != nil {
				maps.Copy(written, r.written)
			}
		}
		h.exact = written.isSubsetOf(allowed)
		h.extra = access{}
		for o := range allowed {
			if !h.exact || !written.covers(o) {
				h.extra[o] = true
			}
		}
	}
}

// eachGrant goes through the g rows of the files, projects included.
func (w *argocdWriter) eachGrant(do func(e entry, project string)) {
	for _, e := range w.entries {
		if e.fields[0] == "g" {
			do(e, "")
		}
	}
	for _, p := range w.projects {
		for _, role := range p.roles {
			for _, group := range role.groups {
				do(entry{
					[]string{"g", group.text, role.name},
					"g, " + group.text + ", " + role.name, group.at,
					group.lineHint,
				}, p.name)
			}
		}
	}
}

// findUsed marks the roles that are written, and those that are held.
func (w *argocdWriter) findUsed() {
	used := map[string]bool{}
	var use func(name string, hasMembers bool)
	use = func(name string, hasMembers bool) {
		r := w.roles[name]
		if r == nil || used[name] && (r.hasMembers || !hasMembers) {
			return
		}
		used[name] = true
		r.hasMembers = r.hasMembers || hasMembers
		for _, parent := range r.parents {
			use(parent, hasMembers)
		}
	}
	for _, h := range w.holders {
		for _, row := range h.grants {
			use(row.role, len(h.subjects) > 0 && h.exact)
		}
	}
	if name := w.defaultRole(); name != "" {
		use(name, !w.roles[name].broad)
	}
	for _, r := range w.model.rows {
		if !r.builtin {
			use(r.subject, false)
		}
	}
	for _, g := range w.model.grants {
		if w.roles[g.member] != nil && g.member != adminRole {
			use(g.member, false)
		}
	}
	for _, name := range w.names.order {
		r := w.roles[name]
		if !used[name] || !r.meaningful {
			continue
		}
		w.usedRoles = append(w.usedRoles, name)
		if !r.hasMembers { // it has to load with a group and without one
			r.rows, r.parents = maps.Clone(r.access), nil
		}
	}
}

// defaultRole gives policy.default, where that grants something.
func (w *argocdWriter) defaultRole() string {
	name := w.rbac.keys["policy.default"].value()
	if r := w.roles[name]; r == nil || !r.meaningful {
		return ""
	}
	return name
}

// reportEmpty reports a ConfigMap that says nothing, as that of install.yaml.
func (w *argocdWriter) reportEmpty() {
	if len(w.entries) > 0 || w.hasProjects || w.defaultRole() != "" {
		return
	}
	at := fault.Position{File: w.sources[0].Name}
	if w.rbac.file != nil {
		at.File = w.rbac.file.name
	}
	name, consequence := w.rbac.keys["policy.default"].value(),
		"which is not set: only the local account admin may do anything"
	if name != "" {
		consequence = text.Quote(name) + ", which grants nothing: only the local account admin may do anything"
	}
	w.skip(at, rbacMap+" holds no policy; Argo CD then uses policy.default, "+consequence, writeOwn)
}

const writeOwn = "write rows for your groups, as in examples/argo-cd/policy.csv; " +
	"if AppProjects have roles, give them, too: kubectl -n argocd get appprojects -o yaml"
