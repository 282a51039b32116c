package render

import (
	"fmt"
	"strings"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/text"
)

// UnifiedDiff prints what formatting changes in a file: changed are the lines of the text
// before that are written differently or left out.
func UnifiedDiff(s *cli.Printer, file, before, after string, changed []int) {
	s.Line("%s", s.Bold("--- "+file))
	s.Line("%s", s.Bold("+++ "+file+" (formatted)"))
	for _, h := range hunks(before, after, changed) {
		h.print(s)
	}
}

// hunk is a place where two texts differ, with the lines around it.
type hunk struct {
	oldStart, newStart int // lines, from 1
	lines              []string
	oldCount, newCount int // how many lines of each text
}

const diffContext = 3

// diffLine is a line of the old text, or one of the new text, or of both.
type diffLine struct {
	kind byte // ' ', '-' or '+'
	text string
}

// hunks finds the places where two texts differ.
func hunks(before, after string, changed []int) []hunk {
	edits := diffLines(before, after, changed)
	var all []hunk
	oldLine, newLine, last := 1, 1, -1
	for i, e := range edits {
		if nearChange(len(edits), i, func(n int) bool { return edits[n].kind != ' ' }) {
			if last != i-1 || len(all) == 0 {
				all = append(all, hunk{oldStart: oldLine, newStart: newLine})
			}
			last = i
			h := &all[len(all)-1]
			h.lines = append(h.lines, string(e.kind)+strings.TrimSuffix(e.text, "\n"))
			if !strings.HasSuffix(e.text, "\n") {
				h.lines = append(h.lines, `\ No newline at end of file`)
			}
			if e.kind != '+' {
				h.oldCount++
			}
			if e.kind != '-' {
				h.newCount++
			}
		}
		if e.kind != '+' {
			oldLine++
		}
		if e.kind != '-' {
			newLine++
		}
	}
	return all
}

// diffLines goes by what formatting does: a line with text becomes one line, and of blank
// lines in a row one is left where text stands before and after them.
func diffLines(before, after string, changed []int) (edits []diffLine) {
	oldLines, newLines := trimLast(strings.SplitAfter(before, "\n")), trimLast(strings.SplitAfter(after, "\n"))
	isChanged := map[int]bool{}
	for _, line := range changed {
		isChanged[line-1] = true
	}
	lastText := -1 // the last line that is not blank
	for i, line := range oldLines {
		if !isBlank(line) {
			lastText = i
		}
	}
	var added []diffLine // below the lines that are taken away
	at := 0
	for i, line := range oldLines {
		isKept := !isBlank(line) || at > 0 && i < lastText && !isBlank(oldLines[i-1])
		if !isChanged[i] {
			edits = append(append(edits, added...), diffLine{' ', line})
			added, at = nil, at+1
			continue
		}
		edits = append(edits, diffLine{'-', line})
		if isKept && at < len(newLines) {
			added, at = append(added, diffLine{'+', newLines[at]}), at+1
		}
	}
	return append(edits, added...)
}

func isBlank(line string) bool {
	return strings.Trim(strings.TrimPrefix(line, "\ufeff"), " \t\r\n") == ""
}

func trimLast(lines []string) []string {
	if n := len(lines); n > 0 && lines[n-1] == "" {
		return lines[:n-1]
	}
	return lines
}

// nearChange reports whether one of some edits is a change, a few lines around one of them.
func nearChange(total, at int, isChange func(int) bool) bool {
	for n := max(0, at-diffContext); n <= min(total-1, at+diffContext); n++ {
		if isChange(n) {
			return true
		}
	}
	return false
}

func (h hunk) print(s *cli.Printer) {
	s.Line("@@ -%s +%s @@", formatRange(h.oldStart, h.oldCount), formatRange(h.newStart, h.newCount))
	for _, line := range h.lines {
		switch line[0] {
		case '-':
			line = s.Failure(text.Truncate(text.Escape(line), 200))
		case '+':
			line = s.Success(line)
		}
		s.Line("%s", line)
	}
}

func formatRange(start, count int) string {
	if count == 0 {
		start--
	}
	return fmt.Sprintf("%d,%d", start, count)
}
