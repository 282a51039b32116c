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
	Path    string // a pattern for people; paths that a closer one among the lines fits are not meant
	Witness string // a path of the class
	Methods Methods
	Cells   []Cell // in the order of the columns; without those of whom no row speaks
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
	survey := survey{census: censusOf(subjects, s), mixed: map[int]bool{}}
	for _, upstream := range upstreamsOf(upstreams, s) {
		areas, err := areasOf(s.Quirks(upstream), rowsOn(upstream, s.rows))
		if err != nil {
			return Matrix{}, fmt.Errorf("upstream %s: %w", upstream, err)
		}
		survey.add(upstream, areas)
	}
	if len(subjects) == 0 {
		subjects = survey.columns()
	}
	m := Matrix{Columns: []Column{}, Tables: []Table{}}
	ways := newWays(s.grants)
	slices.SortFunc(subjects, bySubject)
	subjects = slices.Compact(subjects)
	for _, subject := range subjects {
		c := Column{Subject: subject}
		if rank(subject) == rankRole {
			c.Members = slices.DeleteFunc(ways.into([]string{subject}).order, func(member string) bool { return rank(member) == rankRole })
			slices.SortFunc(c.Members, bySubject)
		}
		m.Columns = append(m.Columns, c)
	}
	for _, part := range survey.parts {
		m.Tables = append(m.Tables, survey.table(part, subjects))
	}
	return m, nil
}

// survey is what the rows of a policy come to, everywhere and for all kinds of
// people, before it is known which of them are worth a column.
type survey struct {
	*census
	parts []part
	mixed map[int]bool // kinds that are refused what one of their roles alone may do

	// Buffers of cellsOf.
	all   []told
	cells []Cell
}

type part struct {
	upstream string
	spots    []spot
}

// spot is one method in one area.
type spot struct {
	area   *area
	method string
	of     []ruled // each kind of which some row speaks
}

type ruled struct {
	kind int
	ruling
}

func (v *survey) add(upstream string, areas []area) {
	p := part{upstream: upstream, spots: make([]spot, 0, 2*len(areas))}
	desk := newRulings(v.census)
	for i := range areas {
		for _, method := range areas[i].methods {
			rows := areas[i].rowsFor(0, method)
			desk.judge(rows, v.holders[0])
			at := spot{&areas[i], method, make([]ruled, 0, len(desk.touched))}
			for _, k := range desk.touched {
				at.of = append(at.of, ruled{k, desk.of[k]})
			}
			v.findMixed(desk, rows)
			p.spots = append(p.spots, at)
		}
	}
	v.parts = append(v.parts, p)
}

func (v *survey) findMixed(desk *rulings, rows []*Row) {
	for _, k := range desk.touched {
		r := desk.of[k]
		if r.deny == nil || r.allow == nil || v.mixed[k] {
			continue
		}
		v.mixed[k] = slices.ContainsFunc(rows, func(row *Row) bool {
			return slices.Contains(v.holders[0][row.Subject], k) && desk.of[v.kindOf[row.Subject]].allows()
		})
	}
}

func (v *survey) columns() []string {
	var columns []string
	for _, name := range v.names {
		_, ruled := v.holders[0][name]
		if ruled || v.mixed[v.kindOf[name]] || rank(name) == rankRole {
			columns = append(columns, name)
		}
	}
	return columns
}

// table writes down what a part says of some subjects. Methods of one area with
// the same cells share a line.
func (v *survey) table(p part, subjects []string) Table {
	t := Table{Upstream: p.upstream, Lines: make([]Line, 0, len(p.spots))}
	columns := make([][]int, len(v.kinds)) // kind → its columns
	for c, subject := range subjects {
		k := v.kindOf[subject]
		columns[k] = append(columns[k], c)
	}
	first := 0 // line of the area at hand
	for i, at := range p.spots {
		if i > 0 && p.spots[i-1].area != at.area {
			first = len(t.Lines)
		}
		cells := v.cellsOf(at, columns, subjects)
		methods := Methods{[]string{at.method}, at.area.methods}
		same := slices.IndexFunc(t.Lines[first:], func(l Line) bool { return slices.Equal(l.Cells, cells) })
		switch {
		case len(cells) == 0:
		case same >= 0:
			line := &t.Lines[first+same]
			line.Methods = line.Methods.And(methods)
		default:
			t.Lines = append(t.Lines, Line{at.area.label, at.area.witness, methods, slices.Clone(cells)})
		}
	}
	return t
}

// cellsOf gives the cells of a spot, good until it is called again. columns says which
// subjects are of a kind.
func (v *survey) cellsOf(at spot, columns [][]int, subjects []string) []Cell {
	all := v.all[:0]
	for _, r := range at.of {
		for _, c := range columns[r.kind] {
			all = append(all, told{c, r.row()})
		}
	}
	slices.SortFunc(all, func(a, b told) int { return cmp.Compare(a.column, b.column) })
	cells := v.cells[:0]
	for _, t := range all {
		cells = append(cells, Cell{subjects[t.column], Decision{Effect: t.row.Effect, Rule: t.row}})
	}
	v.all, v.cells = all, cells
	return cells
}

// told is what a row says to a column.
type told struct {
	column int
	row    *Row
}
