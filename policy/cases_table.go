package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

const (
	tableLine = "who, method, target, expect, rule"
	tableForm = `write "who, method, target, expect" and, if you like, ", rule" behind it`
)

var tableHead = strings.Split(tableLine, ", ")

// table reads a table of cases. Its lines are held to what a line of a policy is
// held to: a name that ends in a blank is nobody there and would be nobody here.
func (r *caseReader) table(data []byte) {
	lines := newParser(nil) // for its lines, not for its rows
	at := fault.Position{File: r.file, Line: 1, Column: 1}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		lines.garble(at, "the file begins with a byte order mark", "save it as UTF-8 without BOM")
		at.Column, data = 4, data[3:]
	}
	headed, rows, windows := false, 0, false
	for more := true; more && !r.full; at.Line, at.Column = at.Line+1, 1 {
		var line []byte
		line, data, more = bytes.Cut(data, []byte("\n"))
		text, isWindows := strings.CutSuffix(string(line), "\r")
		if isWindows && !windows { // said once: it will be so on every line
			windows = true
			lines.garble(shift(at, len(text)), "the line ends in CR LF", "save the file with Unix line ends (LF)")
		}
		fields, isRow := lines.cells(at, text)
		switch {
		case !isRow:
		case headed:
			rows++
			r.row(fields)
		default:
			headed = true
			if !r.head(fields) { // then it is a case, most often
				rows++
			}
		}
	}
	if rows == 0 {
		r.faults.Add(r.whole(), "the table has no cases", "write a line for each, below a first line "+tableLine)
	}
	var faults fault.Faults
	if errors.As(lines.faults.Err(), &faults) {
		for _, f := range faults {
			r.faults.Add(f.Position, f.What, f.Mend)
		}
	}
}

// head reports whether this is the line that has to be the first one.
func (r *caseReader) head(fields []field) bool {
	if fields == nil {
		return false
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.text)
	}
	withoutRules := tableHead[:len(tableHead)-1]
	if !slices.Equal(names, tableHead) && !slices.Equal(names, withoutRules) {
		return r.refuse(fields[0], "the table has no header", "let the first line be "+tableLine)
	}
	return true
}

// row reads one case. The rule and the comma before it may be left out.
func (r *caseReader) row(fields []field) {
	if fields == nil {
		return
	}
	least, most := len(tableHead)-1, len(tableHead)
	switch n := len(fields); {
	case n < least:
		r.refuse(fields[0], fmt.Sprintf("a case has %d or %d fields and this one %d", least, most, n), tableForm)
		return
	case n > most:
		r.refuse(fields[most], fmt.Sprintf("a case has %d or %d fields and this one %d", least, most, n), tableForm+", the rule in quotes")
		return
	case n == least:
		fields = append(fields, field{})
	}
	ok := true
	for i, name := range tableHead[:least] {
		if fields[i].text == "" {
			ok = r.refuse(fields[i], name+" is empty", tableForm)
		}
	}
	if !ok {
		return
	}
	c, known := r.person(r.together(fields[0]))
	effect, what, mend := parseEffect(fields[3].text)
	if what != "" {
		ok = r.refuse(fields[3], what, mend)
	}
	c.Expect = effect
	c, asked := r.ask(c, fields[1], fields[2])
	c.at = fields[0].at
	if !ok {
		return
	}
	var ruled bool
	if c.Rule, ruled = r.expected(fields[4], effect); ruled && known && asked {
		r.keep(c)
	}
}

// together takes apart who asks: one subject, or several joined by " + ".
func (r *caseReader) together(who field) []field {
	var named []field
	at := who.at
	for part := range strings.SplitSeq(who.text, togetherWith) {
		named = append(named, field{text: part, at: at})
		at = shift(at, len(part)+len(togetherWith))
	}
	return named
}
