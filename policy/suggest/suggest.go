// Package suggest proposes the fewest rows that allow the requests of an audit log.
package suggest

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/replay"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// maxRequests bounds the different requests that a suggestion is made from.
const maxRequests = 200_000

// Options say what a suggestion is to be made of.
type Options struct {
	Current   *policy.Snapshot         // the policy that the suggestion is compared with, or nil
	Upstreams []string                 // that rows may name; nil if not known
	Quirks    map[string]target.Quirks // as for Load
	Denied    bool                     // look at what was refused, and not at what was allowed
	Exact     bool                     // fold nothing: a row for each path
	Distinct  int                      // values that a segment has to take to become *; at least 2
	MinCount  int64                    // leave out rows that stand for fewer requests
}

// Suggester gathers the requests of a log and finds the least rows that allow what
// was allowed. It belongs to one goroutine.
type Suggester struct {
	options         Options
	decider         *replay.CachedDecider // of the present policy, or nil
	classIndex      map[string]int
	classes         []userClass
	requests        map[request]int64
	loggedRows      map[loggedRow]*rowEvidence
	rowByRequest    map[request]*rowEvidence          // only those with a row at that time
	holders         map[string]*replay.UserCounter    // subject → who is it, whatever they asked
	deniedPaths     map[accessKey]map[string]struct{} // → paths
	deniedPathCount int
	deniedRequests  map[request]int64 // what was refused, to be replayed
	seed            maphash.Seed
	report          Report
	leftOut         map[string]*LeftOut     // by reason
	subjectRoles    map[string]policy.Roles // of the present policy, by subject
	key             []byte
}

// userClass is a kind of people: all that a policy can know of them is the same.
type userClass struct {
	identity      policy.Identity
	namedSubjects []string     // subjects that the line names
	candidates    []string     // of which one is to get the row
	roles         policy.Roles // under the present policy

	// As the log has it: the roles that the policy at that time gave them, and the subjects
	// other than roles that it knew them by; known is false if the log does not say.
	loggedRoles  []string
	loggedGroups []string
	groupsLogged bool
}

// request is what is counted.
type request struct {
	class    int
	upstream string
	method   string
	path     target.Path
}

func (q *request) String() string { return q.method + " " + q.upstream + ":" + q.path.String() }

// New begins a suggestion.
func New(options Options) *Suggester {
	options.Distinct = max(2, options.Distinct)
	s := &Suggester{
		options: options, classIndex: map[string]int{}, requests: map[request]int64{},
		loggedRows: map[loggedRow]*rowEvidence{}, rowByRequest: map[request]*rowEvidence{},
		deniedPaths: map[accessKey]map[string]struct{}{}, holders: map[string]*replay.UserCounter{},
		seed:           maphash.MakeSeed(),
		deniedRequests: map[request]int64{}, leftOut: map[string]*LeftOut{}, subjectRoles: map[string]policy.Roles{},
	}
	if options.Current != nil {
		s.decider = replay.NewCachedDecider(options.Current)
	}
	return s
}

// Add takes one request of a log.
func (s *Suggester) Add(o *replay.LoggedRequest) {
	identity, byRoles := o.Identity()
	class := s.classOf(o, identity)
	s.countHolders(o, class)
	if o.Effect == policy.Allow == s.options.Denied {
		s.recordDenied(o, class)
		s.countDenied(o, class)
		return
	}
	s.report.Requests++
	if byRoles {
		s.report.ByRoles++
	}
	if identity.Anonymous && s.options.Denied {
		s.leaveOut("no user was signed in", "", o.Method+" "+o.Upstream+":"+o.Path.String(), 1)
		return
	}
	q := request{class, o.Upstream, o.Method, o.Path}
	if _, known := s.requests[q]; !known && len(s.requests) == maxRequests {
		s.leaveOut(fmt.Sprintf("the log holds more than %d different requests", maxRequests), "", q.String(), 1)
		return
	}
	s.requests[q]++
	s.recordRow(o, q)
}

// ClassOf finds the class that a user belongs to. An e-mail address, or its
// domain, counts only where a policy names it: else each person were a kind.
func (s *Suggester) classOf(o *replay.LoggedRequest, identity policy.Identity) int {
	identity.Email = s.namedAddress(o, identity.Email)
	if s.decider == nil && o.Groups == nil {
		identity.Roles = o.Roles // no g row can be found for them
	}
	s.key = append(replay.IdentityKey(s.key[:0], identity), 0)
	for _, role := range o.Roles { // they are candidates, resolved or not
		s.key = append(append(s.key, 0), role...)
	}
	if class, known := s.classIndex[string(s.key)]; known {
		return class
	}
	a := userClass{
		identity: identity, namedSubjects: namedSubjects(o), loggedRoles: o.Roles,
		loggedGroups: withoutSystem(o.Groups), groupsLogged: o.Groups != nil && !identity.Anonymous,
	}
	roles := o.Roles
	if s.decider != nil {
		a.roles, _ = s.decider.Resolve(identity)
		roles = a.roles.Names()
	}
	a.candidates = candidates(o, identity, roles)
	s.classes = append(s.classes, a)
	s.classIndex[string(s.key)] = len(s.classes) - 1
	return len(s.classes) - 1
}

