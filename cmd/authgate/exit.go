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
	exitNotLoaded = 3 // a configuration, a policy, or what they name, does not load; the output cannot be written
)

// errNo ends a command whose answer is no, and which has said so already.
var errNo = errors.New("no")

// notLoaded marks an error of what a command was given to read.
type notLoaded struct{ error }

func (e notLoaded) Unwrap() error { return e.error }

// failed marks an error of a command that had begun its work.
type failed struct{ error }

func (e failed) Unwrap() error { return e.error }

// misused marks faults in a file that are mistakes in the use of a command.
type misused struct{ error }

func (e misused) Unwrap() error { return e.error }

// exitCode says what went wrong and turns it into a code. Whatever no command
// has marked is a mistake on the command line.
func exitCode(stderr io.Writer, cmd *cobra.Command, err error) int {
	var starting notStarted
	var loading notLoaded
	var working failed
	switch {
	case err == nil:
		return exitYes
	case errors.Is(err, errNo):
		return exitNo
	case errors.As(err, &starting):
		starting.speak(stderr)
		return exitNotLoaded
	case errors.As(err, &loading):
		speak(stderr, err)
		return exitNotLoaded
	case errors.As(err, &working):
		speak(stderr, err)
		return exitNo
	default:
		var misuse misused
		if errors.As(err, &misuse) {
			speak(stderr, err)
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

// speak prints an error, or each of several. Faults begin with their own place,
// where terminals and editors can jump to them.
func speak(stderr io.Writer, err error) {
	var several interface{ Unwrap() []error }
	var faults fault.Faults
	switch {
	case errors.As(err, &several):
		for _, one := range several.Unwrap() {
			speak(stderr, one)
		}
	case errors.As(err, &faults):
		fmt.Fprintln(stderr, faults)
	default:
		fmt.Fprintf(stderr, "authgate: %v\n", err)
	}
}
