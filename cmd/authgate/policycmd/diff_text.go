package policycmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/render"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/text"
)

// changeGroup is changes that read as one: the same subjects, for the same
// rows, at one or more places of one upstream.
type changeGroup struct {
	granted  bool
	subjects []string // roles first
	compare.Change
	targets []compare.Change // one for each path and methods
}

// groupChanges joins changes in the order in which they come: first the subjects of
// one place, then the places of the same subjects.
func groupChanges(changes []compare.Change, granted bool) []*changeGroup {
	type targetKey struct {
		upstream, path, witness, methods, with string
		allowing, denying                      *policy.Row
	}
	var byTarget []*changeGroup
	groupAt := map[targetKey]*changeGroup{}
	for _, c := range changes {
		key := targetKey{
			c.Upstream, c.Path, c.ExamplePath, c.Methods.String(), strings.Join(c.AlsoIn, "\n"), c.Allowing,
			c.Denying,
		}
		if groupAt[key] == nil {
			groupAt[key] = &changeGroup{granted: granted, Change: c, targets: []compare.Change{c}}
			byTarget = append(byTarget, groupAt[key])
		}
		groupAt[key].subjects = append(groupAt[key].subjects, c.Subject)
	}
	type subjectsKey struct{ upstream, with, subjects string }
	var groups []*changeGroup
	groupOf := map[subjectsKey]*changeGroup{}
	for _, g := range byTarget {
		key := subjectsKey{g.Upstream, strings.Join(g.AlsoIn, "\n"), strings.Join(g.subjects, "\n")}
		if groupOf[key] == nil {
			groupOf[key] = g
			groups = append(groups, g)
			continue
		}
		groupOf[key].targets = append(groupOf[key].targets, g.targets...)
	}
	return groups
}

// groupsByUpstream gives the changes of a diff, upstream by upstream.
func (c comparison) groupsByUpstream() (upstreams []string, groups map[string][]*changeGroup) {
	groups = map[string][]*changeGroup{}
	all := append(groupChanges(c.Granted, true), groupChanges(c.Revoked, false)...)
	for _, g := range all {
		if groups[g.Upstream] == nil {
			upstreams = append(upstreams, g.Upstream)
		}
		groups[g.Upstream] = append(groups[g.Upstream], g)
	}
	return upstreams, groups
}

func (c comparison) summary() string {
	if c.GrantedN+c.RevokedN == 0 {
		return "no change"
	}
	return fmt.Sprintf("%d granted, %d revoked", c.GrantedN, c.RevokedN)
}

// maxNames, maxTargets, maxRows and maxChains bound what is read of one change.
const (
	maxNames   = 8
	maxTargets = 12
	maxRows    = 2
	maxChains  = 4
)

func (c comparison) print(s *cli.Printer) {
	upstreams, groups := c.groupsByUpstream()
	for _, upstream := range upstreams {
		s.Line("%s", s.Bold(upstreamName(upstream)))
		for _, g := range groups[upstream] {
			g.print(s)
		}
	}
	if cut := c.GrantedN + c.RevokedN - len(c.Granted) - len(c.Revoked); cut > 0 {
		s.Line("%s", s.Warn(fmt.Sprintf("and %d more, which are only counted", cut)))
	}
	s.Line("%s", c.summary())
}

func (g *changeGroup) print(s *cli.Printer) {
	sign := s.Failure("-")
	if g.granted {
		sign = s.Success("+")
	}
	s.Line("  %s %s", sign, g.subjectText())
	for _, chain := range g.chains(s) {
		s.Line("      %s %s", s.Dim("as"), chain)
	}
	var rows [][]string
	for i, target := range g.targets {
		if i == maxTargets && len(g.targets) > maxTargets+1 {
			rows = append(rows, []string{s.Dim(fmt.Sprintf("      and %d more, which -o json lists", len(g.targets)-i))})
			break
		}
		rows = append(rows, []string{
			"      " + target.Methods.String(), target.Path, g.why(target),
			s.Dim("e.g. " + target.ExamplePath),
		})
	}
	s.Table(rows)
	if rows := g.rows(maxRows + 1); len(rows) <= maxRows { // else why says enough
		for _, row := range rows {
			s.Line("      %s", s.Dim(row.Where()+": "+row.String()))
		}
	}
}

// why names the rows of either side.
func (g *changeGroup) why(c compare.Change) string {
	switch {
	case g.granted && c.Denying != nil:
		return c.Denying.Where() + " denied, now " + c.Allowing.Where() + " allows"
	case g.granted:
		return c.Allowing.Where() + " allows"
	case c.Denying != nil:
		return c.Allowing.Where() + " allowed, now " + c.Denying.Where() + " denies"
	}
	return c.Allowing.Where() + " allowed, now no row does"
}

