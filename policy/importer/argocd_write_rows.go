package importer

import (
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/text"
)

// writeRoles writes the rows of each role, and who inherits them.
func (w *argocdWriter) writeRoles() {
	if len(w.usedRoles) == 0 && !slices.ContainsFunc(w.holders, func(h holder) bool { return len(h.extra) > 0 }) {
		return
	}
	w.pb.comment("What Argo CD lets each role do with some object.")
	for _, name := range w.usedRoles {
		r := w.roles[name]
		w.pb.blankLine()
		w.pb.comment("%s of Argo CD", name)
		if !r.hasMembers {
			w.pb.comment("No one holds it yet. To grant it, take the # off g, GROUP, %s, put a", r.name)
			w.pb.comment("group in the place of GROUP, and take the authgate:ignore out.")
			w.writePlaceholder(r.name)
		}
		for _, parent := range r.parents {
			w.pb.generate("g", r.name, w.roles[parent].name)
		}
		if !r.hasMembers && len(r.rows) == 0 { // the policy takes no role of which it knows nothing else
			w.pb.comment("g, %s, %s", r.name, w.pagesRole)
			continue
		}
		if !r.broad {
			w.writeAccess(r.name, r.rows)
			w.pb.generate("g", r.name, w.pagesRole)
			continue
		}
		if r.access.covers(endpointAccess{"* /extensions/{name}/**", "*"}) {
			w.pb.generate("p", r.name, w.Upstream, "/**", "*", "allow")
			continue
		}
		w.writeRows(r.name, argocdAll)
		extensions := access{}
		for o := range r.access {
			if strings.HasPrefix(o.row, "* /extensions/") {
				extensions[o] = true
			}
		}
		w.writeAccess(r.name, extensions)
		w.pb.generate("g", r.name, w.pagesRole)
	}
	w.pb.blankLine()
	w.pb.comment("The pages, and lists of what a person may see: Argo CD asks for no permission first.")
	w.writeRows(w.pagesRole, argocdPages)
}

// writeRows writes "METHODS PATH" as rows.
func (w *argocdWriter) writeRows(subject string, all []string) {
	for _, row := range all {
		methods, path, _ := strings.Cut(row, " ")
		w.pb.generate("p", subject, w.Upstream, path, methods, "allow")
	}
}

// writeAccess writes an access in the order of the table.
func (w *argocdWriter) writeAccess(subject string, some access) {
	remaining := maps.Clone(some)
	for _, p := range argocdTable {
		for _, row := range p.endpoints {
			var segments []string
			for o := range remaining {
				if o.row == row {
					segments = append(segments, o.segment)
				}
			}
			slices.Sort(segments)
			for _, segment := range segments {
				delete(remaining, endpointAccess{row, segment})
				methods, path, _ := strings.Cut(row, " ")
				path = strings.NewReplacer("{name}", segment, "{app}", segment).Replace(path)
				w.pb.generate("p", subject, w.Upstream, path, methods, "allow")
			}
		}
	}
}

func (w *argocdWriter) writeAnonymous() {
	w.pb.blankLine()
	w.pb.comment("Without a login. Take the # off what you need: the first where Argo CD serves Dex,")
	w.pb.comment("the second where a Git host announces pushes (give Argo CD its secret).")
	w.pb.comment("p, system:anonymous, %s, /api/dex/**, GET|POST, allow", w.Upstream)
	w.pb.comment("p, system:anonymous, %s, /api/webhook, POST, allow", w.Upstream)
}

// reportRules reports the p rows of which something is lost, or which are not what
// they seem.
func (w *argocdWriter) reportRules() {
	for _, r := range w.model.rows {
		if !r.builtin && r.text != "" {
			w.reportRule(r)
		}
	}
	if w.model.regex && w.usesBuiltin() {
		s := w.rbac.keys["policy.matchMode"]
		w.skippedSubjects[adminRole], w.skippedSubjects[readonlyRole] = true, true
		w.skip(s.at(), "role:admin and role:readonly grant nothing in Argo CD with policy.matchMode: regex: "+
			"their rows "+
			"are globs, which do not compile as regular expressions",
			"write the rows of roles of your own for them in Argo CD, and import again")
	}
}

func (w *argocdWriter) usesBuiltin() bool {
	isBuiltin := func(name string) bool { return name == adminRole || name == readonlyRole }
	return isBuiltin(w.rbac.keys["policy.default"].value()) || slices.ContainsFunc(w.entries, func(e entry) bool {
		return e.fields[0] == "g" && isBuiltin(e.fields[2]) && !w.accounts[e.fields[1]]
	})
}

