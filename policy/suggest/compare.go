package suggest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/replay"
	"github.com/example-org/authgate/target"
)

// compare marks the rows that the present policy has, and notes those that it
// would not need. It gives the other present rows that stay.
func (r *Report) compare(options Options, attributed []attribution, requests map[request]int64) (kept []string) {
	r.Remove = []RemovedRow{}
	if options.Current == nil {
		return nil
	}
	used := map[*policy.Row]int64{}
	for _, g := range attributed {
		used[g.currentRow] += requests[g.request]
	}
	suggested := map[string]int{}
	for i, row := range r.Rows {
		suggested[normalizedRow(row.Subject, row.Upstream, row.Path, row.Methods)] = i
	}
	var unneeded []*policy.Row
	rowSubjects := policy.StringSet{}
	for _, row := range options.Current.Rows() {
		i, same := suggested[normalizedRow(row.Subject, row.Upstream, row.Path, row.Methods)]
		switch {
		case row.Effect == policy.Allow && same && r.Rows[i].Change == NewRow:
			r.Rows[i].Change, r.Rows[i].Rule, r.Rows[i].Row, r.Rows[i].Methods = KeptRow, row.Where(), row.String(),
				row.Methods
			r.Kept++
		case row.Effect == policy.Allow && !options.Denied:
			unneeded = append(unneeded, row)
		default:
			kept = append(kept, row.String())
			rowSubjects[row.Subject] = struct{}{}
		}
	}
	for _, row := range r.Rows {
		rowSubjects[row.Subject] = struct{}{}
	}
	unneeded, restored := restore(unneeded, options.Current.Grants(), rowSubjects)
	for _, row := range restored {
		kept = append(kept, row.String())
	}
	for _, row := range unneeded {
		removed := RemovedRow{row.Where(), row.String(), UnusedRow, used[row]}
		if used[row] > 0 {
			removed.Reason = WideRow
		}
		r.Remove = append(r.Remove, removed)
	}
	grants, empty := prune(options.Current.Grants(), rowSubjects)
	for _, g := range grants {
		kept = append(kept, g.String())
	}
	for _, g := range empty {
		r.Remove = append(r.Remove, RemovedRow{g.Where(), g.String(), EmptyRole, 0})
	}
	r.Kept += len(kept)
	return kept
}

// normalizedRow is the same for rows that say the same, however methods are ordered.
func normalizedRow(subject, upstream, path, methods string) string {
	all := strings.Split(methods, policy.MethodSeparator)
	slices.Sort(all)
	if slices.Contains(all, "GET") {
		all = slices.DeleteFunc(all, func(m string) bool { return m == "HEAD" })
	}
	return strings.Join([]string{subject, upstream, path, strings.Join(all, policy.MethodSeparator)}, "\x00")
}

// restore keeps the rows of a role that inherits others and has no members:
// without rows of its own it would look misspelt, and the policy would not load.
func restore(unneeded []*policy.Row, grants []policy.Grant, rowSubjects policy.StringSet) (rest,
	restored []*policy.Row,
) {
	inheriting, granted := policy.StringSet{}, policy.StringSet{}
	for _, g := range grants {
		inheriting[g.Member] = struct{}{}
		granted[g.Role] = struct{}{}
	}
	needed := func(row *policy.Row) bool {
		return policy.ParseSubject(row.Subject).Kind == policy.KindRole && inheriting.Has(row.Subject) &&
			!granted.Has(row.Subject)
	}
	for _, row := range unneeded {
		if needed(row) && !rowSubjects.Has(row.Subject) {
			restored = append(restored, row)
		} else {
			rest = append(rest, row)
		}
	}
	for _, row := range restored {
		rowSubjects[row.Subject] = struct{}{}
	}
	return rest, restored
}

// prune takes out the g rows that grant a role without rows which inherits none:
// no user gains by them, and the policy would not load.
func prune(grants []policy.Grant, rowSubjects policy.StringSet) (rest, empty []policy.Grant) {
	rest = slices.Clone(grants)
	for again := true; again; {
		inheriting := policy.StringSet{}
		for _, g := range rest {
			inheriting[g.Member] = struct{}{}
		}
		before := len(rest)
		rest = slices.DeleteFunc(rest, func(g policy.Grant) bool {
			leadsNowhere := !rowSubjects.Has(g.Role) && !inheriting.Has(g.Role)
			if leadsNowhere {
				empty = append(empty, g)
			}
			return leadsNowhere
		})
		again = len(rest) < before
	}
	return rest, empty
}

// render puts the policy down, present rows first.
func (r *Report) render(kept []string) string {
	if len(kept) == 0 && len(r.Rows) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("# p, subject, upstream, path, method, effect\n# g, member, role\n")
	for _, line := range kept {
		b.WriteString(line + "\n")
	}
	last := subjectUpstream{}
	for _, row := range r.Rows {
		if at := (subjectUpstream{row.Subject, row.Upstream}); at != last {
			fmt.Fprintf(&b, "\n# %s on %s\n", row.Subject, row.Upstream)
			last = at
		}
		fmt.Fprintf(&b, "# %s\n%s\n", row.Summary(), row.Row)
	}
	return b.String()
}

// Summary counts the requests of a row, for a person to read.
func (r *Row) Summary() string {
	requests, paths := "1 request", ""
	if r.Requests != 1 {
		requests = fmt.Sprintf("%d requests", r.Requests)
	}
	if r.Paths > 1 {
		paths = fmt.Sprintf(" on %d paths", r.Paths)
	}
	return requests + paths
}

// verify loads the suggested policy and asks it about every request.
func (s *Suggester) verify(report *Report, attributed []attribution, rare []Row) error {
	if report.policy == "" {
		return nil
	}
	suggested, err := policy.Load([]policy.Source{{Name: "suggestion", Data: []byte(report.policy)}},
		s.options.Upstreams, s.options.Quirks)
	if err != nil {
		return fmt.Errorf("the rows for what was seen are too many or too tangled for one policy, try another "+
			"number of values that make a *, or none: %v", err)
	}
	c := replay.NewCachedDecider(suggested)
	for _, g := range attributed {
		identity := s.classes[g.class].identity
		roles, _ := c.Resolve(identity)
		d, _ := c.Decide(policy.Request{Roles: roles, Upstream: g.upstream, Path: g.path, Method: g.method},
			!identity.Anonymous)
		if !d.Allowed() && !slices.ContainsFunc(rare, func(row Row) bool {
			return row.Subject == g.subject && row.Upstream == g.upstream &&
				policy.MatchMethod(g.method, row.Methods) && target.MatchPattern(g.path.String(), row.Path)
		}) {
			return fmt.Errorf("the suggested policy does not allow %s, which was allowed to %s", g.String(), g.subject)
		}
	}
	return nil
}
