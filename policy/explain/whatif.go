package explain

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// A few of each kind are enough for a person, and many would take long to try.
const (
	maxMethodEdits   = 4
	maxWidenEdits    = 3
	maxRemovedGrants = 10
	maxTriedSubjects = 100 // groups, and roles
)

// whatIf looks for edits that turn a decision, and keeps those which do.
type whatIf struct {
	snapshot    *policy.Snapshot
	graph       policy.RoleGraph
	direct      []string            // what the person is without g rows
	reachable   policy.ReachableSet // and with them
	identity    policy.Identity
	request     policy.Request
	explanation *Explanation
	edits       []Edit
}

func (w *whatIf) run() []Edit {
	if w.explanation.Decision.Allowed() {
		w.tryRemoveAllows()
		w.tryAddRow(policy.Deny)
		w.tryLeave()
		w.tryJoin(policy.Deny)
		return w.edits
	}
	w.tryMethods()
	w.tryPaths()
	w.trySignIn()
	w.tryLeave()
	if denies := w.explanation.matchingRows(policy.Deny); len(denies) > 0 {
		w.tryRemoveDenies(denies) // as long as they stand, nothing added helps
		w.tryRemoveGrants(denies)
		return w.edits
	}
	w.tryJoin(policy.Allow)
	w.tryAddRow(policy.Allow)
	w.tryWiden()
	return w.edits
}

// isFlipped reports whether a decision is the other one.
func (w *whatIf) isFlipped(d policy.Decision) bool { return d.Effect != w.explanation.Decision.Effect }

// tryRequest tries another question of the same policy.
func (w *whatIf) tryRequest(q policy.Request, e Edit) bool {
	if e.Decision = w.snapshot.Decide(q); !w.isFlipped(e.Decision) {
		return false
	}
	w.edits = append(w.edits, e)
	return true
}

// tryIdentity tries the same request for another user.
func (w *whatIf) tryIdentity(identity policy.Identity, e Edit) {
	q := w.request
	q.Roles = w.snapshot.Resolve(identity)
	w.tryRequest(q, e)
}

// tryMethods tries the methods of rows that fit but for the method, and GET.
func (w *whatIf) tryMethods() {
	var methods []string
	for _, c := range w.explanation.Rows {
		if c.mismatch&^missMethod != 0 || c.Row.Effect != policy.Allow {
			continue
		}
		for m := range strings.SplitSeq(strings.Replace(c.Row.Methods, policy.AnyMethod, "GET", 1),
			policy.MethodSeparator) {
			if !slices.Contains(methods, m) {
				methods = append(methods, m)
			}
		}
	}
	found := 0
	for _, m := range methods {
		q := w.request
		q.Method = m
		if found < maxMethodEdits &&
			w.tryRequest(q, Edit{
				Kind: EditMethod, Method: m,
				Text: "ask with " + m + " instead of " + w.request.Method,
			}) {
			found++
		}
	}
}

// tryPaths tries the path with a slash more or less at its end, and with a
// segment that looks misspelt written as a row has it.
func (w *whatIf) tryPaths() {
	path := w.request.Path.String()
	if withoutSlash, slash := strings.CutSuffix(path, "/"); slash {
		w.tryPath(withoutSlash, "ask without the slash at the end: ")
	} else {
		w.tryPath(path+"/", "ask with a slash at the end: ")
	}
	for _, c := range w.explanation.Rows {
		if !c.NearMiss || c.mismatch != missPath {
			continue
		}
		if d := diffPaths(path, c.Row.Path); d.kind == differentSegment && d.isTypo() {
			w.tryPath(withSegment(path, d.segment, d.row), "ask for ")
		}
	}
}

func (w *whatIf) tryPath(raw, text string) {
	path, err := target.ParseWith(raw, w.request.Path.Quirks())
	if err != nil || slices.ContainsFunc(w.edits, func(e Edit) bool { return e.Path == path }) {
		return
	}
	q := w.request
	q.Path = path
	w.tryRequest(q, Edit{Kind: EditPath, Path: path, Text: text + path.String()})
}

// withSegment puts another segment into a path, counted from 1.
func withSegment(path string, n int, segment string) string {
	segments := strings.Split(path, "/") // the first one is empty
	segments[n] = segment
	return strings.Join(segments, "/")
}

func (w *whatIf) trySignIn() {
	if w.identity.Anonymous {
		w.tryIdentity(policy.Identity{}, Edit{Kind: EditLogin, Text: "sign in"})
	}
}

// tryLeave tries the person without each of their groups and roles.
func (w *whatIf) tryLeave() {
	if w.identity.Anonymous {
		return
	}
	tried := 0
	for i, group := range w.identity.Groups {
		if slices.Contains(w.explanation.Unknown, group) || tried == maxTriedSubjects {
			continue
		}
		tried++
		identity := w.identity
		identity.Groups = slices.Delete(slices.Clone(identity.Groups), i, i+1)
		w.tryIdentity(identity, Edit{Kind: EditLeave, Subject: group, Text: "be without group " + group})
	}
	if rolesOnly(w.identity) && len(w.identity.Roles) == 1 {
		return // nothing would be left to ask for
	}
	for i, role := range w.identity.Roles {
		identity := w.identity
		identity.Roles = slices.Delete(slices.Clone(identity.Roles), i, i+1)
		w.tryIdentity(identity, Edit{Kind: EditLeave, Subject: role, Text: "be without " + role})
	}
}

