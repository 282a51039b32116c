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
		Long: "Print the version of this binary, the revision that it was built from, the version\n" +
			"of Go, and the platform. `authgate --version` prints the same.",
		Example: "  authgate version",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), build)
			return cli.WriteError(err)
		},
	}
}
