package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// SuggestedMember is a g row.
type SuggestedMember struct {
	Row    string `json:"row"`
	Member string `json:"member"`
	Role   string `json:"role"`
}

// resolveRoles finds g rows for the roles of the log, if there is no present policy that
// has them. A subject gets a role if everyone who is that subject had the role, and some
// user with the role is no other such subject: then no other g row can explain it. A
// role with a user whom this does not explain gets no g rows; what its holders did goes
// to their groups.
func (s *Suggest) resolveRoles() map[string][]string {
	if s.crowd != nil {
		return nil
	}
	holders := map[string][]int{} // subject → users known by their groups
	byRole := map[string][]int{}
	for i := range s.askers {
		a := &s.askers[i]
		if !a.known {
			continue
		}
		for _, name := range a.explanations() {
			holders[name] = append(holders[name], i)
		}
		if !slices.Contains(a.explanations(), authenticated) {
			holders[authenticated] = append(holders[authenticated], i)
		}
		for _, role := range a.then {
			byRole[role] = append(byRole[role], i)
		}
	}
	members := map[string][]string{}
	for role, users := range byRole {
		if found, sure := s.membersOfRole(role, users, holders); sure {
			members[role] = found
		}
	}
	for i := range s.askers {
		if a := &s.askers[i]; a.known {
			a.subjects = a.assigned(members)
		}
	}
	return members
}

func (s *Suggest) membersOfRole(role string, users []int, holders map[string][]int) (found []string, sure bool) {
	explains := func(name string) bool {
		return !slices.ContainsFunc(holders[name], func(i int) bool { return !slices.Contains(s.askers[i].then, role) })
	}
	forced := subjects{}
	var open [][]string
	for _, i := range users {
		candidates := slices.DeleteFunc(slices.Clone(s.askers[i].explanations()), func(name string) bool { return !explains(name) })
		switch len(candidates) {
		case 0:
			return nil, false
		case 1:
			forced[candidates[0]] = struct{}{}
		default:
			open = append(open, candidates)
		}
	}
	for _, candidates := range open {
		if !slices.ContainsFunc(candidates, forced.has) {
			return nil, false
		}
	}
	return slices.Sorted(maps.Keys(forced)), true
}

// explanations are the subjects by which a user may have come to a role.
func (a *asker) explanations() []string {
	if len(a.groups) == 0 {
		return []string{authenticated}
	}
	return a.groups
}

// assigned gives the subjects of which one is to get a row: roles that have members, and
// groups if there is no role for all that the user was.
func (a *asker) assigned(members map[string][]string) []string {
	var names []string
	for _, role := range a.then {
		if _, resolved := members[role]; resolved {
			names = append(names, role)
		}
	}
	if len(names) < len(a.then) || len(names) == 0 {
		names = append(names, a.explanations()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func withoutSystem(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return rank(name) == rankSystem })
}

// membersOf gives the g rows for the roles that some rows are about.
func membersOf(rows []SuggestedRow, members map[string][]string) []SuggestedMember {
	all := []SuggestedMember{}
	seen := subjects{}
	for _, row := range rows {
		if seen.has(row.Subject) {
			continue
		}
		seen[row.Subject] = struct{}{}
		for _, member := range members[row.Subject] {
			all = append(all, SuggestedMember{csvLine(grantKind, member, row.Subject), member, row.Subject})
		}
	}
	slices.SortFunc(all, func(a, b SuggestedMember) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Member, b.Member))
	})
	return all
}

// SuggestReplay is what a suggested policy would decide otherwise than the log shows.
type SuggestReplay struct {
	Requests int64    `json:"requests"` // that were replayed
	Granted  int64    `json:"granted"`  // refused then, and allowed by the suggestion
	Revoked  int64    `json:"revoked"`  // allowed then, and refused by the suggestion
	Examples []string `json:"examples"` // at most 5
}

// noteDenied keeps what was refused.
func (s *Suggest) noteDenied(o *Observed, kind int) {
	if o.Effect == Allow {
		return
	}
	q := request{kind, o.Upstream, o.Method, o.Path}
	if _, known := s.denied[q]; known || len(s.denied) < maxSeen {
		s.denied[q]++
	}
}

// replay asks the suggested policy every request of the log.
func (s *Suggest) replay(report *SuggestReport) error {
	report.Replay.Examples = []string{}
	if s.options.Denied { // the rows are made to grant what was refused
		return nil
	}
	var suggested *crowd
	if report.policy != "" {
		snapshot, err := Load([]Source{{Name: "suggestion", Data: []byte(report.policy)}}, s.options.Upstreams, s.options.Quirks)
		if err != nil {
			return fmt.Errorf("replaying the suggestion: %w", err)
		}
		suggested = newCrowd(snapshot)
	}
	s.compareDecisions(suggested, s.seen, true, &report.Replay)
	s.compareDecisions(suggested, s.denied, false, &report.Replay)
	return nil
}

func (s *Suggest) compareDecisions(by *crowd, requests map[request]int64, allowed bool, r *SuggestReplay) {
	const examples = 5
	var differing []string
	for q, n := range requests {
		r.Requests += n
		var now bool
		if by != nil {
			who := s.askers[q.asker].who
			roles, _ := by.resolve(who)
			d, _ := by.decide(Request{Roles: roles, Upstream: q.upstream, Path: q.path, Method: q.method}, !who.Anonymous)
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
