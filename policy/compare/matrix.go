// Package compare answers questions about complete policies: who may use which
// methods on which paths ([NewMatrix]), who may send one request ([NewWhoCan]), and
// what differs between two policies ([Policies]).
package compare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/pathspace"
)

// Matrix is who may do what, complete: every path and method that some row lets
// a user use is in one of its lines. Requests in no line are denied to everyone.
type Matrix struct {
	Columns []Column
	Tables  []Table
}

// Column is a subject of whom the lines speak.
type Column struct {
	Subject string
	Members []string // groups, users and system names that hold the role by g rows; empty for all but roles
}

// Table is the part of a [Matrix] that concerns one upstream.
type Table struct {
	Upstream string // * for every upstream that no row names
	Lines    []Line
}

// Line is the paths of one class, and methods that no row tells apart there.
type Line struct {
	Path        string // a pattern for people; paths that a closer one among the lines fits are not meant
	ExamplePath string // a path of the class
	Methods     pathspace.Methods
	Cells       []Cell // in the order of the columns; without those of whom no row speaks
}

// Cell is what a line says of a user who is one subject, with what it brings,
// and nothing else.
type Cell struct {
	Subject string
	policy.Decision
}

// NewMatrix finds what each of some subjects may do on some upstreams. Where
// upstreams is nil, those are meant that rows name, and all the others together.
// Where there are no subjects, all are meant that are worth a column: roles,
// subjects with rows of their own, and those who are refused what one of their
// roles alone may do.
//
// It fails where patterns overlap in so many ways that no one could read it.
func NewMatrix(s *policy.Snapshot, upstreams, subjects []string) (Matrix, error) {
	subjects = slices.Clone(subjects)
	builder := matrixBuilder{SubjectClasses: pathspace.NewSubjectClasses(subjects, s), restricted: map[int]bool{}}
	for _, upstream := range pathspace.UpstreamsOf(upstreams, s.Rows()) {
		regions, err := pathspace.RegionsOf(s.Quirks(upstream), policy.RowsOn(upstream, s.Rows()))
		if err != nil {
			return Matrix{}, fmt.Errorf("upstream %s: %w", upstream, err)
		}
		builder.add(upstream, regions)
	}
	if len(subjects) == 0 {
		subjects = builder.columns()
	}
	m := Matrix{Columns: []Column{}, Tables: []Table{}}
	graph := policy.NewRoleGraph(s.Grants())
	slices.SortFunc(subjects, policy.CompareSubjects)
	subjects = slices.Compact(subjects)
	for _, subject := range subjects {
		c := Column{Subject: subject}
		if policy.ParseSubject(subject).Kind == policy.KindRole {
			c.Members = slices.DeleteFunc(graph.ImplicitMembers([]string{subject}).Names(),
				func(member string) bool { return policy.ParseSubject(member).Kind == policy.KindRole })
			slices.SortFunc(c.Members, policy.CompareSubjects)
		}
		m.Columns = append(m.Columns, c)
	}
	for _, part := range builder.tables {
		m.Tables = append(m.Tables, builder.table(part, subjects))
	}
	return m, nil
}

// matrixBuilder is what the rows of a policy come to, everywhere and for all kinds of
// people, before it is known which of them are worth a column.
type matrixBuilder struct {
	*pathspace.SubjectClasses
	tables     []matrixPart
	restricted map[int]bool // kinds that are refused what one of their roles alone may do

	// Buffers of cellsOf.
	columnRows []columnRow
	cells      []Cell
}

type matrixPart struct {
	upstream string
	entries  []matrixEntry
}

// matrixEntry is one method in one area.
type matrixEntry struct {
	region    *pathspace.Region
	method    string
	decisions []entryDecision // each kind of which some row speaks
}

type entryDecision struct {
	class int
	pathspace.ClassDecision
}

func (mb *matrixBuilder) add(upstream string, regions []pathspace.Region) {
	p := matrixPart{upstream: upstream, entries: make([]matrixEntry, 0, 2*len(regions))}
	decisions := pathspace.NewClassDecisions(mb.SubjectClasses)
	for i := range regions {
		for _, method := range regions[i].Methods {
			rows := regions[i].RowsFor(0, method)
			decisions.Decide(rows, mb.Holders[0])
			entry := matrixEntry{&regions[i], method, make([]entryDecision, 0, len(decisions.Touched))}
			for _, k := range decisions.Touched {
				entry.decisions = append(entry.decisions, entryDecision{k, decisions.ByClass[k]})
			}
			mb.findRestricted(decisions, rows)
			p.entries = append(p.entries, entry)
		}
	}
	mb.tables = append(mb.tables, p)
}

func (mb *matrixBuilder) findRestricted(decisions *pathspace.ClassDecisions, rows []*policy.Row) {
	for _, k := range decisions.Touched {
		r := decisions.ByClass[k]
		if r.Deny == nil || r.Allow == nil || mb.restricted[k] {
			continue
		}
		mb.restricted[k] = slices.ContainsFunc(rows, func(row *policy.Row) bool {
			return slices.Contains(mb.Holders[0][row.Subject], k) && decisions.ByClass[mb.ClassOf[row.Subject]].Allows()
		})
	}
}

func (mb *matrixBuilder) columns() []string {
	var columns []string
	for _, name := range mb.Names {
		_, hasRows := mb.Holders[0][name]
		if hasRows || mb.restricted[mb.ClassOf[name]] || policy.ParseSubject(name).Kind == policy.KindRole {
			columns = append(columns, name)
		}
	}
	return columns
}

// table writes down what a part says of some subjects. Methods of one area with
// the same cells share a line.
func (mb *matrixBuilder) table(p matrixPart, subjects []string) Table {
	t := Table{Upstream: p.upstream, Lines: make([]Line, 0, len(p.entries))}
	columns := make([][]int, len(mb.Classes)) // kind → its columns
	for c, subject := range subjects {
		k := mb.ClassOf[subject]
		columns[k] = append(columns[k], c)
	}
	first := 0 // line of the area at hand
	for i, entry := range p.entries {
		if i > 0 && p.entries[i-1].region != entry.region {
			first = len(t.Lines)
		}
		cells := mb.cellsOf(entry, columns, subjects)
		methods := pathspace.Methods{Members: []string{entry.method}, Universe: entry.region.Methods}
		same := slices.IndexFunc(t.Lines[first:], func(l Line) bool { return slices.Equal(l.Cells, cells) })
		switch {
		case len(cells) == 0:
		case same >= 0:
			line := &t.Lines[first+same]
			line.Methods = line.Methods.Union(methods)
		default:
			t.Lines = append(t.Lines, Line{entry.region.Label, entry.region.Example, methods, slices.Clone(cells)})
		}
	}
	return t
}

// cellsOf gives the cells of a spot, good until it is called again. columns says which
// subjects are of a kind.
func (mb *matrixBuilder) cellsOf(entry matrixEntry, columns [][]int, subjects []string) []Cell {
	all := mb.columnRows[:0]
	for _, r := range entry.decisions {
		for _, c := range columns[r.class] {
			all = append(all, columnRow{c, r.Row()})
		}
	}
	slices.SortFunc(all, func(a, b columnRow) int { return cmp.Compare(a.column, b.column) })
	cells := mb.cells[:0]
	for _, t := range all {
		cells = append(cells, Cell{subjects[t.column], policy.Decision{Effect: t.row.Effect, Row: t.row}})
	}
	mb.columnRows, mb.cells = all, cells
	return cells
}

// columnRow is what a row says to a column.
type columnRow struct {
	column int
	row    *policy.Row
}
