package main

import (
	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/policycmd"
)

func newRoot() *cobra.Command {
	build := readBuildInfo()
	root := cli.Group("authgate", "One login and one policy file in front of your dashboards",
		newServe(), newConfig(), policycmd.New(build.version), newDoctor(), newSession(), newToken(), newKeygen(), newVersion(), cli.NewCompletion())
	root.Version = build.version
	root.SetVersionTemplate(build.String() + "\n")
	root.Flags().Bool("version", false, "print version, revision, Go and platform")
	return root
}