func (w *argocdWriter) reportRule(r *modelRow) {
	skip := func(message, hint string) {
		w.skippedSubjects[r.subject] = true
		w.skip(r.at, message+r.lineHint, hint)
	}
	if message, hint := w.nameProblem(r.entry); message != "" {
		skip(message, hint)
		// What the name was meant to be lacks the row, too.
		w.skippedSubjects[strings.TrimSpace(comment.ReplaceAllString(r.subject, ""))] = true
		return
	}
	if r.effect() != "allow" && r.effect() != "deny" {
		skip("effect "+text.Quote(r.effect())+" grants nothing in Argo CD",
			"write allow or deny there, and import again")
		return
	}
	if !w.checkSubject(r) {
		return
	}
	if field, p := unreadableField(r); p != nil {
		switch {
		case w.model.regex:
			skip("the regular expression "+text.Quote(p.text)+" of the "+field+" does not compile ("+p.problem+"), and Argo CD "+
				"refuses everything to which it comes with the row, so nothing of that is open here",
				"write another expression in Argo CD, and import again")
		case p.unclear:
			skip("what the glob "+text.Quote(p.text)+" of the "+field+" matches in Argo CD is not certain: "+p.problem,
				"write a row for each of the words there, and import again")
		default:
			skip("the glob "+text.Quote(p.text)+" of the "+field+" matches nothing in Argo CD: "+p.problem,
				"write another glob there, and import again")
		}
		return
	}
	if !w.model.isMeaningful(r) {
		message, hint := w.explainNoMatch(r)
		skip(message, hint)
		return
	}
	if r.deny && !w.model.takesAway(r) {
		return
	}
	if r.deny {
		w.skip(r.at, "the deny stays in Argo CD, which goes on asking it for each group or role by itself; here an "+
			"endpoint is shut that it shuts to "+r.subject+" for all objects"+r.lineHint,
			"nothing is to be done where Argo CD gets the person's own token (identity: {credential: idToken}); "+
				"if it is to "+
				"bind a person whatever else they hold, write a p row with deny")
		return
	}
	w.noteRollback(r)
}

func unreadableField(r *modelRow) (field string, p *pattern) {
	for i, p := range []*pattern{r.resource, r.action, r.object} {
		if p.language == nil {
			return []string{"resource", "action", "object"}[i], p
		}
	}
	return "", nil
}

// checkSubject reports a rule about a name by which no one is known here.
func (w *argocdWriter) checkSubject(r *modelRow) bool {
	subject := r.subject
	switch {
	case w.names.byName[subject] != "" || w.names.conflicts[subject] != "":
		return true
	case strings.HasPrefix(subject, "proj:"), w.accounts[subject]:
		w.note(r.at, text.Quote(subject)+" stays in Argo CD: its tokens are Argo CD's own, which authgate does not "+
			"take"+r.lineHint, "give CI a token of an issuer that authgate knows (bearer)")
	case w.model.isGranted(subject, r.project),
		r.project == "" && slices.ContainsFunc(w.model.projects,
			func(p string) bool { return w.model.isGranted(subject, p) }):
		return true
	default:
		w.skip(r.at, text.Quote(subject)+" is named by a p row directly, and not by a role"+r.lineHint,
			"in Argo CD give the rights to a role, and the "+
				"role by g, "+subject+", role:NAME; to a group such a row grants "+
				"nothing without a g row that begins with it")
	}
	return false
}

// explainNoMatch finds the field by which a rule matches nothing that Argo CD asks for.
func (w *argocdWriter) explainNoMatch(r *modelRow) (message, hint string) {
	var resources, actions, objects []string
	for _, p := range argocdTable {
		if !slices.Contains(resources, p.resource) {
			resources = append(resources, p.resource)
		}
		if !w.model.patternMatches(r.resource, "", p.resource) {
			continue
		}
		action, _, fine := strings.Cut(p.action, "/")
		if fine {
			action += "/GROUP/KIND/..."
		}
		if !slices.Contains(actions, action) {
			actions = append(actions, action)
		}
		if w.model.patternMatches(r.action, p.action, "") && !slices.Contains(objects, objectNames[p.object]) {
			objects = append(objects, objectNames[p.object])
		}
	}
	switch {
	case len(actions) == 0:
		return "Argo CD has no resource " + text.Quote(r.resource.text) + ", so the row grants nothing there",
			"its resources are " + strings.Join(resources, ", ")
	case len(objects) == 0:
		return "Argo CD asks for no action " + text.Quote(r.action.text) + " on " + r.resource.text +
			", so the row grants " +
			"nothing there", "its actions there are " + strings.Join(actions, ", ")
	}
	if r.project != "" {
		objects = []string{r.project + "/NAME, in the rules of that project"}
	}
	return "no object of " + r.resource.text + " is named " + text.Quote(r.object.text) +
		", so the row grants nothing in " +
		"Argo CD", "its objects are named " + strings.Join(objects, " or ")
}

var objectNames = map[string]string{
	appObject: "PROJECT/NAME or PROJECT/NAMESPACE/NAME, in small letters", projectObject: "PROJECT, in small letters",
	urlObject: "URL or PROJECT/URL", accountObject: "ACCOUNT", nameObject: "EXTENSION", noObject: `"", which * matches`,
}

// noteRollback says on which setting it depends whether a rollback is a permission.
func (w *argocdWriter) noteRollback(r *modelRow) {
	if r.action.text == "rollback" && w.serverConfig.file == nil {
		w.note(r.at, "Argo CD asks for rollback where argocd-cm has "+rollbackSetting+`: "true", and else for sync; `+
			"argocd-cm was not given, and the row opens nothing"+r.lineHint,
			"name that file, too, if it has the setting")
	}
}

// writeSourceRows shows the p rows, and where they are asked.
func (w *argocdWriter) writeSourceRows() {
	var rows []string
	for _, r := range w.model.rows {
		if !r.builtin && r.text != "" {
			rows = append(rows, r.text)
		}
	}
	if len(rows) == 0 {
		return
	}
	w.pb.comment("These rows stay in Argo CD: they are about its resources and objects, and no path")
	w.pb.comment("says which object is meant. The endpoints that they need are below.")
	for _, row := range rows {
		w.pb.comment("  %s", row)
	}
	w.pb.blankLine()
}
