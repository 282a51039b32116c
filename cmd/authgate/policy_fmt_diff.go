package main

import (
	"fmt"
	"strings"

	"github.com/example-org/authgate/policy"
)

// printDiff prints what formatting would change as a unified diff.
func (f *formatting) printDiff(s *sheet, sources []policy.Source) {
	for i, file := range f.Files {
		if !file.Changed {
			continue
		}
		s.line("%s", s.strong("--- "+file.File))
		s.line("%s", s.strong("+++ "+file.File+" (formatted)"))
		for _, h := range hunks(string(sources[i].Data), string(f.texts[i]), file.Lines) {
			h.print(s)
		}
	}
}

// hunk is a place where two texts differ, with the lines around it.
type hunk struct {
	oldStart, newStart int // lines, from 1
	lines              []string
	old, fresh         int // how many lines of each text
}

const diffContext = 3

// edit is a line of the old text, or one of the new text, or of both.
type edit struct {
	kind byte // ' ', '-' or '+'
	text string
}

// hunks finds the places where two texts differ.
func hunks(before, after string, changed []int) []hunk {
	edits := editsOf(before, after, changed)
	var all []hunk
	oldLine, newLine, last := 1, 1, -1
	for i, e := range edits {
		if near(len(edits), i, func(n int) bool { return edits[n].kind != ' ' }) {
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
				h.old++
			}
			if e.kind != '-' {
				h.fresh++
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

// editsOf goes by what formatting does: a line with text becomes one line, and of blank
// lines in a row one is left where text stands before and after them.
func editsOf(before, after string, changed []int) (edits []edit) {
	old, fresh := dropEnd(strings.SplitAfter(before, "\n")), dropEnd(strings.SplitAfter(after, "\n"))
	isChanged := map[int]bool{}
	for _, line := range changed {
		isChanged[line-1] = true
	}
	lastText := -1 // the last line that is not blank
	for i, line := range old {
		if !isBlank(line) {
			lastText = i
		}
	}
	var added []edit // below the lines that are taken away
	at := 0
	for i, line := range old {
		isKept := !isBlank(line) || at > 0 && i < lastText && !isBlank(old[i-1])
		if !isChanged[i] {
			edits = append(append(edits, added...), edit{' ', line})
			added, at = nil, at+1
			continue
		}
		edits = append(edits, edit{'-', line})
		if isKept && at < len(fresh) {
			added, at = append(added, edit{'+', fresh[at]}), at+1
		}
	}
	return append(edits, added...)
}

func isBlank(line string) bool {
	return strings.Trim(strings.TrimPrefix(line, "\ufeff"), " \t\r\n") == ""
}

func dropEnd(lines []string) []string {
	if n := len(lines); n > 0 && lines[n-1] == "" {
		return lines[:n-1]
	}
	return lines
}

// near reports whether one of some edits is a change, a few lines around one of them.
func near(total, at int, isChange func(int) bool) bool {
	for n := max(0, at-diffContext); n <= min(total-1, at+diffContext); n++ {
		if isChange(n) {
			return true
		}
	}
	return false
}

func (h hunk) print(s *sheet) {
	s.line("@@ -%s +%s @@", span(h.oldStart, h.old), span(h.newStart, h.fresh))
	for _, line := range h.lines {
		switch line[0] {
		case '-':
			line = s.bad(harmless(line))
		case '+':
			line = s.good(line)
		}
		s.line("%s", line)
	}
}

func span(start, count int) string {
	if count == 0 {
		start--
	}
	return fmt.Sprintf("%d,%d", start, count)
}
