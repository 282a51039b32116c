package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Printer writes an answer as text, coloured as --color says.
type Printer struct {
	w       io.Writer
	colours bool
	err     error // the first that writing met with
}

func NewPrinter(w io.Writer) *Printer {
	mode := colourAuto
	if s, ok := w.(*outputStream); ok {
		mode = s.colours
	}
	return &Printer{w: w, colours: mode.enabled(w)}
}

// IsTerminal also accepts /dev/null, where the difference does not matter.
func IsTerminal(w io.Writer) bool {
	file, ok := UnwrapWriter(w).(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (s *Printer) Line(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.w, format+"\n", args...)
	}
}

func (s *Printer) Write(text []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(text)
	}
}

// The tones of a piece of text.
func (s *Printer) Success(text string) string { return s.colorize("32", text) }
func (s *Printer) Failure(text string) string { return s.colorize("31", text) }
func (s *Printer) Warn(text string) string    { return s.colorize("33", text) }
func (s *Printer) Dim(text string) string     { return s.colorize("2", text) }
func (s *Printer) Bold(text string) string    { return s.colorize("1", text) }

func (s *Printer) colorize(code, text string) string {
	if !s.colours || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Table writes rows with their cells below each other, two spaces apart. Rows may
// differ in length; the last cell of a row is not padded.
func (s *Printer) Table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row[:max(0, len(row)-1)] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], visibleWidth(cell))
		}
	}
	var line []byte
	for _, row := range rows {
		line = line[:0]
		for i, cell := range row {
			line = append(line, cell...)
			if i < len(row)-1 {
				line = append(line, strings.Repeat(" ", widths[i]-visibleWidth(cell)+2)...)
			}
		}
		s.Write(append(bytes.TrimRight(line, " "), '\n'))
	}
}

// visibleWidth counts the characters of a text, its colours aside.
func visibleWidth(text string) int {
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

// Plural writes 1 row, 2 rows.
func Plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
