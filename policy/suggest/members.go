package suggest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/replay"
)

// Member is a g row.
type Member struct {
	Row    string `json:"row"`
	Member string `json:"member"`
	Role   string `json:"role"`
}

// inferMembers finds g rows for the roles of the log, if there is no present policy that
// has them. A subject gets a role if every user who is that subject had the role, and some
// user with the role is no other such subject: then no other g row can explain it. A
// role with a user whom this does not explain gets no g rows; what its holders did goes
// to their groups.
func (s *Suggester) inferMembers() map[string][]string {
	if s.decider != nil {
		return nil
	}
	holders := map[string][]int{} // subject → users known by their groups
	byRole := map[string][]int{}
	for i := range s.classes {
		a := &s.classes[i]
		if !a.groupsLogged {
			continue
		}
		for _, name := range a.possibleMembers() {
			holders[name] = append(holders[name], i)
		}
		if !slices.Contains(a.possibleMembers(), policy.Authenticated) {
			holders[policy.Authenticated] = append(holders[policy.Authenticated], i)
		}
		for _, role := range a.loggedRoles {
			byRole[role] = append(byRole[role], i)
		}
	}
	members := map[string][]string{}
	for role, users := range byRole {
		if found, complete := s.membersOfRole(role, users, holders); complete {
			members[role] = found
		}
	}
	for i := range s.classes {
		if a := &s.classes[i]; a.groupsLogged {
			a.candidates = a.candidatesWith(members)
		}
	}
	return members
}

func (s *Suggester) membersOfRole(role string, users []int, holders map[string][]int) (found []string, complete bool) {
	explains := func(name string) bool {
		return !slices.ContainsFunc(holders[name],
			func(i int) bool { return !slices.Contains(s.classes[i].loggedRoles, role) })
	}
	required := policy.StringSet{}
	var ambiguous [][]string
	for _, i := range users {
		candidates := slices.DeleteFunc(slices.Clone(s.classes[i].possibleMembers()),
			func(name string) bool { return !explains(name) })
		switch len(candidates) {
		case 0:
			return nil, false
		case 1:
			required[candidates[0]] = struct{}{}
		default:
			ambiguous = append(ambiguous, candidates)
		}
	}
	for _, candidates := range ambiguous {
		if !slices.ContainsFunc(candidates, required.Has) {
			return nil, false
		}
	}
	return slices.Sorted(maps.Keys(required)), true
}

// possibleMembers are the subjects by which a user may have come to a role.
func (c *userClass) possibleMembers() []string {
	if len(c.loggedGroups) == 0 {
		return []string{policy.Authenticated}
	}
	return c.loggedGroups
}

// candidatesWith gives the subjects of which one is to get a row: roles that have members, and
// groups if there is no role for all that the user was.
func (c *userClass) candidatesWith(members map[string][]string) []string {
	var names []string
	for _, role := range c.loggedRoles {
		if _, resolved := members[role]; resolved {
			names = append(names, role)
		}
	}
	if len(names) < len(c.loggedRoles) || len(names) == 0 {
		names = append(names, c.possibleMembers()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func withoutSystem(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names),
		func(name string) bool { return policy.ParseSubject(name).Kind == policy.KindSystem })
}

// membersOf gives the g rows for the roles that some rows are about.
func membersOf(rows []Row, members map[string][]string) []Member {
	all := []Member{}
	seen := policy.StringSet{}
	for _, row := range rows {
		if seen.Has(row.Subject) {
			continue
		}
		seen[row.Subject] = struct{}{}
		for _, member := range members[row.Subject] {
			all = append(all, Member{policy.Grant{Member: member, Role: row.Subject}.String(), member, row.Subject})
		}
	}
	slices.SortFunc(all, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Member, b.Member))
	})
	return all
}

// Remaining is what a suggested policy would decide otherwise than the log shows.
type Remaining struct {
	Requests int64    `json:"requests"` // that were replayed
	Granted  int64    `json:"granted"`  // refused then, and allowed by the suggestion
	Revoked  int64    `json:"revoked"`  // allowed then, and refused by the suggestion
	Examples []string `json:"examples"` // at most 5
}

// countDenied keeps what was refused.
func (s *Suggester) countDenied(o *replay.LoggedRequest, class int) {
	if o.Effect == policy.Allow {
		return
	}
	q := request{class, o.Upstream, o.Method, o.Path}
	if _, known := s.deniedRequests[q]; known || len(s.deniedRequests) < maxRequests {
		s.deniedRequests[q]++
	}
}

// replay asks the suggested policy every request of the log.
func (s *Suggester) replay(report *Report) error {
	report.Replay.Examples = []string{}
	if s.options.Denied { // the rows are made to grant what was refused
		return nil
	}
	var suggested *replay.CachedDecider
	if report.policy != "" {
		snapshot, err := policy.Load([]policy.Source{{Name: "suggestion", Data: []byte(report.policy)}},
			s.options.Upstreams, s.options.Quirks)
		if err != nil {
			return fmt.Errorf("replaying the suggestion: %w", err)
		}
		suggested = replay.NewCachedDecider(snapshot)
	}
	s.compareDecisions(suggested, s.requests, true, &report.Replay)
	s.compareDecisions(suggested, s.deniedRequests, false, &report.Replay)
	return nil
}

func (s *Suggester) compareDecisions(by *replay.CachedDecider, requests map[request]int64, allowed bool, r *Remaining) {
	const examples = 5
	var differing []string
	for q, n := range requests {
		r.Requests += n
		var now bool
		if by != nil {
			identity := s.classes[q.class].identity
			roles, _ := by.Resolve(identity)
			d, _ := by.Decide(policy.Request{Roles: roles, Upstream: q.upstream, Path: q.path, Method: q.method},
				!identity.Anonymous)
			now = d.Allowed()
		}
		switch {
		case now == allowed:
			continue
		case now:
			r.Granted += n
			differing = append(differing, "granted "+q.String())
		default:
			r.Revoked += n
			differing = append(differing, "revoked "+q.String())
		}
	}
	slices.Sort(differing)
	differing = slices.Compact(differing)
	r.Examples = append(r.Examples, differing[:min(len(differing), examples-len(r.Examples))]...)
}