// tryJoin tries each group and role that leads to a row with this effect: groups
// first, and of either the nearest first.
func (w *whatIf) tryJoin(effect policy.Effect) {
	if w.identity.Anonymous && effect == policy.Deny {
		return // signed in, the user would be another one
	}
	var subjects []string
	for _, c := range w.explanation.Rows {
		if c.mismatch == missSubject && c.Row.Effect == effect {
			subjects = append(subjects, c.Row.Subject)
		}
	}
	members := w.graph.ImplicitMembers(subjects).Names()
	if !rolesOnly(w.identity) {
		w.tryJoinEach(members, func(name string) (identity policy.Identity, text string, ok bool) {
			if !w.identity.Anonymous {
				identity = w.identity
			}
			domain, isWildcard := strings.CutPrefix(name, policy.DomainWildcard)
			switch {
			case isWildcard && identity.Email == "":
				identity.Email, text = name[len(policy.UserPrefix):], "have a verified e-mail address of "+domain
			case policy.ParseSubject(name).Kind != policy.KindGroup:
				return policy.Identity{}, "", false
			default:
				identity.Groups, text = append(slices.Clone(identity.Groups), name), "be in group "+name
				if org, every := strings.CutSuffix(name, policy.TeamWildcard); every {
					text = "be in any group of " + org
				}
			}
			if w.identity.Anonymous {
				text = "sign in and " + text
			}
			return identity, text, true
		})
	}
	if w.identity.Anonymous {
		return // a user gets roles only through groups
	}
	w.tryJoinEach(members, func(name string) (identity policy.Identity, text string, ok bool) {
		identity = w.identity
		identity.Roles = append(slices.Clone(identity.Roles), name)
		return identity, "have " + name, policy.ParseSubject(name).Kind == policy.KindRole
	})
}

func (w *whatIf) tryJoinEach(names []string, edit func(name string) (identity policy.Identity, text string, ok bool)) {
	tried := 0
	for _, name := range names {
		identity, text, ok := edit(name)
		if !ok || w.reachable.Has(name) || tried == maxTriedSubjects {
			continue
		}
		tried++
		w.tryIdentity(identity, Edit{Kind: EditJoin, Subject: name, Text: text})
	}
}

func (w *whatIf) tryRemoveAllows() {
	allows := w.explanation.matchingRows(policy.Allow)
	note := "only this row allows it"
	if len(allows) > 1 {
		note = "each of them allows it"
	}
	w.tryChange(policyChange{kind: EditRemove, removeRows: allows, note: note})
}

// tryRemoveGrants tries the policy without each g row that leads to a row that denies:
// a role may inherit a denial that was not meant for it.
func (w *whatIf) tryRemoveGrants(denies []*policy.Row) {
	var tried []int
	for _, row := range denies {
		for name := row.Subject; ; {
			i, ok := w.reachable.GrantTo(name)
			if !ok {
				break
			}
			if !slices.Contains(tried, i) && len(tried) < maxRemovedGrants {
				tried = append(tried, i)
				w.tryChange(policyChange{kind: EditRemove, removeGrants: []int{i}})
			}
			name = w.snapshot.Grants()[i].Member
		}
	}
}

func (w *whatIf) tryRemoveDenies(denies []*policy.Row) {
	note := ""
	if len(denies) > 1 {
		note = "each of them denies it"
	}
	if w.tryChange(policyChange{kind: EditRemove, removeRows: denies, note: note}) {
		return
	}
	if row := w.minimalRow(policy.Allow); row != nil {
		w.tryChange(policyChange{kind: EditRemove, removeRows: denies, addRow: row, note: note})
	}
}

// tryAddRow tries the row that says this and nothing more.
func (w *whatIf) tryAddRow(effect policy.Effect) {
	if row := w.minimalRow(effect); row != nil {
		w.tryChange(policyChange{kind: EditAdd, addRow: row})
	}
}

// tryWiden tries rows that nearly match, with their path or method widened.
func (w *whatIf) tryWiden() {
	found := 0
	for _, c := range w.explanation.Rows {
		if !c.NearMiss || found == maxWidenEdits {
			continue
		}
		wide := *c.Row
		switch c.mismatch {
		case missMethod:
			wide.Methods += policy.MethodSeparator + w.request.Method
		case missPath:
			wide.Path = widenPattern(c.Row.Path, diffPaths(w.request.Path.String(), c.Row.Path))
		}
		if wide != *c.Row && w.tryChange(policyChange{
			kind: EditWiden, removeRows: []*policy.Row{c.Row},
			addRow: &wide,
		}) {
			found++
		}
	}
}

func widenPattern(pattern string, d pathDiff) string {
	switch {
	case d.literals == 0: // the row would then match much else
	case d.kind == differentSegment && d.request != "":
		return withSegment(pattern, d.segment, target.AnySegment)
	case d.kind == requestLonger, d.kind == rowLonger && d.row == "/":
		return strings.TrimSuffix(pattern, "/") + "/" + target.AnyRest
	}
	return pattern
}
