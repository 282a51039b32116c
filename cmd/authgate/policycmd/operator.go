package policycmd

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/policy/lint"
	"github.com/example-org/authgate/text"
)

// OperatorTools answers what the operator pages ask of a policy as `authgate policy` does.
type OperatorTools struct{ Config *config.Config }

// Explain implements [admin.PolicyTools].
func (t OperatorTools) Explain(
	s *policy.Snapshot, identity policy.Identity, method, target string,
) (admin.Explanation, error) {
	var stderr bytes.Buffer
	q, err := (&loadedPolicy{s, t.Config}).newQuery(&stderr, method, target)
	if err != nil {
		return admin.Explanation{}, err
	}
	q.warnUnknown(&stderr, (&identityFlags{identity}).subjects()...)
	e, err := explainDecision(q, identity, false)
	if err != nil {
		return admin.Explanation{}, fmt.Errorf("%w: %w", admin.ErrExplain, err)
	}
	plain := new(cli.Printer)
	shown := admin.Explanation{
		Allowed: e.allowed(), Method: e.Method, Upstream: e.Upstream, Path: e.Path, Raw: e.Raw,
		Rule: e.Rule, Row: e.Row, Reason: e.Reason, Policy: e.Policy,
		Who: e.whoTable(plain), Rows: e.rowTable(plain), Others: e.Others, Edits: e.nearMissTable(plain), JSON: e,
	}
	for _, row := range shown.Who { // a page has no flags
		row[1] = strings.Replace(row[1], "by --", "asked for as ", 1)
	}
	for line := range strings.Lines(stderr.String()) {
		shown.Warnings = append(shown.Warnings, strings.TrimPrefix(strings.TrimSpace(line), "authgate: warning: "))
	}
	return shown, nil
}

// Lint implements [admin.PolicyTools].
func (t OperatorTools) Lint(sources []policy.Source) (findings []admin.Finding) {
	for _, f := range lint.Run(sources, lintEnvironment(t.Config)).Findings {
		findings = append(findings, admin.Finding{
			Severity: f.Severity.String(), Code: f.Code, Where: f.At.String(), Message: f.Message, Hint: f.Hint,
		})
	}
	return findings
}

// Matrix implements [admin.PolicyTools].
func (t OperatorTools) Matrix(s *policy.Snapshot) (admin.Matrix, error) {
	loaded := &loadedPolicy{s, t.Config}
	found, err := compare.NewMatrix(s, loaded.upstreams(), nil)
	if err != nil {
		return admin.Matrix{}, err
	}
	found, _ = loaded.withoutEndpoints(found)
	m := admin.Matrix{Rows: make([]admin.MatrixRow, len(found.Columns))}
	for i, column := range found.Columns {
		m.Rows[i].Subject = column.Subject
		m.Rows[i].Members = text.JoinFew(column.Members, ", ", 8)
	}
	for _, table := range found.Tables {
		m.Upstreams = append(m.Upstreams, table.Upstream)
		cells := matrixCells(table)
		for i, column := range found.Columns {
			m.Rows[i].Cells = append(m.Rows[i].Cells, cells[column.Subject])
		}
	}
	return m, nil
}

// matrixCells gives what each subject may do on an upstream: methods, and on how many kinds of
// paths.
func matrixCells(table compare.Table) map[string]string {
	counts := map[string]map[string]int{} // subject → methods → kinds of paths
	for _, line := range mergeAllowed(table.Lines) {
		if counts[line.subject] == nil {
			counts[line.subject] = map[string]int{}
		}
		counts[line.subject][line.methods]++
	}
	cells := map[string]string{}
	for subject, byMethods := range counts {
		methods := slices.SortedFunc(maps.Keys(byMethods), func(a, b string) int {
			return cmp.Or(cmp.Compare(byMethods[b], byMethods[a]), strings.Compare(a, b))
		})
		for i, m := range methods {
			methods[i] = fmt.Sprintf("%s on %s", m, cli.Plural(byMethods[m], "path"))
		}
		cells[subject] = text.JoinFew(methods, ", ", 4)
	}
	return cells
}

// allowedLine is the methods that a subject may use on one kind of paths.
type allowedLine struct{ subject, methods string }

// mergeAllowed joins the methods that each subject may use on one kind of paths.
func mergeAllowed(lines []compare.Line) (all []allowedLine) {
	for first := 0; first < len(lines); {
		end := first + 1
		for end < len(lines) && lines[end].ExamplePath == lines[first].ExamplePath {
			end++
		}
		methods := map[string]int{} // subject → index of a line that has all of its methods
		merged := slices.Clone(lines[first:first])
		for _, line := range lines[first:end] {
			for _, cell := range line.Cells {
				if !cell.Allowed() {
					continue
				}
				at, known := methods[cell.Subject]
				if !known {
					at = len(merged)
					methods[cell.Subject] = at
					merged = append(merged, compare.Line{Methods: line.Methods})
					continue
				}
				merged[at].Methods = merged[at].Methods.Union(line.Methods)
			}
		}
		for subject, at := range methods {
			all = append(all, allowedLine{subject, merged[at].Methods.String()})
		}
		first = end
	}
	return all
}
