package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Diff is what one policy lets people do and another does not. It is complete:
// where it is empty, the two decide every request of everybody alike, whatever
// their files look like.
type Diff struct {
	Granted, Revoked   []Change // by upstream, path and subject; not more than the first mostChanges of each
	GrantedN, RevokedN int      // how many there are
}

// Change is one subject for whom the answer turns, at the paths of one class.
type Change struct {
	Subject  string
	With     []string // empty where the subject alone tells; else it does so for whoever is also one of these
	Upstream string   // * for every upstream that no row names
	Path     string   // a pattern for people, as in a [Line]
	Witness  string   // a path of the class
	Methods  Methods
	Allowing *Row   // lets them in: of the new policy where granted, of the old one where revoked
	Chain    []Link // how the subject, or else the first of With, comes to that of Allowing
	Denying  *Row   // turns them away, in the other policy; nil where no row lets them in
}

// mostChanges bounds what is kept of a diff that nobody reads to the end.
const mostChanges = 100_000

// Compare finds what changes from one policy to another. Where upstreams is nil,
// those are meant that a row of either names, and all the others together.
//
// Each name that either policy holds is looked at alone, and everybody is let in
// who is one of those that rows allow, and none of those that they deny. So what
// changes for somebody who is several subjects at once follows from what changes
// for each, and from those who come to be refused, or no longer, in spite of what
// else they are: these are the changes that have a With. System:anonymous in it
// stands for people of whom no row speaks, who go where nobody in particular may.
//
// It fails where patterns overlap in so many ways that nobody could read it.
func Compare(before, after *Snapshot, upstreams []string) (Diff, error) {
	census := censusOf(nil, before, after)
	c := comparison{
		census: census, policies: [2]*Snapshot{before, after},
		ways:    [2]ways{newWays(before.grants), newWays(after.grants)},
		come:    [2]map[string]reach{{}, {}},
		touched: touchedRows(census, before, after),
		desks:   [2]*rulings{newRulings(census), newRulings(census)},
		least:   map[string][]string{},
	}
	near := map[string]bool{} // upstreams that touched rows name
	for row := range c.touched {
		near[row.Upstream] = true
	}
	for _, upstream := range upstreamsOf(upstreams, before, after) {
		if !near[upstream] && !near[anyUpstream] {
			continue
		}
		if err := c.compare(upstream); err != nil {
			return Diff{}, fmt.Errorf("upstream %s: %w", upstream, err)
		}
	}
	return c.diff, nil
}

type comparison struct {
	*census
	policies [2]*Snapshot
	ways     [2]ways
	come     [2]map[string]reach // subject → what it comes to
	touched  map[*Row]bool       // rows of either without which nothing changes
	desks    [2]*rulings
	least    map[string][]string // see leastOf
	diff     Diff
}

// turn is a change for a kind of people, before it is told for each subject.
type turn struct {
	kind              int
	granted           bool
	with              []ally
	allowing, denying *Row
	methods           Methods
}

// ally is what somebody is besides, and the row that lets them in for it.
type ally struct {
	subject string
	row     *Row
}

func (t turn) same(other turn) bool {
	return t.granted == other.granted && t.allowing == other.allowing && t.denying == other.denying &&
		slices.Equal(t.with, other.with)
}

// letting is the policy that lets them in.
func (t turn) letting() int {
	if t.granted {
		return 1
	}
	return 0
}

func (c *comparison) compare(upstream string) error {
	rows := nearby(c.touched, rowsOn(upstream, c.policies[0].rows), rowsOn(upstream, c.policies[1].rows))
	if len(rows[0])+len(rows[1]) == 0 {
		return nil
	}
	areas, err := areasOf(quirksOn(upstream, c.policies[0], c.policies[1]), rows[0], rows[1])
	if err != nil {
		return err
	}
	for i := range areas {
		turns := map[int][]turn{} // by kind
		for _, method := range areas[i].methods {
			for _, t := range c.turnsAt(&areas[i], method) {
				if at := slices.IndexFunc(turns[t.kind], t.same); at >= 0 {
					turns[t.kind][at].methods = turns[t.kind][at].methods.And(t.methods)
				} else {
					turns[t.kind] = append(turns[t.kind], t)
				}
			}
		}
		c.tell(upstream, &areas[i], slices.Concat(slices.Collect(maps.Values(turns))...))
	}
	return nil
}

