package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/server"
)

// startError marks an error that kept `serve` from starting. Whatever the form of
// the log, the last line on stderr is plain and says why: it is what a terminal, or
// the status of a pod, shows.
type startError struct {
	error

	logged bool // each reason is in the log
}

func (e startError) Unwrap() error { return e.error }

// exitError marks the error of a server for its exit code. A JSON log has each reason
// that kept it from starting as a record.
func (f *logFlags) exitError(stderr io.Writer, err error) error {
	var start *server.StartError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &start):
		return cli.RunError(err)
	case f.format == cli.TextFormat:
		return startError{error: start.Err}
	}
	log := server.NewLog(stderr, f.options())
	for _, reason := range reasons(start.Err) {
		log.Error("cannot start", "error", reason)
	}
	return startError{error: start.Err, logged: true}
}

func (e startError) Print(stderr io.Writer) {
	var faults fault.Faults
	all := reasons(e.error)
	if !e.logged && (len(all) > 1 || errors.As(e.error, &faults)) {
		cli.PrintError(stderr, e.error)
	}
	last := "authgate: cannot start: " + all[0]
	if more := len(all) - 1; more > 0 {
		last += fmt.Sprintf(" (and %d more above)", more)
	}
	fmt.Fprintln(stderr, last)
}

// reasons gives one line for each thing that is wrong, and at least one.
func reasons(err error) []string {
	var joined interface{ Unwrap() []error }
	var faults fault.Faults
	var all []string
	switch {
	case errors.As(err, &joined):
		for _, one := range joined.Unwrap() {
			all = append(all, reasons(one)...)
		}
	case errors.As(err, &faults):
		for _, one := range faults {
			all = append(all, oneLine(one.Error()))
		}
	default:
		for line := range strings.Lines(err.Error()) {
			if line = oneLine(line); line != "" {
				all = append(all, line)
			}
		}
	}
	if len(all) == 0 {
		return []string{"for an unknown reason"}
	}
	return all
}

// oneLine replaces what would begin another line, or steer a terminal.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
}
