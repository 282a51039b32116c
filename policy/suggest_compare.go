package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// compare marks the rows that the present policy has, and notes those that it
// would not need. It gives the other present rows that stay.
func (r *SuggestReport) compare(options SuggestOptions, attributed []attribution, requests map[request]int64) (kept []string) {
	r.Remove = []RemovedRow{}
	if options.Current == nil {
		return nil
	}
	used := map[*Row]int64{}
	for _, g := range attributed {
		used[g.currentRow] += requests[g.request]
	}
	suggested := map[string]int{}
	for i, row := range r.Rows {
		suggested[normalizedRow(row.Subject, row.Upstream, row.Path, row.Methods)] = i
	}
	var unneeded []*Row
	rowSubjects := stringSet{}
	for _, row := range options.Current.rows {
		i, same := suggested[normalizedRow(row.Subject, row.Upstream, row.Path, row.Methods)]
		switch {
		case row.Effect == Allow && same && r.Rows[i].Change == NewRow:
			r.Rows[i].Change, r.Rows[i].Rule, r.Rows[i].Row, r.Rows[i].Methods = KeptRow, row.Where(), row.String(), row.Methods
			r.Kept++
		case row.Effect == Allow && !options.Denied:
			unneeded = append(unneeded, row)
		default:
			kept = append(kept, row.String())
			rowSubjects[row.Subject] = struct{}{}
		}
	}
	for _, row := range r.Rows {
		rowSubjects[row.Subject] = struct{}{}
	}
	unneeded, restored := restore(unneeded, options.Current.grants, rowSubjects)
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
	grants, empty := prune(options.Current.grants, rowSubjects)
	for _, g := range grants {
		kept = append(kept, csvLine(gType, g.member, g.role))
	}
	for _, g := range empty {
		r.Remove = append(r.Remove, RemovedRow{fileLine(g.memberAt), csvLine(gType, g.member, g.role), EmptyRole, 0})
	}
	r.Kept += len(kept)
	return kept
}

// normalizedRow is the same for rows that say the same, however methods are ordered.
func normalizedRow(subject, upstream, path, methods string) string {
	all := strings.Split(methods, methodSeparator)
	slices.Sort(all)
	if slices.Contains(all, "GET") {
		all = slices.DeleteFunc(all, func(m string) bool { return m == "HEAD" })
	}
	return csvLine(subject, upstream, path, strings.Join(all, methodSeparator))
}

// restore keeps the rows of a role that inherits others and has no members:
// without rows of its own it would look misspelt, and the policy would not load.
func restore(unneeded []*Row, grants []grant, rowSubjects stringSet) (rest, restored []*Row) {
	inheriting, granted := stringSet{}, stringSet{}
	for _, g := range grants {
		inheriting[g.member] = struct{}{}
		granted[g.role] = struct{}{}
	}
	needed := func(row *Row) bool {
		return strings.HasPrefix(row.Subject, rolePrefix) && inheriting.has(row.Subject) && !granted.has(row.Subject)
	}
	for _, row := range unneeded {
		if needed(row) && !rowSubjects.has(row.Subject) {
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
// nobody gains by them, and the policy would not load.
func prune(grants []grant, rowSubjects stringSet) (rest, empty []grant) {
	rest = slices.Clone(grants)
	for again := true; again; {
		inheriting := stringSet{}
		for _, g := range rest {
			inheriting[g.member] = struct{}{}
		}
		before := len(rest)
		rest = slices.DeleteFunc(rest, func(g grant) bool {
			leadsNowhere := !rowSubjects.has(g.role) && !inheriting.has(g.role)
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
func (r *SuggestReport) render(kept []string) string {
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
func (r *SuggestedRow) Summary() string {
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
func (s *Suggester) verify(report *SuggestReport, attributed []attribution, rare []SuggestedRow) error {
	if report.policy == "" {
		return nil
	}
	suggested, err := Load([]Source{{Name: "suggestion", Data: []byte(report.policy)}}, s.options.Upstreams, s.options.Quirks)
	if err != nil {
		return fmt.Errorf("the rows for what was seen are too many or too tangled for one policy, try another number of values that make a *, or none: %v", err)
	}
	c := newCachedDecider(suggested)
	for _, g := range attributed {
		identity := s.classes[g.class].identity
		roles, _ := c.resolve(identity)
		d, _ := c.decide(Request{Roles: roles, Upstream: g.upstream, Path: g.path, Method: g.method}, !identity.Anonymous)
		if !d.Allowed() && !slices.ContainsFunc(rare, func(row SuggestedRow) bool {
			return row.Subject == g.subject && row.Upstream == g.upstream && matchMethod(g.method, row.Methods) && target.MatchPattern(g.path.String(), row.Path)
		}) {
			return fmt.Errorf("the suggested policy does not allow %s, which was allowed to %s", g.String(), g.subject)
		}
	}
	return nil
}
