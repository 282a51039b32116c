package policyimport

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// members writes the g rows, each where it stood.
func (w *argocdWriter) members() {
	written := map[string]bool{}
	w.eachGrant(func(e entry, _ string) {
		if what, mend := w.damaged(e); what != "" {
			w.cause[e.fields[1]], w.cause[e.fields[2]] = true, true
			w.leave(e, what, mend, "")
			return
		}
		w.member(e, written)
	})
	w.reportChains()
}

// leave reports a row, and keeps the g row that takes its place as a comment.
func (w *argocdWriter) leave(e entry, what, mend, role string) {
	if role != "" && mend == "" {
		mend = putIn(role)
	} else if role != "" {
		mend += "; " + putIn(role)
	}
	w.d.leave(e.at, e.text, what+e.in, mend)
	w.groupRow(role)
}

func (w *argocdWriter) groupRow(role string) {
	if role != "" && !w.place[role] {
		w.place[role] = true
		w.d.comment("g, GROUP, %s", role)
	}
}

func (w *argocdWriter) member(e entry, written map[string]bool) {
	member, name := e.fields[1], e.fields[2]
	r := w.roles[name]
	h := w.holder(member)
	if h != nil && !written[member] && len(h.subjects) > 0 && (len(h.extra) > 0 || r != nil && r.means) {
		written[member] = true
		w.extraRows(h)
		w.remarks(e, h)
	}
	switch {
	case w.names.clash[name] != "":
		w.leave(e, "there are both "+quote(name)+" and "+quote(w.names.clash[name]), "give one of the two another name "+
			"in Argo CD, and import again", "")
		return
	case r == nil && strings.HasPrefix(name, "proj:"):
		w.leave(e, quote(name)+" is a role of a project that is not among the files",
			"give the AppProject, too: kubectl -n argocd get appprojects -o yaml", "")
		return
	case r == nil || !r.means:
		if w.tooFar(name) { // reported once, as a chain
			w.d.comment("not carried over, since its rules are more than %d g rows away:", maxChain)
			w.d.comment("  %s", e.text)
			return
		}
		if w.followsFrom(name) {
			w.d.comment("not carried over, since rows of %s are not:", name)
			w.d.comment("  %s", e.text)
			return
		}
		w.leave(e, quote(name)+" is granted but has no rules in Argo CD, so the row grants nothing there",
			"give the role rules there, and import again", "")
		return
	}
	if strings.HasPrefix(member, rolePrefix) {
		return // written with the role
	}
	if len(h.subjects) == 0 {
		_, _, what, mend := w.subjects(member)
		w.leave(e, what, mend, r.own)
		return
	}
	if !h.exact {
		return
	}
	for _, subject := range h.subjects {
		w.d.row(e.at, "g", subject, r.own)
		if own := w.names.own[member]; own != "" {
			w.d.row(e.at, "g", own, r.own) // a role of that name, too: Argo CD does not tell them apart
		}
	}
}

func (w *argocdWriter) holder(name string) *holder {
	if i := slices.IndexFunc(w.holds, func(h holder) bool { return h.name == name }); i >= 0 {
		return &w.holds[i]
	}
	return nil
}

// remarks says what a name stands for here, once.
func (w *argocdWriter) remarks(e entry, h *holder) {
	_, remark, _, _ := w.subjects(h.name)
	switch {
	case remark != "":
		w.loss(e.at, remark+e.in, "if a person is meant, write g, user:"+h.name+", ROLE")
	case len(h.subjects) == 2:
		w.d.comment("%s counts as a group and as an e-mail address, as in Argo CD.", h.name)
	case !strings.ContainsAny(h.name, ":@"):
		w.noteAt(e.at, quote(h.name)+" is taken for a group"+e.in, "if it is a local account or a user id, delete the "+
			"row: no one signs in to authgate with these")
	}
}

// extraRows writes what a group or a person may use that no role of theirs says.
func (w *argocdWriter) extraRows(h *holder) {
	if !h.exact {
		w.d.comment("The denies of Argo CD take away some of what the roles of %s allow:", h.name)
		for _, row := range h.rows {
			w.d.comment("  %s", row.text)
		}
	}
	for _, subject := range h.subjects {
		w.openings(subject, h.extra)
		if len(h.extra) > 0 {
			w.d.make("g", subject, w.pages)
		}
		for _, row := range h.rows {
			project, short, ok := strings.Cut(strings.TrimPrefix(row.role, "proj:"), ":")
			if ok && row.project == project && plainSegment.MatchString(project+short) {
				// Argo CD lets the groups of a role make and delete its tokens.
				path := "/api/v1/projects/" + project + "/roles/" + short + "/token"
				w.d.make("p", subject, w.Upstream, path, "POST", "allow")
				w.d.make("p", subject, w.Upstream, path+"/*", "DELETE", "allow")
				w.d.make("p", subject, w.Upstream, "/project.ProjectService/CreateToken", "POST", "allow")
				w.d.make("p", subject, w.Upstream, "/project.ProjectService/DeleteToken", "POST", "allow")
			}
		}
	}
}

