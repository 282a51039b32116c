// Package replay reads requests from an audit log and reports which of them another
// policy would decide differently.
package replay

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// The words for how an answer changed.
const (
	Granted = "granted"
	Revoked = "revoked"
)

// Bounds on what a replay keeps, however long the log is.
const (
	maxDifferences        = 10_000  // what comes after is only counted
	maxUsersPerDifference = 100     // in each difference
	maxUsers              = 100_000 // in all of them
	maxVerified           = 100     // differences about which casbin is asked
)

// Replay decides the requests of a log once more, by another policy, and gathers
// what comes out differently. It belongs to one goroutine.
type Replay struct {
	decider      *CachedDecider
	groups       map[differenceKey]*differenceGroup
	report       Report
	users        UserCounter
	unseen       map[string]struct{} // groups and persons of the policy
	seed         maphash.Seed
	disagreement error // index and casbin disagree
}

// Report is what a replay has found.
type Report struct {
	Requests int64 `json:"requests"` // decided once more
	Granted  int64 `json:"granted"`  // of them: were refused, and would be allowed
	Revoked  int64 `json:"revoked"`  // of them: were allowed, and would be refused
	// of them: the line names roles and no groups, so changed g rows do not show
	ByRoles        int64        `json:"by_roles"`
	People         int          `json:"people"`          // signed-in users whom a difference concerns
	PeopleMore     bool         `json:"people_more"`     // there are more, not counted
	Differences    []Difference `json:"differences"`     // the most frequent first
	Ungrouped      int64        `json:"truncated"`       // differing requests beyond the differences that are listed
	UnseenSubjects []string     `json:"unused_subjects"` // groups and persons that the policy names, and no line
}

// Difference is a kind of request that would be decided differently.
type Difference struct {
	Change   string `json:"change"` // granted or revoked
	Method   string `json:"method"`
	Upstream string `json:"upstream"`
	Path     string `json:"path"` // of the row that decides now, else the paths seen, with * where they vary
	// what they were: roles, else groups, else system:authenticated or system:anonymous
	Subjects   []string  `json:"subjects"`
	Rule       string    `json:"rule"` // file:line that decides now; empty where no row matches
	Row        string    `json:"row"`
	RuleBefore string    `json:"rule_before"` // file:line that decided then
	Requests   int64     `json:"requests"`
	People     int       `json:"people"`      // that are signed in
	PeopleMore bool      `json:"people_more"` // there are more, not counted
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	Example    Example   `json:"example"`
}

// Example is one request of a log.
type Example struct {
	Time   time.Time `json:"time"`
	Person string    `json:"person"` // empty if anonymous
	Path   string    `json:"path"`
}

// differenceKey is what differences differ in. Where no row says which
// paths belong together, those do that begin alike and are as long.
type differenceKey struct {
	granted                                bool
	upstream, method, ruleBefore, subjects string
	row                                    *policy.Row
	segments                               int
	firstSegment                           string
}

type differenceGroup struct {
	Difference
	users UserCounter
}

// New begins a replay with this policy.
func New(s *policy.Snapshot) *Replay {
	r := &Replay{
		decider: NewCachedDecider(s), groups: map[differenceKey]*differenceGroup{}, users: UserCounter{Limit: maxUsers},
		unseen: map[string]struct{}{}, seed: maphash.MakeSeed(),
	}
	for _, row := range s.Rows() {
		r.expectSubject(row.Subject)
	}
	for _, g := range s.Grants() {
		r.expectSubject(g.Member)
	}
	return r
}

func (r *Replay) expectSubject(subject string) {
	if kind := policy.ParseSubject(subject).Kind; kind == policy.KindGroup || kind == policy.KindUser {
		r.unseen[subject] = struct{}{}
	}
}

// Add decides one request once more. It keeps nothing that o points to but
// strings.
func (r *Replay) Add(o *LoggedRequest) {
	identity, byRoles := o.Identity()
	roles, miss := r.decider.Resolve(identity)
	if miss {
		r.markSeen(identity)
	}
	r.report.Requests++
	if byRoles {
		r.report.ByRoles++
	}
	q := policy.Request{Roles: roles, Upstream: o.Upstream, Path: o.Path, Method: o.Method}
	d, roles := r.decider.Decide(q, !identity.Anonymous)
	if d.Effect == o.Effect {
		return
	}
	if d.Allowed() {
		r.report.Granted++
	} else {
		r.report.Revoked++
	}
	user := uint64(0)
	if !identity.Anonymous && cmp.Or(o.User, o.Email) != "" {
		user = maphash.String(r.seed, cmp.Or(o.User, o.Email))
		r.users.Add(user)
	}
	g := r.groupFor(o, d, identity)
	if g == nil {
		r.report.Ungrouped++
		return
	}
	if user != 0 {
		g.users.Add(user)
	}
	if g.Requests == 1 && len(r.groups) <= maxVerified && r.disagreement == nil {
		q.Roles = roles // what is reported as a change of the policy must not be a fault of the index
		r.disagreement = r.decider.snapshot.Verify(q)
	}
}

