package policy

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// named gives every subject that a line says somebody was.
func (o *Observed) named() []string {
	names := slices.Concat(o.Roles, o.Groups)
	if o.signedIn() {
		names = append(names, authenticated)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// candidates are the subjects that a row may name for somebody: roles, for want of
// them groups, and else everybody who is signed in.
func candidates(o *Observed, who Who, roles []string) []string {
	var names []string
	switch {
	case who.Anonymous:
		return []string{anonymous}
	case len(roles) > 0:
		names = roles
	case len(o.Groups) > 0:
		names = o.Groups
	default:
		return []string{authenticated}
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// count notes who is which subject: also who was refused is.
func (s *Suggest) count(o *Observed, kind int) {
	person := cmp.Or(o.Person, o.Email)
	if person == "" { // the line does not tell people apart
		person = "\x00" + strings.Join(s.askers[kind].named, "\x00")
	}
	for _, names := range [][]string{s.askers[kind].named, s.askers[kind].subjects} {
		for _, name := range names {
			holders := s.holders[name]
			if holders == nil {
				holders = &people{most: maxPeopleCounted}
				s.holders[name] = holders
			}
			holders.add(maphash.String(s.seed, person))
		}
	}
}

// maxPeopleCounted bounds the people told apart of one subject.
const maxPeopleCounted = 10_000

// ask is what a row for a subject would let in, but for the path.
type ask struct{ subject, upstream, method string }

// refuse notes what somebody was refused, so that no * lets them in there: it
// concerns each subject that they are, and nobody in particular.
func (s *Suggest) refuse(o *Observed, kind int) {
	if o.Effect == Allow {
		return
	}
	a := &s.askers[kind]
	for _, subject := range slices.Concat(a.named, a.subjects, []string{anonymous}) {
		key := ask{subject, o.Upstream, o.Method}
		if s.refused[key] == nil {
			s.refused[key] = map[string]struct{}{}
		}
		if _, known := s.refused[key][o.Path.String()]; !known && s.refusals < maxSeen {
			s.refused[key][o.Path.String()] = struct{}{}
			s.refusals++
		}
	}
}

// rowOfThen is a row of the policy that decided when the log was written. The
// hash has to be with it: the same line of another edition is another row.
type rowOfThen struct{ policy, rule string }

// letIn is what the lines show of the subject that a row of then names: whoever
// the row let in is that subject.
type letIn struct {
	kinds    map[int]struct{}
	subjects []string // that all of them are
	nobody   bool     // one was nobody in particular, so that the row says system:anonymous
	partly   bool     // of one the line does not tell the groups
}

// learn keeps what a request tells of the row that allowed it.
func (s *Suggest) learn(o *Observed, q request) {
	key := rowOfThen{o.Policy, o.Rule}
	if o.Effect != Allow || key.policy == "" || key.rule == "" {
		return
	}
	row := s.then[key]
	if row == nil {
		row = &letIn{kinds: map[int]struct{}{}, subjects: s.askers[q.asker].named}
		s.then[key] = row
	}
	s.by[q] = row
	row.partly = row.partly || o.Groups == nil
	if _, known := row.kinds[q.asker]; known {
		return
	}
	row.kinds[q.asker] = struct{}{}
	if s.askers[q.asker].who.Anonymous {
		row.nobody = true
		return
	}
	row.subjects = common(row.subjects, s.askers[q.asker].named)
}

// eligible are the subjects of which one is to get the row for a request: those
// whose row may have allowed it then, and of them those to whom it was not refused.
func (s *Suggest) eligible(q request) []string {
	all := s.askers[q.asker].subjects
	if left := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return s.wasRefused(name, q) }); len(left) > 0 {
		all = left
	}
	row := s.by[q]
	if row == nil {
		return all
	}
	if row.nobody { // who is signed in went as nobody, too
		return []string{anonymous}
	}
	if both := common(all, row.subjects); len(both) > 0 {
		return both
	}
	if s.crowd == nil && !row.partly && len(row.subjects) > 0 {
		return row.subjects
	}
	return all
}

// wasRefused reports whether somebody who is the subject was refused the same.
func (s *Suggest) wasRefused(subject string, q request) bool {
	_, refused := s.refused[ask{subject, q.upstream, q.method}][q.path.String()]
	return refused
}

func common(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return !slices.Contains(b, name) })
}

