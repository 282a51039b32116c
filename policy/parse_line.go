package policy

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
)

// LineReader reads lines of CSV as strictly as lines of a policy. What it cannot read, it
// adds to a list of faults.
//
// It is stricter than casbin's reader, which keeps the space before a comma and the
// comment after a row as part of the field, and drops or ignores the row.
type LineReader struct {
	faults     *fault.List
	formatHint string // ends the hint where Format fixes the fault; empty for files that are not policies
	unreadable bool   // some row could not be read: names may be missing
	buffer     *bufio.Reader
	csv        *csv.Reader
	plain      []Field // of the current line; see plainFields
}

// NewLineReader prepares for lines.
func NewLineReader(faults *fault.List) *LineReader {
	r := &LineReader{faults: faults, buffer: bufio.NewReader(strings.NewReader(""))}
	r.csv = csv.NewReader(r.buffer)
	r.csv.FieldsPerRecord = -1
	r.csv.TrimLeadingSpace = true // the examples align their columns
	r.csv.ReuseRecord = true
	return r
}

// Field is one field of a row, and where it begins.
type Field struct {
	Text   string
	quoted bool
	At     fault.Position
}

// Fields splits a line, and reports whether it is meant as a row: comments and empty lines
// are not. There are no fields if it is meant as one and cannot be read. They are valid
// until the next call.
func (r *LineReader) Fields(at fault.Position, line string) (fields []Field, isRow bool) {
	line = strings.TrimRight(line, Whitespace) // invisible, and casbin drops them alike
	trimmed := strings.TrimLeft(line, Whitespace)
	isRow = trimmed != "" && trimmed[0] != '#'
	if len(line) > MaxLine {
		r.addUnreadable(at, fmt.Sprintf("the line is longer than %d bytes", MaxLine), "make several rows of it")
		return nil, isRow
	}
	if i, message, hint := text.CheckVisible("the line", line); message != "" {
		r.addUnreadable(at.Offset(i), message, hint)
		return nil, isRow
	}
	if !isRow {
		return nil, false
	}
	if !strings.Contains(line, `"`) {
		return r.plainFields(at, line), true
	}
	r.buffer.Reset(strings.NewReader(line))
	record, err := r.csv.Read()
	if err != nil {
		r.addQuoteFault(at, err)
		return nil, true
	}
	return r.quotedFields(at, line, record), true
}

func (r *LineReader) addQuoteFault(at fault.Position, err error) {
	var detail *csv.ParseError
	if errors.As(err, &detail) {
		at = at.Offset(detail.Column - 1)
	}
	switch {
	case errors.Is(err, csv.ErrBareQuote):
		r.addUnreadable(at, "a quote inside a field that does not begin with one",
			`quote the whole field and double the quotes in it: "a ""b"" c"`)
	case errors.Is(err, csv.ErrQuote):
		r.addUnreadable(at, "a quoted field does not end, or continues after its quote",
			"close the quote on the same line, right before the comma")
	default:
		r.addUnreadable(at, err.Error(), "")
	}
}

func (r *LineReader) addUnreadable(at fault.Position, message, hint string) {
	r.unreadable = true
	r.faults.Add(at, message, hint)
}

// quotedFields gives the fields of a row, of which there is always a first one, or nil
// where a comment follows them.
func (r *LineReader) quotedFields(start fault.Position, line string, record []string) []Field {
	fields := make([]Field, len(record))
	for i, text := range record {
		_, column := r.csv.FieldPos(i)
		f := Field{text, strings.HasPrefix(line[column-1:], `"`), start.Offset(column - 1)}
		if !f.quoted && !r.checkField(&f) {
			return nil
		}
		fields[i] = f
	}
	return fields
}

// plainFields is fields for a line without quotes, which needs no CSV reader. What it
// gives is good until it is called again.
func (r *LineReader) plainFields(start fault.Position, line string) []Field {
	fields := r.plain[:0]
	column := 0
	for rest, more := line, true; more; {
		var text string
		text, rest, more = strings.Cut(rest, ",")
		trimmed := strings.TrimLeft(text, Whitespace)
		f := Field{trimmed, false, start.Offset(column + len(text) - len(trimmed))}
		if !r.checkField(&f) {
			return nil
		}
		fields = append(fields, f)
		column += len(text) + 1
	}
	r.plain = fields
	return fields
}

// checkField refuses what no field without quotes may hold, and reports whether the
// rest of its row can be read.
func (r *LineReader) checkField(f *Field) bool {
	if at := commentStart(f.Text); at >= 0 {
		r.addUnreadable(f.At.Offset(at), "a comment follows the row", "give it a line of its own, or quote the field")
		return false
	}
	if trimmed := strings.TrimRight(f.Text, Whitespace); trimmed != f.Text {
		r.faults.Add(f.At.Offset(len(trimmed)), "space before the comma", "take it away"+r.formatHint)
		f.Text = trimmed
	}
	if at := strings.IndexByte(f.Text, '\t'); at >= 0 {
		r.faults.Add(f.At.Offset(at), "a tab inside a field", "separate fields by commas")
	}
	return true
}

// commentStart finds the # of a comment after a field, or -1.
func commentStart(text string) int {
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || strings.IndexByte(Whitespace, text[i-1]) >= 0) {
			return i
		}
	}
	return -1
}