// rows gives the first rows that a group rests on, each once.
func (g *changeGroup) rows(limit int) []*policy.Row {
	var rows []*policy.Row
	for _, target := range g.targets {
		for _, row := range []*policy.Row{target.Allowing, target.Denying} {
			if row != nil && len(rows) < limit && !slices.Contains(rows, row) {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// chains shows how the first of a group gets to the rows that allow it, if it is
// not the row's own subject and those who come with it: each way once.
func (g *changeGroup) chains(s *cli.Printer) []string {
	var chains []string
	for _, target := range g.targets {
		if len(target.Chain) == 0 || slices.Contains(g.subjects, target.Allowing.Subject) || len(g.AlsoIn) > 0 {
			continue
		}
		chain := matchedSubject{Chain: newChain(target.Chain)}.describeChain(s)
		switch {
		case slices.Contains(chains, chain):
		case len(chains) == maxChains:
			return append(chains, "and in other ways, which -o json lists")
		default:
			chains = append(chains, chain)
		}
	}
	return chains
}

// subjectText lists roles, then their members, then the subjects that a user must also
// match.
func (g *changeGroup) subjectText() string {
	var roles, others []string
	for _, subject := range g.subjects {
		switch {
		case policy.ParseSubject(subject).Kind == policy.KindRole:
			roles = append(roles, subject)
		case subject == policy.Authenticated:
			others = append([]string{"every signed-in user (" + subject + ")"}, others...)
		case subject == policy.Anonymous:
			others = append(others, "anonymous requests ("+subject+"), and users that no row mentions")
		default:
			others = append(others, subject)
		}
	}
	who := text.JoinFew(roles, ", ", maxNames)
	if len(roles) > 0 && len(others) > 0 {
		who += ", and so "
	}
	who += text.JoinFew(others, ", ", maxNames)
	switch len(g.AlsoIn) {
	case 0:
		return who
	case 1:
		return who + ", for users who also match " + g.AlsoIn[0]
	}
	return who + ", for users who also match one of " + text.JoinFew(g.AlsoIn, ", ", maxNames)
}

const (
	// maxCommentLength is how long a comment on GitHub may be; the rest is for what a
	// workflow puts around it.
	maxCommentLength = 65_536 - 1_536

	// maxVisibleRows is how many rows of a table are shown before one has to unfold it.
	maxVisibleRows = 20
)

// markdown writes a diff for a comment on a pull request.
func (c comparison) markdown() string {
	hashes := fmt.Sprintf("%s → %s", c.old.Hash(), c.updated.Hash())
	if c.GrantedN+c.RevokedN == 0 {
		return "**Policy: no change** to any permission (" + hashes + ")\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### Policy: %s\n\n", c.summary())
	fmt.Fprintf(&b, "Counted by subject, upstream, path and methods (%s).\n", hashes)
	left := 0
	for _, part := range []struct {
		title  string
		groups []*changeGroup
	}{
		{"Granted", groupChanges(c.Granted, true)},
		{"Revoked", groupChanges(c.Revoked, false)},
	} {
		if len(part.groups) > 0 {
			left += table(&b, part.title, part.groups)
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, "\nA comment has no room for %s; `authgate policy diff` lists them.\n",
			cli.Plural(left, "further row"))
	}
	if cut := c.GrantedN + c.RevokedN - len(c.Granted) - len(c.Revoked); cut > 0 {
		fmt.Fprintf(&b, "\n%d more changes are only counted.\n", cut)
	}
	return b.String()
}

// table writes the rows for which there is room and says how many there was none for.
func table(b *strings.Builder, title string, groups []*changeGroup) (left int) {
	const head = "| Upstream | Who | Methods and paths | Because of |\n|---|---|---|---|\n"
	const reserve = 512 // for what has to follow
	fmt.Fprintf(b, "\n#### %s\n\n%s", title, head)
	folded := false
	for i, g := range groups {
		row := g.row()
		if b.Len()+len(row)+reserve > maxCommentLength {
			left = len(groups) - i
			break
		}
		if i == maxVisibleRows {
			folded = true
			fmt.Fprintf(b, "\n<details><summary>%s</summary>\n\n%s", cli.Plural(len(groups)-i, "further row"), head)
		}
		b.WriteString(row)
	}
	if folded {
		b.WriteString("\n</details>\n")
	}
	return left
}

func (g *changeGroup) row() string {
	const maxTargets, names, rows = 6, 6, 3
	var targets, because []string
	for _, target := range g.targets {
		targets = append(targets, render.InlineCode(target.Methods.String())+" "+render.InlineCode(target.Path))
	}
	subjects := render.InlineCodes(g.subjects, names)
	if len(g.AlsoIn) > 0 {
		subjects += "<br>for users who also match " + render.InlineCodes(g.AlsoIn, names)
	}
	for _, row := range g.rows(rows) {
		because = append(because, render.InlineCode(row.Where()+": "+row.String()))
	}
	if !g.granted && slices.ContainsFunc(g.targets, func(c compare.Change) bool { return c.Denying == nil }) {
		because = append(because, "which is gone, or no longer theirs")
	}
	for _, chain := range g.chains(&cli.Printer{}) {
		because = append(because, render.InlineCode(chain))
	}
	return "| " + strings.Join([]string{
		upstreamCell(g.Upstream), subjects, text.JoinFew(targets, "<br>", maxTargets),
		strings.Join(because, "<br>"),
	}, " | ") + " |\n"
}
