package policycmd

import (
	"encoding/csv"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/render"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/text"
)

// writeMatrixCSV writes one table for spreadsheets: a line for each path and methods, a
// column for each subject. An empty cell is denied, because no row is about it.
func writeMatrixCSV(w io.Writer, m compare.Matrix) error {
	out := csv.NewWriter(w)
	head := []string{"upstream", "path", "methods"}
	for _, c := range m.Columns {
		head = append(head, c.Subject)
	}
	_ = out.Write(head)
	for _, t := range m.Tables {
		for _, l := range mergeMethods(t.Lines) {
			_ = out.Write(append([]string{t.Upstream, l.Path, l.Methods.String()}, cellsOf(m, l)...))
		}
	}
	out.Flush() // Error gives the first failure of all of these
	return out.Error()
}

// cellsOf gives the words of a line, for each column of a matrix.
func cellsOf(m compare.Matrix, l compare.Line) []string {
	words := make([]string, len(m.Columns))
	rest := l.Cells
	for i, c := range m.Columns {
		if len(rest) > 0 && rest[0].Subject == c.Subject {
			words[i], rest = rest[0].Effect.String(), rest[1:]
		}
	}
	return words
}

// maxMatrixWidth is how many characters the names of columns may take before the
// cells are lists instead.
const maxMatrixWidth = 100

// printMatrix leaves out who has no say on an upstream, unless they were asked for.
func printMatrix(s *cli.Printer, m compare.Matrix, asked bool) {
	for _, t := range m.Tables {
		s.Line("%s", s.Bold(upstreamName(t.Upstream)))
		lines := mergeMethods(t.Lines)
		columns, width := columnsOf(m, t, asked)
		switch {
		case len(lines) == 0:
			s.Line("  everything is denied to all of these")
		case width > maxMatrixWidth:
			printLists(s, lines)
		default:
			printColumns(s, lines, columns)
		}
		s.Line("")
	}
	var members [][]string
	for _, c := range m.Columns {
		if len(c.Members) > 0 {
			members = append(members, []string{"  " + c.Subject, text.JoinFew(c.Members, ", ", 8)})
		}
	}
	if len(members) > 0 {
		s.Line("%s", s.Bold("who holds what"))
		s.Table(members)
		s.Line("")
	}
	s.Line("%s", s.Dim("A path belongs to its most specific line. · is denied, because no row mentions it. Requests "+
		"that match no line are denied to everyone."))
}

func upstreamName(name string) string {
	if name == "*" {
		return "any other upstream"
	}
	return name
}

// mergeMethods joins the methods of a path where the effects are equal, whichever row
// says so.
func mergeMethods(lines []compare.Line) []compare.Line {
	merged := make([]compare.Line, 0, len(lines))
	first := 0 // line of the path at hand
	for i, l := range lines {
		if i > 0 && lines[i-1].ExamplePath != l.ExamplePath {
			first = len(merged)
		}
		at := slices.IndexFunc(merged[first:], func(other compare.Line) bool {
			return slices.EqualFunc(other.Cells, l.Cells,
				func(a, b compare.Cell) bool { return a.Subject == b.Subject && a.Effect == b.Effect })
		})
		if at < 0 {
			merged = append(merged, l)
			continue
		}
		merged[first+at].Methods = merged[first+at].Methods.Union(l.Methods)
	}
	return merged
}

// columnsOf gives those of whom some line of a table speaks, or all, and their
// width.
func columnsOf(m compare.Matrix, t compare.Table, all bool) (columns []string, width int) {
	used := map[string]bool{}
	for _, l := range t.Lines {
		for _, c := range l.Cells {
			used[c.Subject] = true
		}
	}
	for _, c := range m.Columns {
		if all || used[c.Subject] {
			columns = append(columns, c.Subject)
			width += utf8.RuneCountInString(c.Subject) + 2
		}
	}
	return columns, width
}

func printColumns(s *cli.Printer, lines []compare.Line, columns []string) {
	head := []string{"  path", "methods"}
	for _, c := range columns {
		head = append(head, s.Bold(c))
	}
	rows := append(make([][]string, 0, 1+len(lines)), head)
	for _, l := range lines {
		row := append(make([]string, 0, len(head)), "  "+l.Path, l.Methods.String())
		rest := l.Cells
		for _, c := range columns {
			if len(rest) == 0 || rest[0].Subject != c {
				row = append(row, s.Dim("·"))
				continue
			}
			row = append(row, effect(s, rest[0]))
			rest = rest[1:]
		}
		rows = append(rows, row)
	}
	s.Table(rows)
}

func effect(s *cli.Printer, c compare.Cell) string {
	if c.Allowed() {
		return s.Success(c.Effect.String())
	}
	return s.Failure(c.Effect.String())
}

func printLists(s *cli.Printer, lines []compare.Line) {
	var rows [][]string
	for _, l := range lines {
		of := map[policy.Effect][]string{}
		for _, c := range l.Cells {
			of[c.Effect] = append(of[c.Effect], c.Subject)
		}
		row := []string{"  " + l.Path, l.Methods.String()}
		if may := of[policy.Allow]; len(may) > 0 {
			row = append(row, s.Success("allow")+" "+text.JoinFew(may, ", ", 8))
		}
		if not := of[policy.Deny]; len(not) > 0 {
			row = append(row, s.Failure("deny")+" "+text.JoinFew(not, ", ", 8))
		}
		rows = append(rows, row)
	}
	s.Table(rows)
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
			head = append(head, render.InlineCode(c.Subject))
		}
		table(head...)
		for _, l := range mergeMethods(t.Lines) {
			row(append([]string{render.InlineCode(l.Path), render.InlineCode(l.Methods.String())}, cellsOf(m, l)...))
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
			members[i] = render.InlineCode(member)
		}
		row([]string{render.InlineCode(c.Subject), strings.Join(members, ", ")})
	}
	b.WriteString("\nAn empty cell is denied, because no row is about it. Requests that fit no line are denied to " +
		"everyone.\n")
	return b.String()
}

func upstreamCell(name string) string {
	if name == "*" {
		return upstreamName(name)
	}
	return render.InlineCode(name)
}
