package policyimport

import (
	"maps"
	"slices"
	"strings"
)

// writeRoles writes the rows of each role, and who inherits them.
func (w *argocdWriter) writeRoles() {
	if len(w.used) == 0 && !slices.ContainsFunc(w.holds, func(h holder) bool { return len(h.extra) > 0 }) {
		return
	}
	w.d.comment("What Argo CD lets each role do with some object.")
	for _, name := range w.used {
		r := w.roles[name]
		w.d.blank()
		w.d.comment("%s of Argo CD", name)
		if !r.held {
			w.d.comment("No one holds it yet. To grant it, take the # off g, GROUP, %s, put a", r.own)
			w.d.comment("group in the place of GROUP, and take the authgate:ignore out.")
			w.groupRow(r.own)
		}
		for _, parent := range r.parents {
			w.d.make("g", r.own, w.roles[parent].own)
		}
		if !r.held && len(r.rows) == 0 { // the policy takes no role of which it knows nothing else
			w.d.comment("g, %s, %s", r.own, w.pages)
			continue
		}
		if !r.everyone {
			w.openings(r.own, r.rows)
			w.d.make("g", r.own, w.pages)
			continue
		}
		if r.access.covers(opening{"* /extensions/{name}/**", "*"}) {
			w.d.make("p", r.own, w.Upstream, "/**", "*", "allow")
			continue
		}
		w.rows(r.own, argocdAll)
		extensions := access{}
		for o := range r.access {
			if strings.HasPrefix(o.row, "* /extensions/") {
				extensions[o] = true
			}
		}
		w.openings(r.own, extensions)
		w.d.make("g", r.own, w.pages)
	}
	w.d.blank()
	w.d.comment("The pages, and lists of what a person may see: Argo CD asks for no permission first.")
	w.rows(w.pages, argocdPages)
}

// rows writes "METHODS PATH" as rows.
func (w *argocdWriter) rows(subject string, all []string) {
	for _, row := range all {
		methods, path, _ := strings.Cut(row, " ")
		w.d.make("p", subject, w.Upstream, path, methods, "allow")
	}
}

// openings writes an access in the order of the table.
func (w *argocdWriter) openings(subject string, some access) {
	todo := maps.Clone(some)
	for _, p := range argocdTable {
		for _, row := range p.opens {
			var segments []string
			for o := range todo {
				if o.row == row {
					segments = append(segments, o.segment)
				}
			}
			slices.Sort(segments)
			for _, segment := range segments {
				delete(todo, opening{row, segment})
				methods, path, _ := strings.Cut(row, " ")
				path = strings.NewReplacer("{name}", segment, "{app}", segment).Replace(path)
				w.d.make("p", subject, w.Upstream, path, methods, "allow")
			}
		}
	}
}

func (w *argocdWriter) withoutLogin() {
	w.d.blank()
	w.d.comment("Without a login. Take the # off what you need: the first where Argo CD serves Dex,")
	w.d.comment("the second where a Git host announces pushes (give Argo CD its secret).")
	w.d.comment("p, system:anonymous, %s, /api/dex/**, GET|POST, allow", w.Upstream)
	w.d.comment("p, system:anonymous, %s, /api/webhook, POST, allow", w.Upstream)
}
