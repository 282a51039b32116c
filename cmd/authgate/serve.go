package main

import (
	"github.com/spf13/cobra"

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/policycmd"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/server"
)

func newServe(build server.BuildInfo) *cobra.Command {
	var file string
	var logging logFlags
	cmd := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Run the proxy in front of the configured dashboards",
		Long: "Run the proxy until SIGTERM or SIGINT. Use it as the process of a container or a\n" +
			"service.\n\n" +
			"On SIGTERM, /readyz fails immediately and authgate keeps serving for\n" +
			"timeouts.shutdownDelay, so that load balancers stop sending new requests. SIGINT\n" +
			"(Ctrl-C) skips the delay. A second signal exits immediately.\n\n" +
			"authgate reloads changed policy files, secrets and certificates within 2 seconds, or\n" +
			"immediately on SIGHUP, which also reopens the audit file. SIGUSR1 switches the log to\n" +
			"debug level and back." +
			cli.ExitCodes{
				0: "a signal stopped it",
				1: "it stopped serving because of an error",
				3: "it cannot start: a file does not load, or an address is in use",
			}.Table(),
		Example: "  authgate serve --config /etc/authgate/authgate.yaml --log-format json",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := logging.check(); err != nil {
				return err
			}
			stdout, stderr := cli.UnwrapWriter(cmd.OutOrStdout()), cli.UnwrapWriter(cmd.ErrOrStderr())
			err := server.Run(cmd.Context(), server.Options{
				ConfigFile: file, Log: logging.options(), Stdout: stdout,
				Stderr: stderr, Build: build,
				PolicyTools: func(c *config.Config) admin.PolicyTools { return policycmd.OperatorTools{Config: c} },
			})
			return logging.exitError(stderr, err)
		},
	}
	cli.AddConfigFlag(cmd, &file)
	logging.add(cmd)
	return cmd
}
