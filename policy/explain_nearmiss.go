package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// A few of each kind are enough for a person, and many would take long to try.
const (
	mostMethods = 4
	mostWidened = 3
	mostCut     = 10
	mostTried   = 100 // groups, and roles
)

// trial looks for edits that turn a decision, and keeps those which do.
type trial struct {
	s           *Snapshot
	ways        ways
	starts      []string // what the person is without g rows
	held        reach    // and with them
	who         Who
	q           Request
	explanation *Explanation
	edits       []Edit
}

func (t *trial) run() []Edit {
	if t.explanation.Decision.Allowed() {
		t.removeAllows()
		t.addRow(Deny)
		t.leave()
		t.join(Deny)
		return t.edits
	}
	t.askMethods()
	t.askPaths()
	t.signIn()
	t.leave()
	if denies := t.explanation.matching(Deny); len(denies) > 0 {
		t.removeDenies(denies) // as long as they stand, nothing added helps
		t.cutChains(denies)
		return t.edits
	}
	t.join(Allow)
	t.addRow(Allow)
	t.widen()
	return t.edits
}

// turned reports whether a decision is the other one.
func (t *trial) turned(d Decision) bool { return d.Effect != t.explanation.Decision.Effect }

// ask tries another question of the same policy.
func (t *trial) ask(q Request, e Edit) bool {
	if e.Decision = t.s.Decide(q); !t.turned(e.Decision) {
		return false
	}
	t.edits = append(t.edits, e)
	return true
}

// as tries the same question for somebody else.
func (t *trial) as(who Who, e Edit) {
	q := t.q
	q.Roles = t.s.Resolve(who)
	t.ask(q, e)
}

// askMethods tries the methods of rows that fit but for the method, and GET.
func (t *trial) askMethods() {
	var methods []string
	for _, c := range t.explanation.Rows {
		if c.off&^missMethod != 0 || c.Row.Effect != Allow {
			continue
		}
		for m := range strings.SplitSeq(strings.Replace(c.Row.Methods, anyMethod, "GET", 1), methodSeparator) {
			if !slices.Contains(methods, m) {
				methods = append(methods, m)
			}
		}
	}
	found := 0
	for _, m := range methods {
		q := t.q
		q.Method = m
		if found < mostMethods && t.ask(q, Edit{Kind: EditMethod, Method: m, Text: "ask with " + m + " instead of " + t.q.Method}) {
			found++
		}
	}
}

// askPaths tries the path with a slash more or less at its end, and with a
// segment that looks misspelt written as a row has it.
func (t *trial) askPaths() {
	path := t.q.Path.String()
	if bare, slash := strings.CutSuffix(path, "/"); slash {
		t.askPath(bare, "ask without the slash at the end: ")
	} else {
		t.askPath(path+"/", "ask with a slash at the end: ")
	}
	for _, c := range t.explanation.Rows {
		if !c.Near || c.off != missPath {
			continue
		}
		if g := gapBetween(path, c.Row.Path); g.kind == differentSegment && g.similar() {
			t.askPath(withSegment(path, g.segment, g.row), "ask for ")
		}
	}
}

func (t *trial) askPath(raw, text string) {
	path, err := target.ParseWith(raw, t.q.Path.Quirks())
	if err != nil || slices.ContainsFunc(t.edits, func(e Edit) bool { return e.Path == path }) {
		return
	}
	q := t.q
	q.Path = path
	t.ask(q, Edit{Kind: EditPath, Path: path, Text: text + path.String()})
}

// withSegment puts another segment into a path, counted from 1.
func withSegment(path string, n int, segment string) string {
	segments := strings.Split(path, "/") // the first one is empty
	segments[n] = segment
	return strings.Join(segments, "/")
}

func (t *trial) signIn() {
	if t.who.Anonymous {
		t.as(Who{}, Edit{Kind: EditLogin, Text: "sign in"})
	}
}

// leave tries the person without each of their groups and roles.
func (t *trial) leave() {
	if t.who.Anonymous {
		return
	}
	tried := 0
	for i, group := range t.who.Groups {
		if slices.Contains(t.explanation.Strange, group) || tried == mostTried {
			continue
		}
		tried++
		who := t.who
		who.Groups = slices.Delete(slices.Clone(who.Groups), i, i+1)
		t.as(who, Edit{Kind: EditLeave, Subject: group, Text: "be without group " + group})
	}
	if rolesOnly(t.who) && len(t.who.Roles) == 1 {
		return // nothing would be left to ask for
	}
	for i, role := range t.who.Roles {
		who := t.who
		who.Roles = slices.Delete(slices.Clone(who.Roles), i, i+1)
		t.as(who, Edit{Kind: EditLeave, Subject: role, Text: "be without " + role})
	}
}

