// Package cli is what all commands share: how one is run, reads its flags, prints its
// answer, and ends with an exit code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/fault"
)

// Execute runs one command line and returns its exit code. It touches no global.
func Execute(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	out, diagnostics := &outputStream{w: stdout}, &outputStream{w: stderr}
	root.SilenceUsage, root.SilenceErrors = true, true // ExitCode prints them
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	root.PersistentFlags().Var(colourFlag{out, diagnostics}, "color",
		"`WHEN` to colour text: "+strings.Join(colourWords, ", "))
	_ = root.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(colourWords, cobra.ShellCompDirectiveNoFileComp))
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(diagnostics)
	cmd, err := root.ExecuteContextC(ctx)
	if out.err == nil {
		return ExitCode(diagnostics, cmd, err)
	}
	if err != nil && !errors.Is(err, ErrNo) && !errors.Is(err, out.err) {
		ExitCode(diagnostics, cmd, err) // what else went wrong
	}
	return ExitCode(diagnostics, cmd, WriteError(out.err))
}

// Group is a command that only holds others. By itself it shows them.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use:   use,
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] == "help" {
				return helpOn(cmd, args[1:])
			}
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			cmd.SetOut(cmd.ErrOrStderr())
			if err := cmd.Help(); err != nil {
				return err
			}
			return errors.New("no command is named")
		},
		Args: cobra.ArbitraryArgs, // judged above, with a guess at what was meant
	}
	g.AddCommand(commands...)
	return g
}

func unknownCommand(cmd *cobra.Command, word string) error {
	var known []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			known = append(known, c.Name())
		}
	}
	what := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), word)
	if hint := fault.DidYouMean(word, known); hint != "" {
		what += "; " + hint
	}
	return errors.New(what)
}
