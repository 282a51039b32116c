package main

import (
	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/policycmd"
	"github.com/example-org/authgate/server"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version string

func newRoot() *cobra.Command {
	build := server.ReadBuildInfo(version)
	root := cli.Group("authgate", "One login and one policy file in front of your dashboards",
		newServe(build), newConfig(), policycmd.New(build.Version), newDoctor(), newSession(), newToken(), newKeygen(),
		newVersion(build), cli.NewCompletion())
	root.AddCommand(packaging()...)
	root.Version = build.Version
	root.SetVersionTemplate(build.String() + "\n")
	root.Flags().Bool("version", false, "print version, revision, Go and platform")
	return root
}
