package policy

import (
	"cmp"
	"fmt"
	"slices"
)

// Matrix is who may do what, complete: every path and method that some row lets
// somebody use is in one of its lines. What is in none is refused to all.
type Matrix struct {
	Columns []Column
	Tables  []Table
}

// Column is a subject of whom the lines speak.
type Column struct {
	Subject string
	Members []string // groups, persons and everybody whom g rows make the role; empty for all but roles
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
	Methods     Methods
	Cells       []Cell // in the order of the columns; without those of whom no row speaks
}

// Cell is what a line says of somebody who is one subject, with what it brings,
// and nothing else.
type Cell struct {
	Subject string
	Decision
}

// Matrix finds what each of some subjects may do on some upstreams. Where
// upstreams is nil, those are meant that rows name, and all the others together.
// Where there are no subjects, all are meant that are worth a column: roles,
// subjects with rows of their own, and those who are refused what one of their
// roles alone may do.
//
// It fails where patterns overlap in so many ways that nobody could read it.
func (s *Snapshot) Matrix(upstreams, subjects []string) (Matrix, error) {
	subjects = slices.Clone(subjects)
	builder := matrixBuilder{subjectClasses: newSubjectClasses(subjects, s), restricted: map[int]bool{}}
	for _, upstream := range upstreamsOf(upstreams, s) {
		regions, err := regionsOf(s.Quirks(upstream), rowsOn(upstream, s.rows))
		if err != nil {
			return Matrix{}, fmt.Errorf("upstream %s: %w", upstream, err)
		}
		builder.add(upstream, regions)
	}
	if len(subjects) == 0 {
		subjects = builder.columns()
	}
	m := Matrix{Columns: []Column{}, Tables: []Table{}}
	graph := newRoleGraph(s.grants)
	slices.SortFunc(subjects, compareSubjects)
	subjects = slices.Compact(subjects)
	for _, subject := range subjects {
		c := Column{Subject: subject}
		if subjectKind(subject) == kindRole {
			c.Members = slices.DeleteFunc(graph.implicitMembers([]string{subject}).order, func(member string) bool { return subjectKind(member) == kindRole })
			slices.SortFunc(c.Members, compareSubjects)
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
	*subjectClasses
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
	region    *region
	method    string
	decisions []entryDecision // each kind of which some row speaks
}

type entryDecision struct {
	class int
	classDecision
}

func (mb *matrixBuilder) add(upstream string, regions []region) {
	p := matrixPart{upstream: upstream, entries: make([]matrixEntry, 0, 2*len(regions))}
	decisions := newClassDecisions(mb.subjectClasses)
	for i := range regions {
		for _, method := range regions[i].methods {
			rows := regions[i].rowsFor(0, method)
			decisions.decide(rows, mb.holders[0])
			entry := matrixEntry{&regions[i], method, make([]entryDecision, 0, len(decisions.touched))}
			for _, k := range decisions.touched {
				entry.decisions = append(entry.decisions, entryDecision{k, decisions.byClass[k]})
			}
			mb.findRestricted(decisions, rows)
			p.entries = append(p.entries, entry)
		}
	}
	mb.tables = append(mb.tables, p)
}

func (mb *matrixBuilder) findRestricted(decisions *classDecisions, rows []*Row) {
	for _, k := range decisions.touched {
		r := decisions.byClass[k]
		if r.deny == nil || r.allow == nil || mb.restricted[k] {
			continue
		}
		mb.restricted[k] = slices.ContainsFunc(rows, func(row *Row) bool {
			return slices.Contains(mb.holders[0][row.Subject], k) && decisions.byClass[mb.classOf[row.Subject]].allows()
		})
	}
}

func (mb *matrixBuilder) columns() []string {
	var columns []string
	for _, name := range mb.names {
		_, hasRows := mb.holders[0][name]
		if hasRows || mb.restricted[mb.classOf[name]] || subjectKind(name) == kindRole {
			columns = append(columns, name)
		}
	}
	return columns
}

// table writes down what a part says of some subjects. Methods of one area with
// the same cells share a line.
func (mb *matrixBuilder) table(p matrixPart, subjects []string) Table {
	t := Table{Upstream: p.upstream, Lines: make([]Line, 0, len(p.entries))}
	columns := make([][]int, len(mb.classes)) // kind → its columns
	for c, subject := range subjects {
		k := mb.classOf[subject]
		columns[k] = append(columns[k], c)
	}
	first := 0 // line of the area at hand
	for i, entry := range p.entries {
		if i > 0 && p.entries[i-1].region != entry.region {
			first = len(t.Lines)
		}
		cells := mb.cellsOf(entry, columns, subjects)
		methods := Methods{[]string{entry.method}, entry.region.methods}
		same := slices.IndexFunc(t.Lines[first:], func(l Line) bool { return slices.Equal(l.Cells, cells) })
		switch {
		case len(cells) == 0:
		case same >= 0:
			line := &t.Lines[first+same]
			line.Methods = line.Methods.Union(methods)
		default:
			t.Lines = append(t.Lines, Line{entry.region.label, entry.region.example, methods, slices.Clone(cells)})
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
			all = append(all, columnRow{c, r.row()})
		}
	}
	slices.SortFunc(all, func(a, b columnRow) int { return cmp.Compare(a.column, b.column) })
	cells := mb.cells[:0]
	for _, t := range all {
		cells = append(cells, Cell{subjects[t.column], Decision{Effect: t.row.Effect, Row: t.row}})
	}
	mb.columnRows, mb.cells = all, cells
	return cells
}

// columnRow is what a row says to a column.
type columnRow struct {
	column int
	row    *Row
}
