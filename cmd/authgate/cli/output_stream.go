package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/example-org/authgate/text"
)

// outputStream is standard output or standard error. It keeps the first failed write, so
// that no command ends with success although its output is lost.
type outputStream struct {
	w       io.Writer
	err     error
	colours colourMode
}

func (s *outputStream) Write(text []byte) (int, error) {
	n, err := s.w.Write(text)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, err
}

// UnwrapWriter gives the writer below a stream. `serve` writes there: it goes on when the
// reader of its output has gone.
func UnwrapWriter(w io.Writer) io.Writer {
	if s, ok := w.(*outputStream); ok {
		return s.w
	}
	return w
}

// writeError marks the failed write of an answer.
type writeError struct{ error }

func (e writeError) Error() string {
	return fmt.Sprintf("writing the answer: %v", text.WithoutPath(e.error))
}

func (e writeError) Unwrap() error { return e.error }

// colourMode is the value of --color.
type colourMode string

const (
	colourAuto   colourMode = "auto"
	colourAlways colourMode = "always"
	colourNever  colourMode = "never"
)

var colourWords = []string{string(colourAuto), string(colourAlways), string(colourNever)}

// enabled reports whether text for a writer is coloured. Files and pipes get plain text,
// and NO_COLOR (https://no-color.org) turns colours off; --color overrides both.
func (m colourMode) enabled(w io.Writer) bool {
	switch m {
	case colourAlways:
		return true
	case colourNever:
		return false
	}
	return IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// colourFlag sets the mode of several streams while flags are read: errors on the
// same command line already follow it.
type colourFlag []*outputStream

func (f colourFlag) Type() string { return "WHEN" }

func (f colourFlag) String() string {
	if len(f) == 0 || f[0].colours == "" {
		return string(colourAuto)
	}
	return string(f[0].colours)
}

func (f colourFlag) Set(word string) error {
	if err := OneOf(word, colourWords); err != nil {
		return err
	}
	for _, s := range f {
		s.colours = colourMode(word)
	}
	return nil
}