// namedAddress gives as much of an e-mail address as a policy names: all of it, *@DOMAIN
// or nothing.
func (s *Suggester) namedAddress(o *replay.LoggedRequest, address string) string {
	user := policy.UserSubject(address)
	for _, name := range []string{user, policy.DomainSubject(user)} {
		if name != "" && (slices.Contains(o.Groups, name) || s.decider != nil && s.options.Current.HasSubject(name)) {
			return name[len(policy.UserPrefix):]
		}
	}
	return ""
}

// leaveOut notes requests that no row is suggested for.
func (s *Suggester) leaveOut(reason, rule, example string, requests int64) {
	l := s.leftOut[reason+"\x00"+rule]
	if l == nil {
		l = &LeftOut{Reason: reason, Rule: rule, Example: example}
		s.leftOut[reason+"\x00"+rule] = l
	}
	l.Requests += requests
}

// attribution is one request with the subject whose row is to allow it.
type attribution struct {
	subject    string
	currentRow *policy.Row // of the present policy, which allows it
	request
}

// attribute finds, for each request, the subject whose row is to allow it.
func (s *Suggester) attribute() []attribution {
	var attributed, unattributed []attribution
	for _, q := range s.sortedRequests() {
		g := attribution{request: q}
		if s.decider != nil {
			query := policy.Request{
				Roles: s.classes[q.class].roles, Upstream: q.upstream, Path: q.path,
				Method: q.method,
			}
			d, roles := s.decider.Decide(query, !s.classes[q.class].identity.Anonymous)
			switch {
			case d.Allowed() && s.options.Denied:
				s.leaveOut("the present policy allows it", "", q.String(), s.requests[q])
				continue
			case d.Allowed():
				query.Roles = roles
				g.currentRow = s.leastPrivileged(query, d.Row)
				g.subject = g.currentRow.Subject
				attributed = append(attributed, g)
				continue
			case d.Row != nil:
				s.leaveOut("the present policy denies it", d.Row.Where(), q.String(), s.requests[q])
				continue
			}
			if !s.options.Denied {
				s.report.NotAllowed += s.requests[q]
			}
		}
		unattributed = append(unattributed, g)
	}
	return append(attributed, s.selectSubjects(unattributed, attributed)...)
}

// sortedRequests gives what was seen in an order that does not change from run to run:
// first the requests of people who are the fewest subjects.
func (s *Suggester) sortedRequests() []request {
	all := make([]request, 0, len(s.requests))
	for q := range s.requests {
		all = append(all, q)
	}
	slices.SortFunc(all, func(a, b request) int {
		x, y := &s.classes[a.class], &s.classes[b.class]
		return cmp.Or(
			cmp.Compare(len(x.candidates), len(y.candidates)),
			slices.Compare(x.candidates, y.candidates),
			cmp.Compare(a.upstream, b.upstream),
			cmp.Compare(a.path.String(), b.path.String()),
			cmp.Compare(a.method, b.method),
			cmp.Compare(a.class, b.class),
		)
	})
	return all
}

// leastPrivileged finds, below the subject of a row that allows a request, the role
// that allows it, too, and inherits the fewest: a user who inherits it gains by it,
// and no user gains what they do not have.
func (s *Suggester) leastPrivileged(q policy.Request, rule *policy.Row) *policy.Row {
	inherited := s.rolesOf(rule.Subject).Names()
	inherited = slices.SortedFunc(slices.Values(inherited), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(s.rolesOf(a).Names()), len(s.rolesOf(b).Names())), strings.Compare(a, b))
	})
	for _, role := range inherited {
		q.Roles = s.rolesOf(role)
		if d := s.options.Current.Decide(q); d.Allowed() {
			return d.Row
		}
	}
	return rule
}

func (s *Suggester) rolesOf(subject string) policy.Roles {
	roles, known := s.subjectRoles[subject]
	if !known {
		roles = s.options.Current.RolesOfSubject(subject)
		s.subjectRoles[subject] = roles
	}
	return roles
}

// notExpressible tells why no row can allow this request and no other; empty if one
// can.
func (s *Suggester) notExpressible(g *attribution) string {
	row := policy.Row{Subject: g.subject, Upstream: g.upstream, Path: g.path.String(), Methods: g.method}
	if strings.Contains(row.Path, target.AnySegment) {
		return "the path holds a *, which stands for other paths, too, in a row"
	}
	if strings.Count(row.Path, "/") > policy.MaxVisits/4 {
		return "the path has more segments than a policy takes"
	}
	for _, field := range []struct {
		name, value string
		check       func(string) (message, hint string)
	}{
		{"subject", row.Subject, policy.CheckSubject},
		{
			"upstream", row.Upstream,
			func(name string) (message, hint string) { return policy.CheckUpstream(name, s.options.Upstreams) },
		},
		{"path", row.Path, func(path string) (message,
			hint string,
		) {
			return target.CheckPatternWith(path, target.AllQuirks)
		}},
		{"method", row.Methods, policy.CheckMethods},
	} {
		if message, _ := field.check(field.value); message != "" || field.value == "" {
			if field.name == "upstream" && s.options.Upstreams != nil {
				return "the configuration has no such upstream"
			}
			return "no row can name this " + field.name
		}
	}
	const reserve = 1 << 10 // methods that the row may get in addition
	line := row.String()
	if _, invisible, _ := text.CheckVisible("", line); invisible != "" || len(line) > policy.MaxLine-reserve {
		return "no row can hold this line"
	}
	return ""
}
