package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/fault"
)

// Exit codes, the same for every command.
const (
	exitYes       = 0 // yes, pass, no change
	exitNo        = 1 // no, failed, changed
	exitUsage     = 2
	exitLoadError = 3 // a configuration, a policy, or what they name, does not load; the output cannot be written
)

// errNo ends a command whose answer is no, and which has said so already.
var errNo = errors.New("no")

// loadError marks an error of what a command was given to read.
type loadError struct{ error }

func (e loadError) Unwrap() error { return e.error }

// runError marks an error of a command that had begun its work.
type runError struct{ error }

func (e runError) Unwrap() error { return e.error }

// usageError marks faults in a file that are mistakes in the use of a command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitCode says what went wrong and turns it into a code. Whatever no command
// has marked is a mistake on the command line.
func exitCode(stderr io.Writer, cmd *cobra.Command, err error) int {
	var startErr startError
	var loadErr loadError
	var runErr runError
	switch {
	case err == nil:
		return exitYes
	case errors.Is(err, errNo):
		return exitNo
	case errors.As(err, &startErr):
		startErr.print(stderr)
		return exitLoadError
	case errors.As(err, &loadErr):
		printError(stderr, err)
		return exitLoadError
	case errors.As(err, &runErr):
		printError(stderr, err)
		return exitNo
	default:
		var usageErr usageError
		if errors.As(err, &usageErr) {
			printError(stderr, err)
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
		return exitUsage
	}
}

// printError prints an error, or each of several. Faults begin with their own place,
// where terminals and editors can jump to them.
func printError(stderr io.Writer, err error) {
	var joined interface{ Unwrap() []error }
	var faults fault.Faults
	switch {
	case errors.As(err, &joined):
		for _, one := range joined.Unwrap() {
			printError(stderr, one)
		}
	case errors.As(err, &faults):
		fmt.Fprintln(stderr, faults)
	default:
		fmt.Fprintf(stderr, "authgate: %v\n", err)
	}
}
