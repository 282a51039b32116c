package policy

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/example-org/authgate/fault"
)

// Format gives the text of one policy file in its canonical form, and the lines
// of the source, ascending, that read otherwise there or are left out. A text in
// canonical form comes back as it is, without lines.
//
// The form makes good diffs: a space after each comma and none elsewhere,
// because columns that are aligned change with their longest field. Rows keep
// their order, since the first one that matches is the one that decisions name;
// methods keep theirs. Comments keep their words, and the empty lines that group
// rows shrink to one.
//
// A byte order mark, Windows line ends and spaces before a comma, which [Load]
// refuses, are fixed. Any other fault is returned, as [fault.Faults]: what is
// not understood is not rewritten. Names are not followed to other rows or files,
// so a role may have its rows elsewhere.
func Format(src Source) (text []byte, changed []int, err error) {
	lines := bytes.SplitAfter(src.Data, []byte("\n"))
	rows, err := readRows(src.Name, lines)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	out.Grow(len(src.Data))
	var blank []int // lines without text since the last one with some
	for i, line := range lines {
		if len(line) == 0 { // after the last line end
			continue
		}
		formatted := rows[i+1]
		if formatted == "" {
			formatted = strings.Trim(trimLine(line, i), Whitespace)
		}
		if formatted == "" {
			blank = append(blank, i+1)
			continue
		}
		if len(blank) > 0 && out.Len() > 0 {
			out.WriteByte('\n')
			if string(lines[blank[0]-1]) == "\n" {
				blank = blank[1:]
			}
		}
		changed, blank = append(changed, blank...), nil
		if text, ended := bytes.CutSuffix(line, []byte("\n")); !ended || string(text) != formatted {
			changed = append(changed, i+1)
		}
		out.WriteString(formatted)
		out.WriteByte('\n')
	}
	return out.Bytes(), append(changed, blank...), nil
}

// readRows gives the row on each line of a file in its canonical form, and nothing
// for lines without. Lines count from 1.
func readRows(name string, lines [][]byte) ([]string, error) {
	var fixed bytes.Buffer
	for i, line := range lines {
		fixed.WriteString(fixCommaSpacing(trimLine(line, i)))
		fixed.WriteByte('\n')
	}
	p := newParser(nil)
	p.read(Source{name, fixed.Bytes()})
	rows := make([]string, 1+len(lines))
	write := func(at fault.Position, row string) {
		switch {
		case len(row) > MaxLine:
			p.faults.Add(at, fmt.Sprintf("the line would be longer than %d bytes", MaxLine), "make several rows of it")
		case strings.Contains(row, "\t"): // inside quotes, where it is not visible
			p.faults.Add(at, "a name holds a tab", "take it out")
		}
		rows[at.Line] = row
	}
	for _, row := range p.rows {
		write(row.At, row.String())
	}
	for _, g := range p.grants {
		write(g.MemberAt, formatRow(gType, g.Member, g.Role))
	}
	return rows, p.faults.Err()
}

// trimLine is the text of a line without its end, and of the first one without
// the mark that some editors put before it.
func trimLine(line []byte, index int) string {
	text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
	if index == 0 {
		text = strings.TrimPrefix(text, "\ufeff")
	}
	return text
}

// fixCommaSpacing moves the spaces before a comma after it, where they mean nothing. All
// else stays in its column, so that faults point into the file as it is.
func fixCommaSpacing(text string) string {
	if !strings.Contains(text, " ,") && !strings.Contains(text, "\t,") {
		return text
	}
	out := []byte(text)
	quoted := false
	for i, c := range out {
		switch {
		case c == '"': // two of them stand for one, and change nothing here
			quoted = !quoted
		case c == ',' && !quoted:
			end := len(bytes.TrimRight(out[:i], Whitespace))
			if end > 0 && out[end-1] != ',' { // else the field is empty, and that is a fault
				copy(out[end+1:i+1], out[end:i])
				out[end] = ','
			}
		}
	}
	return string(out)
}