// turnsAt finds what changes for one method of an area.
func (c *comparison) turnsAt(a *area, method string) []turn {
	old, fresh := a.rowsFor(0, method), a.rowsFor(1, method)
	if !slices.ContainsFunc(old, c.isTouched) && !slices.ContainsFunc(fresh, c.isTouched) {
		return nil
	}
	c.desks[0].judge(old, c.holders[0])
	c.desks[1].judge(fresh, c.holders[1])
	spoken := slices.Concat(c.desks[0].touched, c.desks[1].touched)
	slices.Sort(spoken)
	var turns []turn
	var both []int    // kinds that are let in before and after
	var hidden []turn // of kinds that are never let in by themselves
	for _, k := range slices.Compact(spoken) {
		was, is := c.desks[0].of[k], c.desks[1].of[k]
		t := turn{kind: k, methods: Methods{[]string{method}, a.methods}}
		switch {
		case !was.allows() && is.allows():
			t.granted, t.allowing, t.denying = true, is.allow, was.deny
			turns = append(turns, t)
		case was.allows() && !is.allows():
			t.allowing, t.denying = was.allow, is.deny
			turns = append(turns, t)
		case was.allows():
			both = append(both, k)
		case was.deny != nil && is.deny == nil:
			t.granted, t.denying = true, was.deny
			hidden = append(hidden, t)
		case was.deny == nil && is.deny != nil:
			t.denying = is.deny
			hidden = append(hidden, t)
		}
	}
	return append(turns, c.turnsWith(hidden, both)...)
}

func (c *comparison) isTouched(row *Row) bool { return c.touched[row] }

// turnsWith finds whom a denial concerns that came or went: those who are let in
// by what else they are.
func (c *comparison) turnsWith(hidden []turn, both []int) []turn {
	var turns []turn
	if len(hidden) == 0 {
		return nil
	}
	allies := [2][]ally{c.allies(both, 0), c.allies(both, 1)}
	for _, t := range hidden {
		if t.with = allies[t.letting()]; len(t.with) > 0 {
			turns = append(turns, t)
		}
	}
	return turns
}

// allies gives those subjects of some kinds that come to none of the others:
// whoever is one of the kinds is one of these. System:anonymous is always among
// them, for what it comes to is nobody else's.
func (c *comparison) allies(kinds []int, letting int) []ally {
	var allies []ally
	for _, subject := range c.leastOf(kinds, letting) {
		allies = append(allies, ally{subject, c.desks[letting].of[c.kindOf[subject]].allow})
	}
	return allies
}

func (c *comparison) leastOf(kinds []int, letting int) []string {
	key := fmt.Sprint(letting, kinds) // places differ, and the people seldom do
	if known, found := c.least[key]; found {
		return known
	}
	among := map[int]bool{}
	for _, k := range kinds {
		among[k] = true
	}
	var least []string
	for _, k := range kinds {
		for _, subject := range c.kinds[k].subjects {
			roles := c.policies[letting].alone(subject)
			others := slices.Concat(roles.Names(), roles.Subjects())
			if subject == anonymous || !slices.ContainsFunc(others, func(other string) bool {
				return other != subject && among[c.kindOf[other]]
			}) {
				least = append(least, subject)
			}
		}
	}
	slices.SortFunc(least, bySubject)
	c.least[key] = least
	return least
}

// tell adds the changes of an area to the diff, for each subject.
func (c *comparison) tell(upstream string, a *area, turns []turn) {
	type concerned struct{ number, turn int }
	var everybody []concerned
	for i, t := range turns {
		for _, number := range c.kinds[t.kind].numbers {
			everybody = append(everybody, concerned{number, i})
		}
	}
	slices.SortStableFunc(everybody, func(a, b concerned) int { return cmp.Compare(a.number, b.number) })
	for _, who := range everybody {
		subject, t := c.names[who.number], turns[who.turn]
		with := besides(subject, t.with)
		if len(t.with) > 0 && len(with) == 0 {
			continue
		}
		list, n := &c.diff.Revoked, &c.diff.RevokedN
		if t.granted {
			list, n = &c.diff.Granted, &c.diff.GrantedN
		}
		if *n++; len(*list) == mostChanges {
			continue
		}
		change := Change{Subject: subject, Upstream: upstream, Path: a.label, Witness: a.witness, Methods: t.methods, Allowing: t.allowing, Denying: t.denying}
		for _, other := range with {
			change.With = append(change.With, other.subject)
			change.Allowing = with[0].row
		}
		change.Chain = c.chain(change, t.letting())
		*list = append(*list, change)
	}
}

func (c *comparison) chain(change Change, letting int) []Link {
	from := change.Subject
	if len(change.With) > 0 {
		from = change.With[0]
	}
	if from == change.Allowing.Subject {
		return nil
	}
	come, known := c.come[letting][from]
	if !known {
		come = c.ways[letting].from(startsOf(from))
		c.come[letting][from] = come
	}
	return come.to(change.Allowing.Subject)
}

// besides gives what of a list somebody can be who is a subject already. Nobody
// has two e-mail addresses, and whoever is not signed in is nothing else.
func besides(subject string, list []ally) []ally {
	switch {
	case subject == anonymous:
		return nil
	case rank(subject) == rankUser:
		return slices.DeleteFunc(slices.Clone(list), func(a ally) bool { return rank(a.subject) == rankUser })
	}
	return list
}
