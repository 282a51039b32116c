package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/fault"
)

// Exit codes, the same for every command.
const (
	ExitYes       = 0 // yes, pass, no change
	ExitNo        = 1 // no, failed, changed
	ExitUsage     = 2
	ExitLoadError = 3 // a configuration, a policy, or what they name, does not load; the output cannot be written
)

// ErrNo ends a command whose answer is no, and which has said so already.
var ErrNo = errors.New("no")

type loadError struct{ error }

func (e loadError) Unwrap() error { return e.error }

type runError struct{ error }

func (e runError) Unwrap() error { return e.error }

type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// LoadError marks an error of what a command was given to read: exit code 3.
func LoadError(err error) error { return loadError{err} }

// RunError marks an error of a command that had begun its work: exit code 1.
func RunError(err error) error { return runError{err} }

// UsageError marks faults in a file that are mistakes in the use of a command: exit code 2.
func UsageError(err error) error { return usageError{err} }

// IsLoadError reports whether an error is marked by LoadError.
func IsLoadError(err error) bool {
	var loadErr loadError
	return errors.As(err, &loadErr)
}

// selfPrinter is an error with an output of its own; its exit code is ExitLoadError.
type selfPrinter interface {
	error
	Print(stderr io.Writer)
}

// ExitCode says what went wrong and turns it into a code. Whatever no command
// has marked is a mistake on the command line.
func ExitCode(stderr io.Writer, cmd *cobra.Command, err error) int {
	var own selfPrinter
	var loadErr loadError
	var runErr runError
	switch {
	case err == nil:
		return ExitYes
	case errors.Is(err, ErrNo):
		return ExitNo
	case errors.As(err, &own):
		own.Print(stderr)
		return ExitLoadError
	case errors.As(err, &loadErr):
		PrintError(stderr, err)
		return ExitLoadError
	case errors.As(err, &runErr):
		PrintError(stderr, err)
		return ExitNo
	default:
		var usageErr usageError
		if errors.As(err, &usageErr) {
			PrintError(stderr, err)
		} else {
			fmt.Fprintf(stderr, "authgate: %v\n", err)
		}
		if cmd.Name() == "help" && cmd.HasParent() {
			cmd = cmd.Parent()
		}
		verb := "explains it"
		if cmd.HasSubCommands() {
			verb = "lists its commands"
		}
		fmt.Fprintf(stderr, "authgate: `%s --help` %s\n", cmd.CommandPath(), verb)
		return ExitUsage
	}
}

// PrintError prints an error, or each of several. Faults begin with their own place,
// where terminals and editors can jump to them.
func PrintError(stderr io.Writer, err error) {
	var joined interface{ Unwrap() []error }
	var faults fault.Faults
	switch {
	case errors.As(err, &joined):
		for _, one := range joined.Unwrap() {
			PrintError(stderr, one)
		}
	case errors.As(err, &faults):
		fmt.Fprintln(stderr, faults)
	default:
		fmt.Fprintf(stderr, "authgate: %v\n", err)
	}
}
