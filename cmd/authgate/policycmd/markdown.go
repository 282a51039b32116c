package policycmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/text"
)

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
		targets = append(targets, inlineCode(target.Methods.String())+" "+inlineCode(target.Path))
	}
	subjects := inlineCodes(g.subjects, names)
	if len(g.AlsoIn) > 0 {
		subjects += "<br>for users who also match " + inlineCodes(g.AlsoIn, names)
	}
	for _, row := range g.rows(rows) {
		because = append(because, inlineCode(row.Where()+": "+row.String()))
	}
	if !g.granted && slices.ContainsFunc(g.targets, func(c compare.Change) bool { return c.Denying == nil }) {
		because = append(because, "which is gone, or no longer theirs")
	}
	for _, chain := range g.chains(&cli.Printer{}) {
		because = append(because, inlineCode(chain))
	}
	return "| " + strings.Join([]string{
		upstreamCell(g.Upstream), subjects, text.JoinFew(targets, "<br>", maxTargets),
		strings.Join(because, "<br>"),
	}, " | ") + " |\n"
}

func upstreamCell(name string) string {
	if name == "*" {
		return upstreamName(name)
	}
	return inlineCode(name)
}

func inlineCodes(names []string, limit int) string {
	var list []string
	for _, name := range names {
		list = append(list, inlineCode(name))
	}
	return text.JoinFew(list, ", ", limit)
}

// inlineCode shows a text as it is. In a code span nothing is Markdown, a mention or an
// emoji; but the bar ends the cell even there (GFM, 4.10), and quotes in the text
// want longer ones around it.
func inlineCode(text string) string {
	text = strings.ReplaceAll(text, "|", `\|`)
	quotes := "`"
	for strings.Contains(text, quotes) {
		quotes += "`"
	}
	if len(quotes) > 1 {
		return quotes + " " + text + " " + quotes
	}
	return quotes + text + quotes
}

// matrixMarkdown writes a table for each upstream, and who holds which role.
func matrixMarkdown(m compare.Matrix) string {
	var b strings.Builder
	row := func(cells []string) {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	table := func(head ...string) {
		row(head)
		row(slices.Repeat([]string{"---"}, len(head)))
	}
	for _, t := range m.Tables {
		b.WriteString("### " + upstreamCell(t.Upstream) + "\n\n")
		head := []string{"path", "methods"}
		for _, c := range m.Columns {
			head = append(head, inlineCode(c.Subject))
		}
		table(head...)
		for _, l := range mergeMethods(t.Lines) {
			row(append([]string{inlineCode(l.Path), inlineCode(l.Methods.String())}, cellsOf(m, l)...))
		}
		b.WriteString("\n")
	}
	b.WriteString("### Members\n\n")
	table("role", "members")
	for _, c := range m.Columns {
		if len(c.Members) == 0 {
			continue
		}
		members := make([]string, len(c.Members))
		for i, member := range c.Members {
			members[i] = inlineCode(member)
		}
		row([]string{inlineCode(c.Subject), strings.Join(members, ", ")})
	}
	b.WriteString("\nAn empty cell is denied, because no row is about it. Requests that fit no line are denied to " +
		"everyone.\n")
	return b.String()
}
