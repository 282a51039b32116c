package policy

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// maxSeen bounds the different requests that a suggestion is made from.
const maxSeen = 200_000

// SuggestOptions say what a suggestion is to be made of.
type SuggestOptions struct {
	Present   *Snapshot                // the policy that the suggestion is compared with, or nil
	Upstreams []string                 // that rows may name; nil if not known
	Quirks    map[string]target.Quirks // as for Load
	Denied    bool                     // look at what was refused, and not at what was allowed
	Exact     bool                     // fold nothing: a row for each path
	Distinct  int                      // values that a segment has to take to become *; at least 2
	MinCount  int64                    // leave out rows that stand for fewer requests
}

// Suggest gathers the requests of a log and finds the least rows that allow what
// was allowed. It belongs to one goroutine.
type Suggest struct {
	options  SuggestOptions
	crowd    *crowd // of the present policy, or nil
	kinds    map[string]int
	askers   []asker
	seen     map[request]int64
	then     map[rowOfThen]*letIn
	by       map[request]*letIn          // only what a row of then is known of
	holders  map[string]*people          // subject → who is it, whatever they asked
	refused  map[ask]map[string]struct{} // → paths
	refusals int
	denied   map[request]int64 // what was refused, to be replayed
	seed     maphash.Seed
	report   SuggestReport
	left     map[string]*LeftOut // by reason
	alone    map[string]Roles    // of the present policy, by subject
	key      []byte
}

// asker is a kind of people: all that a policy can know of them is the same.
type asker struct {
	who      Who
	named    []string // subjects that the line names
	subjects []string // of which one is to get the row
	roles    Roles    // under the present policy

	// As the log has it: the roles that the policy of then gave them, and the subjects
	// other than roles that it knew them by; known is false if the log does not say.
	then   []string
	groups []string
	known  bool
}

// request is what is counted.
type request struct {
	asker    int
	upstream string
	method   string
	path     target.Path
}

func (q *request) String() string { return q.method + " " + q.upstream + ":" + q.path.String() }

// NewSuggest begins a suggestion.
func NewSuggest(options SuggestOptions) *Suggest {
	options.Distinct = max(2, options.Distinct)
	s := &Suggest{
		options: options, kinds: map[string]int{}, seen: map[request]int64{},
		then: map[rowOfThen]*letIn{}, by: map[request]*letIn{}, refused: map[ask]map[string]struct{}{}, holders: map[string]*people{}, seed: maphash.MakeSeed(),
		denied: map[request]int64{}, left: map[string]*LeftOut{}, alone: map[string]Roles{},
	}
	if options.Present != nil {
		s.crowd = newCrowd(options.Present)
	}
	return s
}

// Add takes one request of a log.
func (s *Suggest) Add(o *Observed) {
	who, byRoles := o.who()
	kind := s.asker(o, who)
	s.count(o, kind)
	if o.Effect == Allow == s.options.Denied {
		s.refuse(o, kind)
		s.noteDenied(o, kind)
		return
	}
	s.report.Requests++
	if byRoles {
		s.report.ByRoles++
	}
	if who.Anonymous && s.options.Denied {
		s.leave("nobody was signed in", "", o.Method+" "+o.Upstream+":"+o.Path.String(), 1)
		return
	}
	q := request{kind, o.Upstream, o.Method, o.Path}
	if _, known := s.seen[q]; !known && len(s.seen) == maxSeen {
		s.leave(fmt.Sprintf("the log holds more than %d different requests", maxSeen), "", q.String(), 1)
		return
	}
	s.seen[q]++
	s.learn(o, q)
}

// asker finds the kind of people that somebody belongs to. An e-mail address, or its
// domain, counts only where a policy names it: else each person were a kind.
func (s *Suggest) asker(o *Observed, who Who) int {
	who.Email = s.namedAddress(o, who.Email)
	if s.crowd == nil && o.Groups == nil {
		who.Roles = o.Roles // no g row can be found for them
	}
	s.key = append(whoKey(s.key[:0], who), 0)
	for _, role := range o.Roles { // they are candidates, resolved or not
		s.key = append(append(s.key, 0), role...)
	}
	if kind, known := s.kinds[string(s.key)]; known {
		return kind
	}
	a := asker{who: who, named: o.named(), then: o.Roles, groups: withoutSystem(o.Groups), known: o.Groups != nil && !who.Anonymous}
	roles := o.Roles
	if s.crowd != nil {
		a.roles, _ = s.crowd.resolve(who)
		roles = a.roles.Names()
	}
	a.subjects = candidates(o, who, roles)
	s.askers = append(s.askers, a)
	s.kinds[string(s.key)] = len(s.askers) - 1
	return len(s.askers) - 1
}

