package importer

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
)

// writeMembers writes the g rows, each where it stood.
func (w *argocdWriter) writeMembers() {
	written := map[string]bool{}
	w.eachGrant(func(e entry, _ string) {
		if message, hint := w.nameProblem(e); message != "" {
			w.skippedSubjects[e.fields[1]], w.skippedSubjects[e.fields[2]] = true, true
			w.skipRow(e, message, hint, "")
			return
		}
		w.writeMember(e, written)
	})
	w.reportChains()
}

// skipRow reports a row, and keeps the g row that takes its place as a comment.
func (w *argocdWriter) skipRow(e entry, message, hint, role string) {
	if role != "" && hint == "" {
		hint = grantHint(role)
	} else if role != "" {
		hint += "; " + grantHint(role)
	}
	w.pb.skip(e.at, e.text, message+e.lineHint, hint)
	w.writePlaceholder(role)
}

func (w *argocdWriter) writePlaceholder(role string) {
	if role != "" && !w.placeholders[role] {
		w.placeholders[role] = true
		w.pb.comment("g, GROUP, %s", role)
	}
}

func (w *argocdWriter) writeMember(e entry, written map[string]bool) {
	member, name := e.fields[1], e.fields[2]
	r := w.roles[name]
	h := w.holder(member)
	if h != nil && !written[member] && len(h.subjects) > 0 && (len(h.extra) > 0 || r != nil && r.meaningful) {
		written[member] = true
		w.writeExtraRows(h)
		w.writeRemarks(e, h)
	}
	switch {
	case w.names.conflicts[name] != "":
		w.skipRow(e, "there are both "+text.Quote(name)+" and "+text.Quote(w.names.conflicts[name]),
			"give one of the two another name "+
				"in Argo CD, and import again", "")
		return
	case r == nil && strings.HasPrefix(name, "proj:"):
		w.skipRow(e, text.Quote(name)+" is a role of a project that is not among the files",
			"give the AppProject, too: kubectl -n argocd get appprojects -o yaml", "")
		return
	case r == nil || !r.meaningful:
		if w.tooFar(name) { // reported once, as a chain
			w.pb.comment("not carried over, since its rules are more than %d g rows away:", maxChain)
			w.pb.comment("  %s", e.text)
			return
		}
		if w.isConsequence(name) {
			w.pb.comment("not carried over, since rows of %s are not:", name)
			w.pb.comment("  %s", e.text)
			return
		}
		w.skipRow(e, text.Quote(name)+" is granted but has no rules in Argo CD, so the row grants nothing there",
			"give the role rules there, and import again", "")
		return
	}
	if strings.HasPrefix(member, policy.RolePrefix) {
		return // written with the role
	}
	if len(h.subjects) == 0 {
		_, _, message, hint := w.subjects(member)
		w.skipRow(e, message, hint, r.name)
		return
	}
	if !h.exact {
		return
	}
	for _, subject := range h.subjects {
		w.pb.row(e.at, "g", subject, r.name)
		if roleName := w.names.byName[member]; roleName != "" {
			w.pb.row(e.at, "g", roleName, r.name) // a role of that name, too: Argo CD does not tell them apart
		}
	}
}

func (w *argocdWriter) holder(name string) *holder {
	if i := slices.IndexFunc(w.holders, func(h holder) bool { return h.name == name }); i >= 0 {
		return &w.holders[i]
	}
	return nil
}

// writeRemarks says what a name stands for here, once.
func (w *argocdWriter) writeRemarks(e entry, h *holder) {
	_, remark, _, _ := w.subjects(h.name)
	switch {
	case remark != "":
		w.skip(e.at, remark+e.lineHint, "if a person is meant, write g, user:"+h.name+", ROLE")
	case len(h.subjects) == 2:
		w.pb.comment("%s counts as a group and as an e-mail address, as in Argo CD.", h.name)
	case !strings.ContainsAny(h.name, ":@"):
		w.note(e.at, text.Quote(h.name)+" is taken for a group"+e.lineHint,
			"if it is a local account or a user id, delete the "+
				"row: no one signs in to authgate with these")
	}
}

