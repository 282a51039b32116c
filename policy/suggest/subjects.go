package suggest

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/replay"
	"github.com/example-org/authgate/target"
)

// namedSubjects gives every subject that a line says the user was.
func namedSubjects(o *replay.LoggedRequest) []string {
	names := slices.Concat(o.Roles, o.Groups)
	if o.SignedIn() {
		names = append(names, policy.Authenticated)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// candidates are the subjects that a row may name for a user: roles, without
// them groups, and else every signed-in user.
func candidates(o *replay.LoggedRequest, identity policy.Identity, roles []string) []string {
	var names []string
	switch {
	case identity.Anonymous:
		return []string{policy.Anonymous}
	case len(roles) > 0:
		names = roles
	case len(o.Groups) > 0:
		names = o.Groups
	default:
		return []string{policy.Authenticated}
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// countHolders notes who is which subject: also who was refused is.
func (s *Suggester) countHolders(o *replay.LoggedRequest, class int) {
	user := cmp.Or(o.User, o.Email)
	if user == "" { // the line does not tell people apart
		user = "\x00" + strings.Join(s.classes[class].namedSubjects, "\x00")
	}
	for _, names := range [][]string{s.classes[class].namedSubjects, s.classes[class].candidates} {
		for _, name := range names {
			holders := s.holders[name]
			if holders == nil {
				holders = &replay.UserCounter{Limit: maxUsersCounted}
				s.holders[name] = holders
			}
			holders.Add(maphash.String(s.seed, user))
		}
	}
}

// maxUsersCounted bounds the users counted of one subject.
const maxUsersCounted = 10_000

// accessKey is what a row for a subject would let in, but for the path.
type accessKey struct{ subject, upstream, method string }

// recordDenied notes what a user was refused, so that no * admits them there: it
// concerns each subject that they are.
func (s *Suggester) recordDenied(o *replay.LoggedRequest, class int) {
	if o.Effect == policy.Allow {
		return
	}
	a := &s.classes[class]
	for _, subject := range slices.Concat(a.namedSubjects, a.candidates, []string{policy.Anonymous}) {
		key := accessKey{subject, o.Upstream, o.Method}
		if s.deniedPaths[key] == nil {
			s.deniedPaths[key] = map[string]struct{}{}
		}
		if _, known := s.deniedPaths[key][o.Path.String()]; !known && s.deniedPathCount < maxRequests {
			s.deniedPaths[key][o.Path.String()] = struct{}{}
			s.deniedPathCount++
		}
	}
}

// loggedRow is a row of the policy that decided when the log was written. The
// hash has to be with it: the same line of another version is another row.
type loggedRow struct{ policy, rule string }

// rowEvidence is what the lines show of the subject that a row at that time names: the user who
// the row let in is that subject.
type rowEvidence struct {
	classes    map[int]struct{}
	subjects   []string // that all of them are
	anonymous  bool     // one was anonymous, so that the row says system:anonymous
	incomplete bool     // of one the line does not tell the groups
}

// recordRow keeps what a request tells of the row that allowed it.
func (s *Suggester) recordRow(o *replay.LoggedRequest, q request) {
	key := loggedRow{o.Policy, o.Rule}
	if o.Effect != policy.Allow || key.policy == "" || key.rule == "" {
		return
	}
	row := s.loggedRows[key]
	if row == nil {
		row = &rowEvidence{classes: map[int]struct{}{}, subjects: s.classes[q.class].namedSubjects}
		s.loggedRows[key] = row
	}
	s.rowByRequest[q] = row
	row.incomplete = row.incomplete || o.Groups == nil
	if _, known := row.classes[q.class]; known {
		return
	}
	row.classes[q.class] = struct{}{}
	if s.classes[q.class].identity.Anonymous {
		row.anonymous = true
		return
	}
	row.subjects = intersect(row.subjects, s.classes[q.class].namedSubjects)
}

// eligible are the subjects of which one is to get the row for a request: those
// whose row may have allowed it then, and of them those to whom it was not refused.
func (s *Suggester) eligible(q request) []string {
	all := s.classes[q.class].candidates
	if allowed := slices.DeleteFunc(slices.Clone(all),
		func(name string) bool { return s.wasDenied(name, q) }); len(allowed) > 0 {
		all = allowed
	}
	row := s.rowByRequest[q]
	if row == nil {
		return all
	}
	if row.anonymous { // signed-in users were treated as anonymous, too
		return []string{policy.Anonymous}
	}
	if both := intersect(all, row.subjects); len(both) > 0 {
		return both
	}
	if s.decider == nil && !row.incomplete && len(row.subjects) > 0 {
		return row.subjects
	}
	return all
}

// wasDenied reports whether a user who is the subject was refused the same.
func (s *Suggester) wasDenied(subject string, q request) bool {
	_, refused := s.deniedPaths[accessKey{subject, q.upstream, q.method}][q.path.String()]
	return refused
}

func intersect(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return !slices.Contains(b, name) })
}

// operation is what a request asks for, regardless of the user.
type operation struct{ upstream, path, method string }

// selectSubjects attributes what no present row allows. Where several subjects would do,
// it takes one that gets the row anyway; else the one by which the fewest kinds of
// people gain who did not ask, then the one that does for the most who did, then
// the one that the fewest people are.
func (s *Suggester) selectSubjects(unattributed, attributed []attribution) []attribution {
	c := subjectSelector{suggester: s, assigned: map[operation][]string{}, classCount: map[string]int{}}
	for _, g := range attributed {
		c.assign(g)
	}
	for _, a := range s.classes {
		for _, name := range a.candidates {
			c.classCount[name]++
		}
	}
	certain := slices.Clone(attributed)
	ambiguous := map[operation][]*attribution{}
	for i := range unattributed {
		g := &unattributed[i]
		if options := s.eligible(g.request); len(options) == 1 {
			g.subject = options[0]
			c.assign(*g)
			certain = append(certain, *g)
		} else {
			ambiguous[g.operation()] = append(ambiguous[g.operation()], g)
		}
	}
	if len(ambiguous) == 0 {
		return unattributed
	}
	c.wildcards = s.patterns(slices.DeleteFunc(certain, func(g attribution) bool { return s.notExpressible(&g) != "" }))
	operations := slices.SortedFunc(maps.Keys(ambiguous), func(a, b operation) int { // GET before HEAD
		return cmp.Or(strings.Compare(a.upstream, b.upstream), strings.Compare(a.path, b.path),
			strings.Compare(a.method, b.method))
	})
	for _, op := range operations {
		c.selectFor(op, ambiguous[op])
	}
	return unattributed
}

func (q *request) operation() operation { return operation{q.upstream, q.path.String(), q.method} }

// subjectSelector finds subjects for requests that several would do for.
type subjectSelector struct {
	suggester   *Suggester
	assigned    map[operation][]string
	classCount  map[string]int // subject → kinds of people that are it
	wildcards   map[subjectUpstream]map[string]map[string]*pathPattern
	comparisons int
}

func (s *subjectSelector) assign(g attribution) {
	if op := g.operation(); !slices.Contains(s.assigned[op], g.subject) {
		s.assigned[op] = append(s.assigned[op], g.subject)
	}
}

// selectFor attributes the requests for one right.
func (s *subjectSelector) selectFor(op operation, pending []*attribution) {
	pending = slices.DeleteFunc(pending, func(g *attribution) bool {
		options := s.byRarity(s.suggester.eligible(g.request))
		at := slices.IndexFunc(options, func(name string) bool { return s.isAllowed(name, op) })
		if at >= 0 {
			g.subject = options[at]
		}
		return at >= 0
	})
	for len(pending) > 0 {
		counts := map[string]int{}
		for _, g := range pending {
			for _, name := range s.suggester.eligible(g.request) {
				counts[name]++
			}
		}
		names := s.byRarity(slices.Collect(maps.Keys(counts)))
		slices.SortStableFunc(names, func(a, b string) int {
			return cmp.Or(cmp.Compare(s.classCount[a]-counts[a], s.classCount[b]-counts[b]),
				cmp.Compare(counts[b], counts[a]))
		})
		best := names[0]
		tied := len(names) > 1 && counts[best] == counts[names[1]] && s.classCount[best] == s.classCount[names[1]] &&
			s.userCount(best) == s.userCount(names[1])
		pending = slices.DeleteFunc(pending, func(g *attribution) bool {
			counts := slices.Contains(s.suggester.eligible(g.request), best)
			if counts {
				g.subject = best
				s.assign(*g)
				if tied {
					s.suggester.report.Guessed += s.suggester.requests[g.request]
				}
			}
			return counts
		})
	}
}

func (s *subjectSelector) userCount(subject string) int {
	if holders := s.suggester.holders[subject]; holders != nil {
		return len(holders.Seen)
	}
	return 0
}

func (s *subjectSelector) byRarity(names []string) []string {
	return slices.SortedFunc(slices.Values(names), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.userCount(a), s.userCount(b)), strings.Compare(a, b))
	})
}

// isAllowed reports whether a subject gets a row for this anyway, be it by a * or by
// GET, which has HEAD in it.
func (s *subjectSelector) isAllowed(subject string, op operation) bool {
	methods := []string{op.method}
	if op.method == "HEAD" {
		methods = append(methods, "GET")
	}
	for _, method := range methods {
		if slices.Contains(s.assigned[operation{op.upstream, op.path, method}], subject) {
			return true
		}
		patterns := s.wildcards[subjectUpstream{subject, op.upstream}][method]
		if s.comparisons += len(patterns); s.comparisons > maxCompared {
			continue
		}
		for pattern := range patterns {
			if strings.Contains(pattern, target.AnySegment) && target.MatchPattern(op.path, pattern) {
				return true
			}
		}
	}
	return false
}
