package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// change is an edit of the policy: rows to take away, and one to add.
type change struct {
	kind EditKind
	drop []*Row
	add  *Row   // nil: none
	note string // what is to be known about the dropped rows
	cut  []int  // grants to take away
}

// try loads what the changed policy has to say about the question, asks it, and
// keeps the edit if the answer is the other one and the changed files would load.
func (t *trial) try(c change) bool {
	gone, loads := t.goneWith(c)
	if !loads {
		return false
	}
	decision, err := t.decideWith(c, gone)
	if err != nil || !t.turned(decision) {
		return false
	}
	e := Edit{Kind: c.kind, Text: c.text(), Decision: decision}
	for _, row := range c.drop {
		e.Remove = append(e.Remove, Removal{row.Where(), row.String()})
	}
	var asked, led []string // g rows that the edit is about, and those that have to go with it
	for _, i := range gone {
		g := t.s.grants[i]
		r := Removal{lineOf(g.memberAt), csvLine(grantKind, g.member, g.role)}
		e.Remove = append(e.Remove, r)
		if slices.Contains(c.cut, i) {
			asked = append(asked, r.Where+" ("+r.Row+")")
		} else {
			led = append(led, r.Where)
		}
	}
	e.Text += strings.Join(asked, ", ")
	switch {
	case len(led) == 1:
		e.Text += "; " + led[0] + " leads nowhere then, remove it, too"
	case len(led) > 1:
		e.Text += "; " + someOf(led) + " lead nowhere then, remove them, too"
	}
	if c.add != nil {
		e.Add = []string{c.add.String()}
	}
	t.edits = append(t.edits, e)
	return true
}

func (c change) text() string {
	var where []string
	for _, row := range c.drop {
		where = append(where, row.Where())
	}
	text := "remove " + someOf(where)
	switch c.kind {
	case EditAdd:
		return "add: " + c.add.String()
	case EditWiden:
		return "widen " + where[0] + " to: " + c.add.String()
	case EditRemove:
		if c.add != nil {
			text += ", and add: " + c.add.String()
		}
	}
	if c.note != "" {
		text += " (" + c.note + ")"
	}
	return text
}

// someOf names the first few; Edit.Remove has them all.
func someOf(where []string) string {
	const most = 8
	if len(where) <= most {
		return strings.Join(where, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(where[:most], ", "), len(where)-most)
}

// decideWith decides the question by the changed policy. It loads those rows that
// can have a part in it: rows of the person that cover the question, and all g
// rows that lead there. The others are the same before and after.
func (t *trial) decideWith(c change, gone []int) (Decision, error) {
	var text strings.Builder
	var rows []*Row // by line
	write := func(line string, row *Row) {
		text.WriteString(line + "\n")
		rows = append(rows, row)
	}
	dropped := setOf(c.drop)
	for _, row := range slices.Concat(t.explanation.matching(Deny), t.explanation.matching(Allow)) {
		if !dropped[row] {
			write(row.String(), row)
		}
	}
	if c.add != nil {
		var stands *Row // where the added row comes in the place of another one
		if c.kind == EditWiden {
			stands = c.drop[0]
		}
		write(c.add.String(), stands)
	}
	// A role without any rule does not load. These rules are of no path in question.
	elsewhere := &Row{authenticated, t.q.Upstream, "/", "GET", Allow, fault.Position{}}
	if t.q.Path.String() == elsewhere.Path {
		elsewhere.Path = "/elsewhere"
	}
	write(elsewhere.String(), nil)
	ruled := subjects{}
	for i, g := range t.s.grants {
		if _, out := slices.BinarySearch(gone, i); out || !t.held.has(g.member) {
			continue
		}
		write(csvLine(grantKind, g.member, g.role), nil)
		for _, role := range []string{g.member, g.role} {
			if strings.HasPrefix(role, rolePrefix) && !ruled.has(role) {
				ruled[role] = struct{}{}
				elsewhere.Subject = role
				write(elsewhere.String(), nil)
			}
		}
	}
	changed, err := Load([]Source{{Name: "changed", Data: []byte(text.String())}}, nil)
	if err != nil {
		return Decision{}, err
	}
	d := changed.Decide(Request{changed.Resolve(t.who), t.q.Upstream, t.q.Path, t.q.Method})
	if d.Rule != nil {
		d.Rule = rows[d.Rule.at.Line-1]
	}
	return d, nil
}

// goneWith finds g rows that go with the change: those that it is about, and
// those that lead to no rule then, with which a policy does not load. It reports
// whether the files load after that: each needs a row.
func (t *trial) goneWith(c change) (gone []int, loads bool) {
	if len(c.drop)+len(c.cut) == 0 || c.kind == EditWiden {
		return nil, true
	}
	dropped := setOf(c.drop)
	left := map[string]int{} // file → rows
	ruled := subjects{}
	for _, row := range t.s.rows {
		if !dropped[row] {
			ruled[row.Subject] = struct{}{}
			left[row.at.File]++
		}
	}
	if c.add != nil {
		ruled[c.add.Subject] = struct{}{}
	}
	grants := make(map[int]grant, len(t.s.grants))
	for i, g := range t.s.grants {
		grants[i] = g
		left[g.memberAt.File]++
	}
	take := func(i int) {
		left[grants[i].memberAt.File]--
		delete(grants, i)
		gone = append(gone, i)
	}
	for _, i := range c.cut {
		take(i)
	}
	for more := true; more; {
		leading, granted := subjects{}, subjects{}
		for _, g := range grants {
			leading[g.member] = struct{}{}
			granted[g.role] = struct{}{}
		}
		more = false
		for i, g := range grants {
			unheld := strings.HasPrefix(g.member, rolePrefix) && !ruled.has(g.member) && !granted.has(g.member)
			leadsNowhere := !ruled.has(g.role) && !leading.has(g.role)
			if unheld || leadsNowhere {
				take(i)
				more = true
			}
		}
	}
	for _, row := range c.drop {
		if left[row.at.File] == 0 {
			return nil, false
		}
	}
	for _, i := range gone {
		if left[t.s.grants[i].memberAt.File] == 0 {
			return nil, false
		}
	}
	slices.Sort(gone)
	return gone, true
}

func setOf(rows []*Row) map[*Row]bool {
	set := make(map[*Row]bool, len(rows))
	for _, row := range rows {
		set[row] = true
	}
	return set
}