// right is what a request asks for, whoever asks.
type right struct{ upstream, path, method string }

// choose attributes what no present row allows. Where several subjects would do,
// it takes one that gets the row anyway; else the one by which the fewest kinds of
// people gain who did not ask, then the one that does for the most who did, then
// the one that the fewest people are.
func (s *Suggest) choose(open, found []granted) []granted {
	c := chooser{s: s, given: map[right][]string{}, kinds: map[string]int{}}
	for _, g := range found {
		c.give(g)
	}
	for _, a := range s.askers {
		for _, name := range a.subjects {
			c.kinds[name]++
		}
	}
	certain := slices.Clone(found)
	unsure := map[right][]*granted{}
	for i := range open {
		g := &open[i]
		if options := s.eligible(g.request); len(options) == 1 {
			g.subject = options[0]
			c.give(*g)
			certain = append(certain, *g)
		} else {
			unsure[g.right()] = append(unsure[g.right()], g)
		}
	}
	if len(unsure) == 0 {
		return open
	}
	c.stars = s.patterns(slices.DeleteFunc(certain, func(g granted) bool { return s.unsayable(&g) != "" }))
	rights := slices.SortedFunc(maps.Keys(unsure), func(a, b right) int { // GET before HEAD
		return cmp.Or(strings.Compare(a.upstream, b.upstream), strings.Compare(a.path, b.path), strings.Compare(a.method, b.method))
	})
	for _, p := range rights {
		c.settle(p, unsure[p])
	}
	return open
}

func (q *request) right() right { return right{q.upstream, q.path.String(), q.method} }

// chooser finds subjects for requests that several would do for.
type chooser struct {
	s     *Suggest
	given map[right][]string
	kinds map[string]int // subject → kinds of people that are it
	stars map[door]map[string]map[string]*shape
	tried int
}

func (c *chooser) give(g granted) {
	if p := g.right(); !slices.Contains(c.given[p], g.subject) {
		c.given[p] = append(c.given[p], g.subject)
	}
}

// settle attributes the requests for one right.
func (c *chooser) settle(p right, pending []*granted) {
	pending = slices.DeleteFunc(pending, func(g *granted) bool {
		options := c.byRarity(c.s.eligible(g.request))
		at := slices.IndexFunc(options, func(name string) bool { return c.has(name, p) })
		if at >= 0 {
			g.subject = options[at]
		}
		return at >= 0
	})
	for len(pending) > 0 {
		does := map[string]int{}
		for _, g := range pending {
			for _, name := range c.s.eligible(g.request) {
				does[name]++
			}
		}
		names := c.byRarity(slices.Collect(maps.Keys(does)))
		slices.SortStableFunc(names, func(a, b string) int {
			return cmp.Or(cmp.Compare(c.kinds[a]-does[a], c.kinds[b]-does[b]), cmp.Compare(does[b], does[a]))
		})
		best := names[0]
		alike := len(names) > 1 && does[best] == does[names[1]] && c.kinds[best] == c.kinds[names[1]] && c.people(best) == c.people(names[1])
		pending = slices.DeleteFunc(pending, func(g *granted) bool {
			does := slices.Contains(c.s.eligible(g.request), best)
			if does {
				g.subject = best
				c.give(*g)
				if alike {
					c.s.report.Guessed += c.s.seen[g.request]
				}
			}
			return does
		})
	}
}

func (c *chooser) people(subject string) int {
	if holders := c.s.holders[subject]; holders != nil {
		return len(holders.known)
	}
	return 0
}

func (c *chooser) byRarity(names []string) []string {
	return slices.SortedFunc(slices.Values(names), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.people(a), c.people(b)), strings.Compare(a, b))
	})
}

// has reports whether a subject gets a row for this anyway, be it by a * or by
// GET, which has HEAD in it.
func (c *chooser) has(subject string, p right) bool {
	methods := []string{p.method}
	if p.method == "HEAD" {
		methods = append(methods, "GET")
	}
	for _, method := range methods {
		if slices.Contains(c.given[right{p.upstream, p.path, method}], subject) {
			return true
		}
		patterns := c.stars[door{subject, p.upstream}][method]
		if c.tried += len(patterns); c.tried > maxCompared {
			continue
		}
		for pattern := range patterns {
			if strings.Contains(pattern, target.AnySegment) && target.MatchPattern(p.path, pattern) {
				return true
			}
		}
	}
	return false
}
