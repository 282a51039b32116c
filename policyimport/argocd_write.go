package policyimport

import (
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// argocdWriter writes the policy for what the model decides.
type argocdWriter struct {
	*argoCD
	d     *draft
	names *roleNames
	pages string // the role of the pages
	roles map[string]*role
	used  []string // roles that are written, in their order
	holds []holder
	place map[string]bool // roles whose g row with GROUP is there
	cause map[string]bool // subjects of rows that were reported: what follows from them is not
}

// role is a role of Argo CD as it is written.
type role struct {
	own      string // its name here
	access   access
	rows     access   // of its own
	parents  []string // roles of Argo CD that it inherits here, too
	written  access   // with what it inherits
	means    bool     // it allows something, an endpoint or not
	held     bool
	everyone bool // it may do all but extensions
	depth    int  // of the chain of g rows that it begins
}

// holder is a group or a person, and what they hold.
type holder struct {
	name     string // in Argo CD
	subjects []string
	rows     []grantEntry
	exact    bool // the roles give no more than Argo CD does
	extra    access
}

type grantEntry struct {
	entry
	role, project string
}

func (w *argocdWriter) write() {
	w.names = w.roleNames()
	w.place, w.cause = map[string]bool{}, map[string]bool{}
	prefix := w.RolePrefix
	if prefix == "" {
		prefix = "argocd-" // two imports without a prefix would have one role of pages
	}
	w.pages = w.names.unused(rolePrefix + prefix + "pages")
	w.judgeRules()
	w.findRoles()
	w.heading()
	w.d.comment("Who")
	w.d.blank()
	w.members()
	w.everybody()
	w.emptyPolicy()
	w.d.blank()
	w.listRows()
	w.writeRoles()
	w.withoutLogin()
}

func (w *argocdWriter) heading() {
	from := []string{rbacMap}
	if len(w.projects) > 0 {
		from = append(from, "AppProjects")
	}
	w.d.comment("authgate:import argocd")
	w.d.comment("From Argo CD: %s.", strings.Join(from, " and "))
	w.d.comment("")
	w.d.comment("These rows say who may use which endpoint. Behind it Argo CD asks its own rows, on")
	w.d.comment("the person's own token: give the upstream identity: {credential: idToken}.")
	w.d.blank()
}

// findRoles works out what is written of each role.
func (w *argocdWriter) findRoles() {
	w.roles = map[string]*role{}
	for _, name := range w.names.order {
		r := &role{own: w.names.own[name], access: w.model.access(name, true)}
		r.means = len(r.access) > 0 || w.meansSomething(name)
		r.everyone = everythingBut().within(r.access)
		w.roles[name] = r
	}
	open := map[string]bool{}
	for _, name := range w.names.order {
		w.settle(name, open)
	}
	w.findHolders()
	w.findUsed()
}

// meansSomething reports whether a role that opens no endpoint allows something that
// Argo CD asks for all the same, such as override.
func (w *argocdWriter) meansSomething(name string) bool {
	means := false
	for _, project := range append([]string{""}, w.model.projects...) {
		held := w.model.held(name, project)
		for _, r := range w.model.rules {
			switch {
			case !held[r.subject] || r.project != "" && r.project != project:
			case r.deny || w.model.poisons(r):
				return false
			case r.effect() == "allow" && w.model.means(r):
				means = true
			}
		}
	}
	return means
}

// everythingBut is what the rows of argocdAll stand for.
func everythingBut() access {
	all := access{}
	for _, p := range argocdTable {
		if p.resource == "extensions" {
			continue
		}
		for _, row := range p.opens {
			all[opening{row, "*"}] = true
		}
	}
	return all
}

// maxWrittenChain is how long chains are written: the policy takes ten g rows, and a group
// and the role of the pages are at the ends.
const maxWrittenChain = 8

// settle decides which rows of a role are its own and which it inherits. It inherits
// as in Argo CD where that gives no more than Argo CD does; a deny of the role, a circle
// or a long chain are reasons to write all of its rows out.
func (w *argocdWriter) settle(name string, open map[string]bool) *role {
	r := w.roles[name]
	if r.written != nil || open[name] {
		return r
	}
	open[name] = true
	defer delete(open, name)
	inherited := access{}
	for _, g := range w.model.grants {
		parent := w.roles[g.role]
		if g.member != name || parent == nil || g.role == name || slices.Contains(r.parents, g.role) ||
			open[g.role] || r.everyone || !parent.means {
			continue
		}
		parent = w.settle(g.role, open)
		if parent.written == nil || !parent.written.within(r.access) || parent.depth >= maxWrittenChain || g.project != "" {
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
		if what, _ := w.damaged(e); what != "" {
			return
		}
		member, role := e.fields[1], e.fields[2]
		if w.roles[member] != nil && strings.HasPrefix(member, rolePrefix) {
			return
		}
		i, known := byName[member]
		if !known {
			i = len(w.holds)
			byName[member] = i
			h := holder{name: member}
			h.subjects, _, _, _ = w.subjects(member)
			w.holds = append(w.holds, h)
		}
		w.holds[i].rows = append(w.holds[i].rows, grantEntry{e, role, project})
	}
	w.eachGrant(add)
	for i := range w.holds {
		h := &w.holds[i]
		if len(h.subjects) == 0 {
			continue
		}
		here, there := access{}, w.model.access(h.name, w.roles[h.name] != nil)
		for _, row := range h.rows {
			if r := w.roles[row.role]; r != nil {
				maps.Copy(here, r.written)
			}
		}
		h.exact = here.within(there)
		h.extra = access{}
		for o := range there {
			if !h.exact || !here.covers(o) {
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
				do(entry{[]string{"g", group.text, role.name}, "g, " + group.text + ", " + role.name, group.at, group.in}, p.name)
			}
		}
	}
}

// findUsed marks the roles that are written, and those that are held.
func (w *argocdWriter) findUsed() {
	used := map[string]bool{}
	var use func(name string, held bool)
	use = func(name string, held bool) {
		r := w.roles[name]
		if r == nil || used[name] && (r.held || !held) {
			return
		}
		used[name] = true
		r.held = r.held || held
		for _, parent := range r.parents {
			use(parent, held)
		}
	}
	for _, h := range w.holds {
		for _, row := range h.rows {
			use(row.role, len(h.subjects) > 0 && h.exact)
		}
	}
	if name := w.defaultRole(); name != "" {
		use(name, !w.roles[name].everyone)
	}
	for _, r := range w.model.rules {
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
		if !used[name] || !r.means {
			continue
		}
		w.used = append(w.used, name)
		if !r.held { // it has to load with a group and without one
			r.rows, r.parents = maps.Clone(r.access), nil
		}
	}
}

// defaultRole gives policy.default, where that grants something.
func (w *argocdWriter) defaultRole() string {
	name := w.rbac.keys["policy.default"].value()
	if r := w.roles[name]; r == nil || !r.means {
		return ""
	}
	return name
}

// emptyPolicy reports a ConfigMap that says nothing, as that of install.yaml.
func (w *argocdWriter) emptyPolicy() {
	if len(w.entries) > 0 || w.someProject || w.defaultRole() != "" {
		return
	}
	at := fault.Position{File: w.sources[0].Name}
	if w.rbac.whole != nil {
		at.File = w.rbac.whole.name
	}
	name, said := w.rbac.keys["policy.default"].value(), "which is not set: only the local account admin may do anything"
	if name != "" {
		said = quote(name) + ", which grants nothing: only the local account admin may do anything"
	}
	w.loss(at, rbacMap+" holds no policy; Argo CD then uses policy.default, "+said, writeOwn)
}

const writeOwn = "write rows for your groups, as in examples/argo-cd/policy.csv; " +
	"if AppProjects have roles, give them, too: kubectl -n argocd get appprojects -o yaml"
