package policycmd

import (
	"encoding/csv"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/target"
)

// withoutEndpoints leaves out what authgate answers itself, and names it.
func (l *loadedPolicy) withoutEndpoints(m compare.Matrix) (compare.Matrix, []string) {
	var endpoints []string
	for i, t := range m.Tables {
		m.Tables[i].Lines = slices.DeleteFunc(t.Lines, func(line compare.Line) bool {
			isEndpoint := l.isOwn(line.ExamplePath)
			if isEndpoint && !slices.Contains(endpoints, line.Path) {
				endpoints = append(endpoints, line.Path)
			}
			return isEndpoint
		})
	}
	return m, endpoints
}

// isOwn reports whether authgate answers a path itself. Where its endpoints are, only a
// configuration says.
func (l *loadedPolicy) isOwn(raw string) bool {
	if proxy.IsHealthCheck(http.MethodGet, raw) {
		return true
	}
	if l.config == nil {
		return false
	}
	path, err := target.ParseWith(raw, target.AllQuirks)
	return err == nil && proxy.IsEndpoint(l.config.PathPrefix, path)
}

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
	b.WriteString("\nAn empty cell is denied, because no row is about it. Requests that fit no line are denied to everyone.\n")
	return b.String()
}