// groupFor finds the difference that a request belongs to, or makes it; nil if
// there are too many.
func (r *Replay) groupFor(o *LoggedRequest, d policy.Decision, identity policy.Identity) *differenceGroup {
	subjects := o.subjects(identity)
	key := differenceKey{
		granted: d.Allowed(), upstream: o.Upstream, method: o.Method, ruleBefore: o.Rule,
		subjects: strings.Join(subjects, "\x00"), row: d.Row,
	}
	path := o.Path.String()
	if d.Row == nil {
		key.segments = strings.Count(path, "/")
		key.firstSegment, _ = target.CutSegment(path)
	}
	g := r.groups[key]
	if g == nil {
		if len(r.groups) == maxDifferences {
			return nil
		}
		g = &differenceGroup{users: UserCounter{Limit: maxUsersPerDifference}, Difference: Difference{
			Change: Revoked, Method: o.Method, Upstream: o.Upstream, Path: path, Subjects: subjects, RuleBefore: o.Rule,
			First: o.Time, Last: o.Time, Example: Example{o.Time, cmp.Or(o.Email, o.User), path},
		}}
		if d.Allowed() {
			g.Change = Granted
		}
		if d.Row != nil {
			g.Path, g.Rule, g.Row = d.Row.Path, d.Row.Where(), d.Row.String()
		}
		r.groups[key] = g
	}
	if d.Row == nil {
		g.Path = generalizePath(g.Path, path)
	}
	if o.Time.Before(g.First) {
		g.First = o.Time
	}
	if o.Time.After(g.Last) {
		g.Last = o.Time
	}
	g.Requests++
	return g
}

// subjects says what the user was when the request was made, in few words.
func (o *LoggedRequest) subjects(identity policy.Identity) []string {
	switch {
	case identity.Anonymous:
		return []string{policy.Anonymous}
	case len(o.Roles) > 0:
		return slices.Sorted(slices.Values(o.Roles))
	case slices.ContainsFunc(o.Groups, func(name string) bool { return name != policy.Authenticated }):
		return slices.DeleteFunc(slices.Sorted(slices.Values(o.Groups)),
			func(name string) bool { return name == policy.Authenticated })
	default:
		return []string{policy.Authenticated}
	}
}

// generalizePath puts a * wherever a path differs from a shape with as many segments.
func generalizePath(pattern, path string) string {
	if pattern == path {
		return pattern
	}
	var b strings.Builder
	for pattern != "" && path != "" {
		var was, is string
		was, pattern = target.CutSegment(pattern)
		is, path = target.CutSegment(path)
		if was != is {
			was = target.AnySegment
		}
		b.WriteString("/" + was)
	}
	return b.String()
}

// markSeen strikes a user's subjects off the list of those never seen.
func (r *Replay) markSeen(identity policy.Identity) {
	if len(r.unseen) == 0 {
		return
	}
	user := policy.UserSubject(identity.Email)
	delete(r.unseen, user)
	delete(r.unseen, policy.DomainSubject(user))
	for _, group := range identity.Groups {
		delete(r.unseen, group)
		for i := range len(group) - 1 {
			if group[i] == ':' {
				delete(r.unseen, group[:i]+policy.TeamWildcard)
			}
		}
	}
}

// Report says what has been found so far. The error is about authgate itself: its
// index and casbin disagree.
func (r *Replay) Report() (Report, error) {
	if r.disagreement != nil {
		return Report{}, fmt.Errorf("deciding a request once more: %w", r.disagreement)
	}
	report := r.report
	report.People, report.PeopleMore = len(r.users.Seen), r.users.exceeded
	report.Differences = make([]Difference, 0, len(r.groups))
	for _, g := range r.groups {
		g.Difference.People, g.PeopleMore = len(g.users.Seen), g.users.exceeded
		report.Differences = append(report.Differences, g.Difference)
	}
	slices.SortFunc(report.Differences, func(a, b Difference) int {
		return cmp.Or(
			cmp.Compare(b.Requests, a.Requests),
			cmp.Compare(a.Change, b.Change),
			cmp.Compare(a.Upstream, b.Upstream),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Method, b.Method),
			slices.Compare(a.Subjects, b.Subjects),
			cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.RuleBefore, b.RuleBefore),
		)
	})
	report.UnseenSubjects = make([]string, 0, len(r.unseen))
	for name := range r.unseen {
		report.UnseenSubjects = append(report.UnseenSubjects, name)
	}
	slices.Sort(report.UnseenSubjects)
	return report, nil
}

// UserCounter counts different people up to a bound.
type UserCounter struct {
	Seen     map[uint64]struct{}
	Limit    int
	exceeded bool
}

func (c *UserCounter) Add(user uint64) {
	if _, seen := c.Seen[user]; seen {
		return
	}
	if len(c.Seen) >= c.Limit {
		c.exceeded = true
		return
	}
	if c.Seen == nil {
		c.Seen = map[uint64]struct{}{}
	}
	c.Seen[user] = struct{}{}
}
