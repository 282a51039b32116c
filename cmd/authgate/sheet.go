package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// sheet is where an answer is written for a person to read, coloured as --color says.
type sheet struct {
	w       io.Writer
	colours bool
	err     error // the first that writing met with
}

func newSheet(w io.Writer) *sheet {
	mode := colourAuto
	if s, ok := w.(*stream); ok {
		mode = s.colours
	}
	return &sheet{w: w, colours: mode.on(w)}
}

// isTerminal takes /dev/null for one, too, where nobody sees the difference.
func isTerminal(w io.Writer) bool {
	file, ok := direct(w).(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (s *sheet) line(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.w, format+"\n", args...)
	}
}

func (s *sheet) write(text []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(text)
	}
}

// The tones of a piece of text.
func (s *sheet) good(text string) string   { return s.paint("32", text) }
func (s *sheet) bad(text string) string    { return s.paint("31", text) }
func (s *sheet) warn(text string) string   { return s.paint("33", text) }
func (s *sheet) faint(text string) string  { return s.paint("2", text) }
func (s *sheet) strong(text string) string { return s.paint("1", text) }

func (s *sheet) paint(code, text string) string {
	if !s.colours || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// table writes rows with their cells below each other, two blanks apart. Rows may
// differ in length; the last cell of a row is not padded.
func (s *sheet) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row[:max(0, len(row)-1)] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], visible(cell))
		}
	}
	var line []byte
	for _, row := range rows {
		line = line[:0]
		for i, cell := range row {
			line = append(line, cell...)
			if i < len(row)-1 {
				line = append(line, strings.Repeat(" ", widths[i]-visible(cell)+2)...)
			}
		}
		s.write(append(bytes.TrimRight(line, " "), '\n'))
	}
}

// visible counts the characters of a text, its colours aside.
func visible(text string) int {
	n := utf8.RuneCountInString(text)
	for rest := text; ; {
		_, after, coloured := strings.Cut(rest, "\x1b[")
		code, tail, ends := strings.Cut(after, "m")
		if !coloured || !ends {
			return n
		}
		n -= len("\x1b[m") + len(code)
		rest = tail
	}
}

// plural writes 1 row, 2 rows.
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
