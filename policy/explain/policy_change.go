package explain

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
)

// policyChange is an edit of the policy: rows to take away, and one to add.
type policyChange struct {
	kind         EditKind
	removeRows   []*policy.Row
	addRow       *policy.Row // nil: none
	note         string      // what is to be known about the dropped rows
	removeGrants []int       // grants to take away
}

// tryChange loads what the changed policy has to say about the question, asks it, and
// keeps the edit if the answer is the other one and the changed files would load.
func (w *whatIf) tryChange(c policyChange) bool {
	removed, loadable := w.grantsToRemove(c)
	if !loadable {
		return false
	}
	decision, err := w.decideChanged(c, removed)
	if err != nil || !w.isFlipped(decision) {
		return false
	}
	e := Edit{Kind: c.kind, Text: c.text(), Decision: decision}
	for _, row := range c.removeRows {
		e.Remove = append(e.Remove, Removal{row.Where(), row.String()})
	}
	var requested, orphaned []string // g rows that the edit is about, and those that have to go with it
	for _, i := range removed {
		g := w.snapshot.Grants()[i]
		r := Removal{g.Where(), g.String()}
		e.Remove = append(e.Remove, r)
		if slices.Contains(c.removeGrants, i) {
			requested = append(requested, r.Where+" ("+r.Row+")")
		} else {
			orphaned = append(orphaned, r.Where)
		}
	}
	e.Text += strings.Join(requested, ", ")
	switch {
	case len(orphaned) == 1:
		e.Text += "; " + orphaned[0] + " leads nowhere then, remove it, too"
	case len(orphaned) > 1:
		e.Text += "; " + text.JoinFew(orphaned, ", ", 8) + " lead nowhere then, remove them, too"
	}
	if c.addRow != nil {
		e.Add = []string{c.addRow.String()}
	}
	w.edits = append(w.edits, e)
	return true
}

func (c policyChange) text() string {
	var where []string
	for _, row := range c.removeRows {
		where = append(where, row.Where())
	}
	text := "remove " + text.JoinFew(where, ", ", 8)
	switch c.kind {
	case EditAdd:
		return "add: " + c.addRow.String()
	case EditWiden:
		return "widen " + where[0] + " to: " + c.addRow.String()
	case EditRemove:
		if c.addRow != nil {
			text += ", and add: " + c.addRow.String()
		}
	}
	if c.note != "" {
		text += " (" + c.note + ")"
	}
	return text
}

// decideChanged decides the question by the changed policy. It loads those rows that
// can have a part in it: rows of the person that cover the question, and all g
// rows that lead there. The others are the same before and after.
func (w *whatIf) decideChanged(c policyChange, removed []int) (policy.Decision, error) {
	var text strings.Builder
	var rows []*policy.Row // by line
	write := func(line string, row *policy.Row) {
		text.WriteString(line + "\n")
		rows = append(rows, row)
	}
	removedRows := rowSet(c.removeRows)
	for _, row := range slices.Concat(w.explanation.matchingRows(policy.Deny),
		w.explanation.matchingRows(policy.Allow)) {
		if !removedRows[row] {
			write(row.String(), row)
		}
	}
	if c.addRow != nil {
		var replaced *policy.Row // where the added row comes in the place of another one
		if c.kind == EditWiden {
			replaced = c.removeRows[0]
		}
		write(c.addRow.String(), replaced)
	}
	// A role without any rule does not load. These rules are of no path in question.
	filler := &policy.Row{
		Subject: policy.Authenticated, Upstream: w.request.Upstream, Path: "/", Methods: "GET", Effect: policy.Allow,
	}
	if w.request.Path.String() == filler.Path {
		filler.Path = "/elsewhere"
	}
	write(filler.String(), nil)
	granted := policy.StringSet{}
	for i, g := range w.snapshot.Grants() {
		if _, out := slices.BinarySearch(removed, i); out || !w.reachable.Has(g.Member) {
			continue
		}
		write(g.String(), nil)
		for _, role := range []string{g.Member, g.Role} {
			if policy.ParseSubject(role).Kind == policy.KindRole && !granted.Has(role) {
				granted[role] = struct{}{}
				filler.Subject = role
				write(filler.String(), nil)
			}
		}
	}
	changed, err := policy.Load([]policy.Source{{Name: "changed", Data: []byte(text.String())}}, nil)
	if err != nil {
		return policy.Decision{}, err
	}
	d := changed.Decide(policy.Request{
		Roles: changed.Resolve(w.identity), Upstream: w.request.Upstream, Path: w.request.Path,
		Method: w.request.Method,
	})
	if d.Row != nil {
		d.Row = rows[d.Row.At.Line-1]
	}
	return d, nil
}

// grantsToRemove finds g rows that go with the change: those that it is about, and
// those that lead to no rule then, with which a policy does not load. It reports
// whether the files load after that: each needs a row.
func (w *whatIf) grantsToRemove(c policyChange) (removed []int, loadable bool) {
	if len(c.removeRows)+len(c.removeGrants) == 0 || c.kind == EditWiden {
		return nil, true
	}
	removedRows := rowSet(c.removeRows)
	remaining := map[string]int{} // file → rows
	rowSubjects := policy.StringSet{}
	for _, row := range w.snapshot.Rows() {
		if !removedRows[row] {
			rowSubjects[row.Subject] = struct{}{}
			remaining[row.At.File]++
		}
	}
	if c.addRow != nil {
		rowSubjects[c.addRow.Subject] = struct{}{}
	}
	grants := make(map[int]policy.Grant, len(w.snapshot.Grants()))
	for i, g := range w.snapshot.Grants() {
		grants[i] = g
		remaining[g.MemberAt.File]++
	}
	remove := func(i int) {
		remaining[grants[i].MemberAt.File]--
		delete(grants, i)
		removed = append(removed, i)
	}
	for _, i := range c.removeGrants {
		remove(i)
	}
	for more := true; more; {
		inheriting, granted := policy.StringSet{}, policy.StringSet{}
		for _, g := range grants {
			inheriting[g.Member] = struct{}{}
			granted[g.Role] = struct{}{}
		}
		more = false
		for i, g := range grants {
			withoutMembers := policy.ParseSubject(g.Member).Kind == policy.KindRole && !rowSubjects.Has(g.Member) &&
				!granted.Has(g.Member)
			leadsNowhere := !rowSubjects.Has(g.Role) && !inheriting.Has(g.Role)
			if withoutMembers || leadsNowhere {
				remove(i)
				more = true
			}
		}
	}
	for _, row := range c.removeRows {
		if remaining[row.At.File] == 0 {
			return nil, false
		}
	}
	for _, i := range removed {
		if remaining[w.snapshot.Grants()[i].MemberAt.File] == 0 {
			return nil, false
		}
	}
	slices.Sort(removed)
	return removed, true
}

func rowSet(rows []*policy.Row) map[*policy.Row]bool {
	set := make(map[*policy.Row]bool, len(rows))
	for _, row := range rows {
		set[row] = true
	}
	return set
}
