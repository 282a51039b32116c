package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Explain a command",
		Long: "Explain a command, as --help after its name does." +
			ExitCodes{
				0: "the explanation is printed",
				2: "there is no such command",
			}.Table(),
		Example: "  authgate help policy can",
		Args:    cobra.ArbitraryArgs, // helpOn says which of them is not a command
		RunE:    func(cmd *cobra.Command, args []string) error { return helpOn(cmd.Root(), args) },
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			at, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range at.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, c.Name())
				}
			}
			return FilterPrefix(toComplete, names), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// helpOn explains the command below another one that the words name.
func helpOn(cmd *cobra.Command, words []string) error {
	for _, word := range words {
		var next *cobra.Command
		for _, c := range cmd.Commands() {
			if c.Name() == word || c.HasAlias(word) {
				next = c
			}
		}
		if next == nil {
			return unknownCommand(cmd, word)
		}
		cmd = next
	}
	cmd.InitDefaultHelpFlag() // so that it is listed
	return cmd.Help()
}

// NewCompletion takes the place of cobra's own command, which answers a wrong name of
// a shell with its help and exit code 0.
func NewCompletion() *cobra.Command {
	type generator func(root *cobra.Command, w io.Writer, descriptions bool) error
	shell := func(name, load string, write generator) *cobra.Command {
		plain := false
		cmd := &cobra.Command{
			Use:   name,
			Short: "Print the completion script for " + name,
			Long: "Print the completion script for " + name + ". It completes commands, flags, and the\n" +
				"names in the policy that the command line names." + ExitCodes{0: "the script is printed"}.Table(),
			Example: load,
			Args:    Arguments(),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return WriteError(write(cmd.Root(), cmd.OutOrStdout(), !plain))
			},
		}
		cmd.Flags().BoolVar(&plain, "no-descriptions", false, "leave out the descriptions of what is offered")
		return cmd
	}
	return Group("completion", "Print a completion script for a shell",
		shell("bash", "  source <(authgate completion bash)",
			func(root *cobra.Command, w io.Writer, descriptions bool) error {
				return root.GenBashCompletionV2(w, descriptions)
			}),
		shell("zsh", "  authgate completion zsh > \"${fpath[1]}/_authgate\"",
			func(root *cobra.Command, w io.Writer, descriptions bool) error {
				if descriptions {
					return root.GenZshCompletion(w)
				}
				return root.GenZshCompletionNoDesc(w)
			}),
		shell("fish", "  authgate completion fish | source", func(root *cobra.Command, w io.Writer, descriptions bool) error {
			return root.GenFishCompletion(w, descriptions)
		}),
		shell("powershell", "  authgate completion powershell | Out-String | Invoke-Expression",
			func(root *cobra.Command, w io.Writer, descriptions bool) error {
				if descriptions {
					return root.GenPowerShellCompletionWithDesc(w)
				}
				return root.GenPowerShellCompletion(w)
			}))
}

func FilterPrefix(prefix string, words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !strings.HasPrefix(w, prefix) })
}

// ExitCodes says what the exit codes of one command mean.
type ExitCodes map[int]string

// Table is the end of a help text: a line for each code that the command can end with.
func (c ExitCodes) Table() string {
	usage, load := c[ExitUsage], "the output cannot be written"
	if usage == "" {
		usage = "wrong usage"
	}
	if c[ExitLoadError] != "" {
		load = c[ExitLoadError] + "; or " + load
	}
	table := "\n\nExit codes:\n  0  " + c[ExitYes]
	if c[ExitNo] != "" {
		table += "\n  1  " + c[ExitNo]
	}
	return table + "\n  2  " + usage + "\n  3  " + load
}
