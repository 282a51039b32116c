package policy

import (
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
)

// Row is one p row of a policy file: whom it concerns, where, and what it says.
// A row belongs to its [Snapshot] and must not be changed.
type Row struct {
	Subject  string // role:NAME, a group, ORG:*, user:EMAIL or user:*@DOMAIN (in lower case), or system:NAME
	Upstream string // a name, or * for every upstream
	Path     string // a pattern, canonical but for its stars
	Methods  string // *, one, or several joined by |
	Effect   Effect

	At fault.Position
}

// Where names the row as people look for it: policy.csv:3.
func (r *Row) Where() string { return r.At.FileLine() }

// String gives the row as it could stand in a policy file.
func (r *Row) String() string {
	return formatRow(pType, r.Subject, r.Upstream, r.Path, r.Methods, r.Effect.String())
}

// exampleRequest is a path and a method that the row surely covers.
func (r *Row) exampleRequest() (path, method string) {
	method, _, _ = strings.Cut(r.Methods, MethodSeparator)
	if method == AnyMethod {
		method = "GET"
	}
	return strings.ReplaceAll(r.Path, "*", "x"), method
}

// Grant is one g row: a subject that is the member also holds the role.
type Grant struct {
	Member, Role     string
	MemberAt, RoleAt fault.Position
}

// Where names the row as a file and a line: policy.csv:3.
func (g Grant) Where() string { return g.MemberAt.FileLine() }

// String gives the row as it could be in a policy file.
func (g Grant) String() string { return formatRow(gType, g.Member, g.Role) }

// FormatRow writes fields so that the parser reads the same fields back.
func formatRow(fields ...string) string {
	for i, f := range fields {
		if needsQuotes(f) {
			fields[i] = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
		}
	}
	return strings.Join(fields, ", ")
}

func needsQuotes(f string) bool {
	return f == "" || strings.ContainsAny(f, "\",\t") || strings.Trim(f, Whitespace) != f || commentStart(f) >= 0
}

// RowsOn gives the rows that concern an upstream, or any that no row names.
func RowsOn(upstream string, rows []*Row) []*Row {
	var on []*Row
	for _, row := range rows {
		if row.Upstream == upstream || row.Upstream == AnyUpstream {
			on = append(on, row)
		}
	}
	return on
}

// MatchingRows gives the rows that cover a method on a path of an upstream.
func (s *Snapshot) MatchingRows(upstream, path, method string) []*Row {
	var rows []*Row
	for _, row := range s.rows {
		if row.matches(upstream, path, method) {
			rows = append(rows, row)
		}
	}
	return rows
}

// matches reports whether a row covers a method on a path of an upstream, for any
// subject.
func (r *Row) matches(upstream, path, method string) bool {
	return (r.Upstream == upstream || r.Upstream == AnyUpstream) && target.MatchPattern(path, r.Path) &&
		MatchMethod(method, r.Methods)
}
