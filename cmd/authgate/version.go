package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/server"
)

func newVersion(build server.BuildInfo) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, revision, Go and platform",
		Long: "Print the version of this binary, the revision that it was built from, the version of Go,\n" +
			"and the platform. Use it in bug reports. `authgate --version` prints the same." +
			cli.ExitCodes{0: "the version is printed"}.Table(),
		Example: "  authgate version",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), build)
			return cli.WriteError(err)
		},
	}
}