// followsFrom reports whether what a role lacks was reported already.
func (w *argocdWriter) followsFrom(name string) bool {
	for _, project := range append([]string{""}, w.model.projects...) {
		for held := range w.model.held(name, project) {
			if w.cause[held] {
				return true
			}
		}
	}
	return false
}

// deniesOnly reports a role whose rows are denies, which as policy.default grants nothing.
func (w *argocdWriter) deniesOnly(name string) bool {
	held, some := w.model.held(name, ""), false
	for _, r := range w.model.rules {
		if held[r.subject] && !r.deny {
			return false
		}
		some = some || held[r.subject]
	}
	return some
}

// tooFar reports whether a role would have rules if chains had no end.
func (w *argocdWriter) tooFar(name string) bool {
	return slices.ContainsFunc(w.names.order, func(other string) bool {
		return w.roles[other].means && w.model.heirs(other)[name]
	})
}

// everybody carries policy.default over, for those who signed in and, where Argo CD
// takes them, for the others.
func (w *argocdWriter) everybody() {
	for _, scope := range w.scopes {
		if scope != "groups" && scope != "email" {
			w.noteAt(w.rbac.keys["scopes"].at(), "Argo CD takes groups from the claim "+quote(scope)+", too",
				"authgate reads one claim, issuer.groupsClaim: see that the groups above are in it")
		}
	}
	open := w.cm.isOn(anonymousSetting)
	s := w.rbac.keys["policy.default"]
	given, name := s.value(), w.defaultRole()
	if name == "" {
		switch {
		case given == "" || given == "role:none" || strings.Trim(strings.TrimPrefix(given, rolePrefix), `'"`) == "":
		case w.deniesOnly(given):
			w.d.comment("policy.default: %s allows nothing.", given)
		case w.followsFrom(given):
			w.d.comment("policy.default: %s has no rows that are carried over.", given)
		default:
			w.noteAt(s.at(), "policy.default "+quote(given)+" has no rules, so it grants nothing in Argo CD", "")
		}
		if open {
			w.noteAt(w.cm.keys[anonymousSetting].at(), "Argo CD takes people without a login, who have no role there, and "+
				"authgate asks them to log in", "")
		}
		return
	}
	r := w.roles[name]
	if r.everyone {
		w.d.leave(s.at(), "g, "+authenticated+", "+r.own, "policy.default "+quote(name)+" lets everybody who signed in "+
			"change anything", "grant "+r.own+" to groups that you can name; if everybody is meant, take the # off the row "+
			"and write a reason above it")
		w.groupRow(r.own)
		return
	}
	w.d.comment("policy.default: everyone who signed in.")
	w.d.row(s.at(), "g", authenticated, r.own)
	switch {
	case open:
		at := w.cm.keys[anonymousSetting].at()
		w.d.comment("WARNING: users.anonymous.enabled. ANYBODY WITHOUT A LOGIN holds %s. Delete the", r.own)
		w.d.comment("row unless that is meant: then no login is asked for where it opens an endpoint.")
		w.d.row(at, "g", anonymous, r.own)
		w.noteAt(at, "WARNING: ANYBODY WITHOUT A LOGIN holds "+r.own+", since users.anonymous.enabled is true",
			"delete the row of system:anonymous unless that is meant")
	case w.cm.whole == nil && !noPlace(s.at()):
		w.noteAt(s.at(), "whether Argo CD takes people without a login is in argocd-cm, which was not given",
			"name that file, too, if it does; authgate asks them to log in")
	}
}

// reportChains tells of circles and of chains that casbin does not follow to the end,
// once each.
func (w *argocdWriter) reportChains() {
	up := map[string][]grantEntry{}
	w.eachGrant(func(e entry, project string) {
		up[e.fields[1]] = append(up[e.fields[1]], grantEntry{e, e.fields[2], project})
	})
	done, tooLong := map[string]bool{}, false
	depth := map[string]int{}
	var path []string
	var visit func(name string) int
	visit = func(name string) int {
		if done[name] {
			return depth[name]
		}
		path = append(path, name)
		defer func() { path = path[:len(path)-1] }()
		deepest := 0
		for _, g := range up[name] {
			if from := slices.Index(path, g.role); from >= 0 {
				w.loss(g.at, "roles go in a circle: "+strings.Join(append(slices.Clone(path[from:]), g.role), " -> ")+g.in,
					"each of them has the rows of all of them here, as in Argo CD; take one of the g rows out there")
				continue
			}
			deepest = max(deepest, visit(g.role)+1)
		}
		done[name], depth[name] = true, deepest
		return deepest
	}
	var at fault.Position
	w.eachGrant(func(e entry, _ string) {
		if visit(e.fields[1]) > maxChain && !tooLong {
			tooLong, at = true, e.at
		}
	})
	if tooLong {
		w.loss(at, "a chain of roles is longer than 10 g rows, and Argo CD does not follow it to its end",
			"grant the roles at its end to the groups that are to have them")
	}
}