// namedAddress gives as much of an e-mail address as a policy names: all of it, *@DOMAIN
// or nothing.
func (s *Suggest) namedAddress(o *Observed, address string) string {
	user := userPrefix + lowerASCII(address)
	for _, name := range []string{user, domainSubject(user)} {
		if name != "" && (slices.Contains(o.Groups, name) || s.crowd != nil && s.options.Present.numbers.has(name)) {
			return name[len(userPrefix):]
		}
	}
	return ""
}

// leave notes requests that no row is suggested for.
func (s *Suggest) leave(reason, rule, example string, requests int64) {
	l := s.left[reason+"\x00"+rule]
	if l == nil {
		l = &LeftOut{Reason: reason, Rule: rule, Example: example}
		s.left[reason+"\x00"+rule] = l
	}
	l.Requests += requests
}

// granted is one request with the subject whose row is to allow it.
type granted struct {
	subject string
	within  *Row // of the present policy, which allows it
	request
}

// attribute finds, for each request, the subject whose row is to allow it.
func (s *Suggest) attribute() []granted {
	var found, open []granted
	for _, q := range s.sorted() {
		g := granted{request: q}
		if s.crowd != nil {
			asked := Request{Roles: s.askers[q.asker].roles, Upstream: q.upstream, Path: q.path, Method: q.method}
			d, roles := s.crowd.decide(asked, !s.askers[q.asker].who.Anonymous)
			switch {
			case d.Allowed() && s.options.Denied:
				s.leave("the present policy allows it", "", q.String(), s.seen[q])
				continue
			case d.Allowed():
				asked.Roles = roles
				g.within = s.mostBasic(asked, d.Rule)
				g.subject = g.within.Subject
				found = append(found, g)
				continue
			case d.Rule != nil:
				s.leave("the present policy denies it", d.Rule.Where(), q.String(), s.seen[q])
				continue
			}
			if !s.options.Denied {
				s.report.NotAllowed += s.seen[q]
			}
		}
		open = append(open, g)
	}
	return append(found, s.choose(open, found)...)
}

// sorted gives what was seen in an order that does not change from run to run:
// first the requests of people who are the fewest subjects.
func (s *Suggest) sorted() []request {
	all := make([]request, 0, len(s.seen))
	for q := range s.seen {
		all = append(all, q)
	}
	slices.SortFunc(all, func(a, b request) int {
		x, y := &s.askers[a.asker], &s.askers[b.asker]
		return cmp.Or(
			cmp.Compare(len(x.subjects), len(y.subjects)),
			slices.Compare(x.subjects, y.subjects),
			cmp.Compare(a.upstream, b.upstream),
			cmp.Compare(a.path.String(), b.path.String()),
			cmp.Compare(a.method, b.method),
			cmp.Compare(a.asker, b.asker),
		)
	})
	return all
}

// mostBasic finds, below the subject of a row that allows a request, the role
// that allows it, too, and inherits the fewest: whoever inherits it gains by it,
// and nobody gains what they do not have.
func (s *Suggest) mostBasic(q Request, rule *Row) *Row {
	inherited := s.holding(rule.Subject).Names()
	inherited = slices.SortedFunc(slices.Values(inherited), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(s.holding(a).Names()), len(s.holding(b).Names())), strings.Compare(a, b))
	})
	for _, role := range inherited {
		q.Roles = s.holding(role)
		if d := s.options.Present.Decide(q); d.Allowed() {
			return d.Rule
		}
	}
	return rule
}

func (s *Suggest) holding(subject string) Roles {
	roles, known := s.alone[subject]
	if !known {
		roles = s.options.Present.alone(subject)
		s.alone[subject] = roles
	}
	return roles
}

// unsayable tells why no row can allow this request and no other; empty if one
// can.
func (s *Suggest) unsayable(g *granted) string {
	row := Row{Subject: g.subject, Upstream: g.upstream, Path: g.path.String(), Methods: g.method}
	if strings.Contains(row.Path, target.AnySegment) {
		return "the path holds a *, which stands for other paths, too, in a row"
	}
	if strings.Count(row.Path, "/") > maxVisits/4 {
		return "the path has more segments than a policy takes"
	}
	judge := parser{upstreams: s.options.Upstreams}
	for _, field := range []column{{"subject", checkSubject}, {"upstream", judge.checkUpstream}, {"path", func(path string) (what, mend string) { return target.CheckPatternWith(path, target.AllQuirks) }}, {"method", checkMethods}} {
		text := map[string]string{"subject": row.Subject, "upstream": row.Upstream, "path": row.Path, "method": row.Methods}[field.name]
		if what, _ := field.judge(text); what != "" || text == "" {
			if field.name == "upstream" && s.options.Upstreams != nil {
				return "the configuration has no such upstream"
			}
			return "no row can name this " + field.name
		}
	}
	const further = 1 << 10 // methods that the row may get besides
	line := row.String()
	if _, invisible, _ := unprintable(line); invisible != "" || len(line) > maxLine-further {
		return "no row can hold this line"
	}
	return ""
}