// join tries each group and role that leads to a row with this effect: groups
// first, and of either the nearest first.
func (t *trial) join(effect Effect) {
	if t.who.Anonymous && effect == Deny {
		return // signed in, the person would be somebody else
	}
	var opening []string
	for _, c := range t.explanation.Rows {
		if c.off == missSubject && c.Row.Effect == effect {
			opening = append(opening, c.Row.Subject)
		}
	}
	members := t.ways.into(opening).order
	if !rolesOnly(t.who) {
		t.joinEach(members, func(name string) (who Who, text string, ok bool) {
			if !t.who.Anonymous {
				who = t.who
			}
			domain, everyone := strings.CutPrefix(name, everyAddress)
			switch {
			case everyone && who.Email == "":
				who.Email, text = name[len(userPrefix):], "have a verified e-mail address of "+domain
			case reserved(name):
				return Who{}, "", false
			default:
				who.Groups, text = append(slices.Clone(who.Groups), name), "be in group "+name
				if org, every := strings.CutSuffix(name, everyTeam); every {
					text = "be in any group of " + org
				}
			}
			if t.who.Anonymous {
				text = "sign in and " + text
			}
			return who, text, true
		})
	}
	if t.who.Anonymous {
		return // no role comes to somebody but through a group
	}
	t.joinEach(members, func(name string) (who Who, text string, ok bool) {
		who = t.who
		who.Roles = append(slices.Clone(who.Roles), name)
		return who, "have " + name, strings.HasPrefix(name, rolePrefix)
	})
}

func (t *trial) joinEach(names []string, with func(name string) (who Who, text string, ok bool)) {
	tried := 0
	for _, name := range names {
		who, text, ok := with(name)
		if !ok || t.held.has(name) || tried == mostTried {
			continue
		}
		tried++
		t.as(who, Edit{Kind: EditJoin, Subject: name, Text: text})
	}
}

func (t *trial) removeAllows() {
	allows := t.explanation.matching(Allow)
	what := "only this row allows it"
	if len(allows) > 1 {
		what = "each of them allows it"
	}
	t.try(change{kind: EditRemove, drop: allows, note: what})
}

// cutChains tries the policy without each g row that leads to a row that denies:
// a role may inherit a denial that was not meant for it.
func (t *trial) cutChains(denies []*Row) {
	var tried []int
	for _, row := range denies {
		for name := row.Subject; ; {
			i, ok := t.held.via[name]
			if !ok || i == start {
				break
			}
			if !slices.Contains(tried, i) && len(tried) < mostCut {
				tried = append(tried, i)
				t.try(change{kind: EditRemove, cut: []int{i}})
			}
			name = t.s.grants[i].member
		}
	}
}

func (t *trial) removeDenies(denies []*Row) {
	what := ""
	if len(denies) > 1 {
		what = "each of them denies it"
	}
	if t.try(change{kind: EditRemove, drop: denies, note: what}) {
		return
	}
	if row := t.leastRow(Allow); row != nil {
		t.try(change{kind: EditRemove, drop: denies, add: row, note: what})
	}
}

// addRow tries the row that says this and nothing more.
func (t *trial) addRow(effect Effect) {
	if row := t.leastRow(effect); row != nil {
		t.try(change{kind: EditAdd, add: row})
	}
}

// widen tries rows that nearly match, with their path or method widened.
func (t *trial) widen() {
	found := 0
	for _, c := range t.explanation.Rows {
		if !c.Near || found == mostWidened {
			continue
		}
		wide := *c.Row
		switch c.off {
		case missMethod:
			wide.Methods += methodSeparator + t.q.Method
		case missPath:
			wide.Path = widened(c.Row.Path, gapBetween(t.q.Path.String(), c.Row.Path))
		}
		if wide != *c.Row && t.try(change{kind: EditWiden, drop: []*Row{c.Row}, add: &wide}) {
			found++
		}
	}
}

func widened(pattern string, g gap) string {
	switch {
	case g.literals == 0: // the row would come to speak of much else
	case g.kind == differentSegment && g.request != "":
		return withSegment(pattern, g.segment, target.AnySegment)
	case g.kind == requestGoesOn, g.kind == rowGoesOn && g.row == "/":
		return strings.TrimSuffix(pattern, "/") + "/" + target.AnyRest
	}
	return pattern
}
