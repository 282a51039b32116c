package policyimport

import (
	"maps"
	"slices"
	"strings"
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
