package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/server"
)

func newConfig() *cobra.Command {
	return cli.Group("config", "Check a configuration, or print its schema", newConfigCheck(), newConfigSchema())
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration",
		Long: "Print the JSON Schema (2020-12) of authgate.yaml. Use it for completion in an editor, or\n" +
			"to validate values of Helm." +
			cli.ExitCodes{0: "the schema is printed"}.Table(),
		Example: "  authgate config schema > authgate.schema.json",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := config.Schema()
			if err != nil {
				return cli.RunError(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(schema))
			return err
		},
	}
}

func newConfigCheck() *cobra.Command {
	var file string
	var strict bool
	cmd := &cobra.Command{
		Use:   "check [--config FILE]",
		Short: "Check whether `serve` would start with a configuration",
		Long: "Read a configuration, and the secrets, certificates and policies that it names. Use it in\n" +
			"CI, or before a rollout. It makes no network connection.\n\n" +
			"Files and variables that are missing on this machine, such as the secrets of a cluster,\n" +
			"are listed. They are errors only with --strict." +
			cli.ExitCodes{
				0: "the configuration loads",
				3: "the configuration, or a file that it names, does not load",
			}.Table(),
		Example: "  authgate config check --config authgate.yaml",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var missing []error
			onMissing := func(err error) error {
				missing = append(missing, err)
				return nil
			}
			if strict {
				onMissing = server.FailOnMissing
			}
			deps, err := server.LoadDeps(file, onMissing)
			if err != nil {
				return cli.LoadError(err)
			}
			return printSummary(cmd.OutOrStdout(), file, deps, missing)
		},
	}
	cli.AddConfigFlag(cmd, &file)
	cmd.Flags().BoolVar(&strict, "strict", false, "fail if a file or variable that the configuration names is missing")
	return cmd
}

func printSummary(w io.Writer, file string, deps *server.Deps, missing []error) error {
	summary := fmt.Sprintf("%s: ok: %d upstreams", file, len(deps.Config.Upstreams))
	if deps.Policy != nil {
		summary += fmt.Sprintf(", %d policy rows (%s)", deps.Policy.RowCount(), deps.Policy.Hash())
	}
	if deps.Shadow != nil {
		summary += fmt.Sprintf(", %d of the candidate in policy.shadow (%s)", deps.Shadow.RowCount(), deps.Shadow.Hash())
	}
	if m := deps.Config.Policy.ConfigMap; !m.IsZero() {
		summary += "\n  not checked: the policy in ConfigMap " + m.Path() + ", because this command makes no network " +
			"connection"
	}
	for _, err := range missing {
		for line := range strings.Lines(err.Error()) { // several policy files are one error
			summary += "\n  missing here, not checked: " + strings.TrimSuffix(line, "\n")
		}
	}
	for _, warning := range deps.Warnings() {
		summary += "\n  note: " + warning
	}
	_, err := fmt.Fprintln(w, summary)
	return err
}
