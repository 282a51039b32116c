package main

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/fault"
)

func newRoot() *cobra.Command {
	root := group("authgate", "One login and one policy file in front of your dashboards",
		newServe(), newConfig(), newPolicy(), newDoctor(), newSession(), newToken(), newKeygen(), newVersion())
	root.SilenceUsage, root.SilenceErrors = true, true // exit.go speaks
	return root
}

// group is a command that only holds others. By itself it shows them.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use:   use,
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
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
		known = append(known, c.Name())
	}
	what := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), word)
	if hint := fault.DidYouMean(word, known); hint != "" {
		what += "; " + hint
	}
	return errors.New(what)
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := readBuildInfo()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "authgate %s %s %s/%s\n", b.version, b.goVersion, runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
