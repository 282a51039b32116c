package cases

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
)

const (
	tableHeader = "who, method, target, expect, rule"
	tableHint   = `write "who, method, target, expect" and optionally ", rule" after it`
)

var tableColumns = strings.Split(tableHeader, ", ")

// parseTable reads a table of cases. Its lines are held to what a line of a policy is
// checked like: a name that ends in a space matches no subject there, nor here.
func (r *caseReader) parseTable(data []byte) {
	lines := policy.NewLineReader(&r.faults)
	at := fault.Position{File: r.file, Line: 1, Column: 1}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		r.faults.Add(at, "the file begins with a byte order mark", "save it as UTF-8 without BOM")
		at.Column, data = 4, data[3:]
	}
	headed, rows, windows := false, 0, false
	for more := true; more && !r.full; at.Line, at.Column = at.Line+1, 1 {
		var line []byte
		line, data, more = bytes.Cut(data, []byte("\n"))
		text, isWindows := strings.CutSuffix(string(line), "\r")
		if isWindows && !windows { // said once: it will be so on every line
			windows = true
			r.faults.Add(at.Offset(len(text)), "the line ends in CR LF", "save the file with Unix line ends (LF)")
		}
		fields, isRow := lines.Fields(at, text)
		switch {
		case !isRow:
		case headed:
			rows++
			r.parseRow(fields)
		default:
			headed = true
			if !r.isHeader(fields) { // then it is a case, most often
				rows++
			}
		}
	}
	if rows == 0 {
		r.faults.Add(r.filePosition(), "the table has no cases",
			"write a line for each, below a first line "+tableHeader)
	}
}

// isHeader reports whether this is the line that has to be the first one.
func (r *caseReader) isHeader(fields []policy.Field) bool {
	if fields == nil {
		return false
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.Text)
	}
	withoutRules := tableColumns[:len(tableColumns)-1]
	if !slices.Equal(names, tableColumns) && !slices.Equal(names, withoutRules) {
		return r.addFault(fields[0], "the table has no header", "let the first line be "+tableHeader)
	}
	return true
}

// parseRow reads one case. The rule and the comma before it may be left out.
func (r *caseReader) parseRow(fields []policy.Field) {
	if fields == nil {
		return
	}
	least, limit := len(tableColumns)-1, len(tableColumns)
	switch n := len(fields); {
	case n < least:
		r.addFault(fields[0], fmt.Sprintf("a case has %d or %d fields and this one %d", least, limit, n), tableHint)
		return
	case n > limit:
		r.addFault(fields[limit], fmt.Sprintf("a case has %d or %d fields and this one %d", least, limit, n),
			tableHint+", the rule in quotes")
		return
	case n == least:
		fields = append(fields, policy.Field{})
	}
	ok := true
	for i, name := range tableColumns[:least] {
		if fields[i].Text == "" {
			ok = r.addFault(fields[i], name+" is empty", tableHint)
		}
	}
	if !ok {
		return
	}
	c, known := r.parseSubjects(r.splitSubjects(fields[0]))
	effect, message, hint := policy.ParseEffect(fields[3].Text)
	if message != "" {
		ok = r.addFault(fields[3], message, hint)
	}
	c.Expect = effect
	c, targetOK := r.resolveRequest(c, fields[1], fields[2])
	c.at = fields[0].At
	if !ok {
		return
	}
	var ruleOK bool
	if c.Rule, ruleOK = r.parseRule(fields[4], effect); ruleOK && known && targetOK {
		r.addUnique(c)
	}
}

// splitSubjects takes apart who asks: one subject, or several joined by " + ".
func (r *caseReader) splitSubjects(joined policy.Field) []policy.Field {
	var named []policy.Field
	at := joined.At
	for part := range strings.SplitSeq(joined.Text, subjectSeparator) {
		named = append(named, policy.Field{Text: part, At: at})
		at = at.Offset(len(part) + len(subjectSeparator))
	}
	return named
}