// writeExtraRows writes what a group or a person may use that no role of theirs says.
func (w *argocdWriter) writeExtraRows(h *holder) {
	if !h.exact {
		w.pb.comment("The denies of Argo CD take away some of what the roles of %s allow:", h.name)
		for _, row := range h.grants {
			w.pb.comment("  %s", row.text)
		}
	}
	for _, subject := range h.subjects {
		w.writeAccess(subject, h.extra)
		if len(h.extra) > 0 {
			w.pb.generate("g", subject, w.pagesRole)
		}
		for _, row := range h.grants {
			project, short, ok := strings.Cut(strings.TrimPrefix(row.role, "proj:"), ":")
			if ok && row.project == project && plainSegment.MatchString(project+short) {
				// Argo CD lets the groups of a role make and delete its tokens.
				path := "/api/v1/projects/" + project + "/roles/" + short + "/token"
				w.pb.generate("p", subject, w.Upstream, path, "POST", "allow")
				w.pb.generate("p", subject, w.Upstream, path+"/*", "DELETE", "allow")
				w.pb.generate("p", subject, w.Upstream, "/project.ProjectService/CreateToken", "POST", "allow")
				w.pb.generate("p", subject, w.Upstream, "/project.ProjectService/DeleteToken", "POST", "allow")
			}
		}
	}
}

// isConsequence reports whether what a role lacks was reported already.
func (w *argocdWriter) isConsequence(name string) bool {
	for _, project := range append([]string{""}, w.model.projects...) {
		for heldRole := range w.model.implicitRoles(name, project) {
			if w.skippedSubjects[heldRole] {
				return true
			}
		}
	}
	return false
}

// deniesOnly reports a role whose rows are denies, which as policy.default grants nothing.
func (w *argocdWriter) deniesOnly(name string) bool {
	held, some := w.model.implicitRoles(name, ""), false
	for _, r := range w.model.rows {
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
		return w.roles[other].meaningful && w.model.heirs(other)[name]
	})
}

// writeDefaultRole carries policy.default over, for those who signed in and, where Argo CD
// takes them, for the others.
func (w *argocdWriter) writeDefaultRole() {
	for _, scope := range w.scopes {
		if scope != "groups" && scope != "email" {
			w.note(w.rbac.keys["scopes"].at(), "Argo CD takes groups from the claim "+text.Quote(scope)+", too",
				"authgate reads one claim, issuer.groupsClaim: see that the groups above are in it")
		}
	}
	anonymousAllowed := w.serverConfig.isOn(anonymousSetting)
	s := w.rbac.keys["policy.default"]
	given, name := s.value(), w.defaultRole()
	if name == "" {
		switch {
		case given == "" || given == "role:none" ||
			strings.Trim(strings.TrimPrefix(given, policy.RolePrefix), `'"`) == "":
		case w.deniesOnly(given):
			w.pb.comment("policy.default: %s allows nothing.", given)
		case w.isConsequence(given):
			w.pb.comment("policy.default: %s has no rows that are carried over.", given)
		default:
			w.note(s.at(), "policy.default "+text.Quote(given)+" has no rules, so it grants nothing in Argo CD", "")
		}
		if anonymousAllowed {
			w.note(w.serverConfig.keys[anonymousSetting].at(),
				"Argo CD takes people without a login, who have no role there, and "+
					"authgate asks them to log in", "")
		}
		return
	}
	r := w.roles[name]
	if r.broad {
		w.pb.skip(s.at(), "g, "+policy.Authenticated+", "+r.name,
			"policy.default "+text.Quote(name)+" lets every signed-in user "+
				"change anything", "grant "+r.name+" to groups that you can name; if every user is meant, take the # "+
				"off the row "+
				"and write a reason above it")
		w.writePlaceholder(r.name)
		return
	}
	w.pb.comment("policy.default: every signed-in user.")
	w.pb.row(s.at(), "g", policy.Authenticated, r.name)
	switch {
	case anonymousAllowed:
		at := w.serverConfig.keys[anonymousSetting].at()
		w.pb.comment("WARNING: users.anonymous.enabled. ANYONE WITHOUT A LOGIN holds %s. Delete the", r.name)
		w.pb.comment("row unless that is meant: then no login is asked for where it opens an endpoint.")
		w.pb.row(at, "g", policy.Anonymous, r.name)
		w.note(at, "WARNING: ANYONE WITHOUT A LOGIN holds "+r.name+", since users.anonymous.enabled is true",
			"delete the row of system:anonymous unless that is meant")
	case w.serverConfig.file == nil && !hasNoPosition(s.at()):
		w.note(s.at(), "whether Argo CD takes people without a login is in argocd-cm, which was not given",
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
				w.skip(g.at, "role cycle: "+strings.Join(append(slices.Clone(path[from:]), g.role), " -> ")+g.lineHint,
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
		w.skip(at, "a chain of roles is longer than 10 g rows, and Argo CD does not follow it to its end",
			"grant the roles at its end to the groups that are to have them")
	}
}
