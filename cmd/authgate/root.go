package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/fault"
)

func newRoot(streams ...*outputStream) *cobra.Command {
	root := group("authgate", "One login and one policy file in front of your dashboards",
		newServe(), newConfig(), newPolicy(), newDoctor(), newSession(), newToken(), newKeygen(), newVersion(), newCompletion())
	root.SilenceUsage, root.SilenceErrors = true, true // exit.go speaks
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	root.PersistentFlags().Var(colourFlag(streams), "color", "`WHEN` to colour text: "+strings.Join(colourWords, ", "))
	_ = root.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(colourWords, cobra.ShellCompDirectiveNoFileComp))
	root.Version = readBuildInfo().version
	root.SetVersionTemplate(readBuildInfo().String() + "\n")
	root.Flags().Bool("version", false, "print version, revision, Go and platform")
	return root
}

// group is a command that only holds others. By itself it shows them.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
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
