package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, revision, Go and platform",
		Long: "Print the version of this binary, the revision that it was built from, the version\n" +
			"of Go, and the platform. `authgate --version` prints the same.",
		Example: "  authgate version",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), readBuildInfo())
			return cli.WriteError(err)
		},
	}
}

func (b buildInfo) String() string {
	return fmt.Sprintf("authgate %s (revision %s) %s %s/%s", b.version, b.revision, b.goVersion, runtime.GOOS, runtime.GOARCH)
}
