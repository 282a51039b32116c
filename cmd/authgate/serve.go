package main

import (
	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/server"
)

func newServe(build server.BuildInfo) *cobra.Command {
	var file string
	var logging logFlags
	cmd := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Serve the dashboards of a configuration",
		Long: "Serve until SIGTERM or SIGINT. On SIGTERM /readyz fails at once and requests are\n" +
			"still served for timeouts.shutdownDelay, so that a balancer can look away; on\n" +
			"SIGINT (Ctrl-C) there is no delay. A second of these signals ends the process.\n" +
			"Changed policy files, secrets and certificates are taken within 2 seconds;\n" +
			"SIGHUP looks at them at once, and opens the audit's file again. SIGUSR1 switches\n" +
			"the log to debug, and back.",
		Example: "  authgate serve --config /etc/authgate/authgate.yaml --log-format json",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := logging.check(); err != nil {
				return err
			}
			stdout, stderr := cli.UnwrapWriter(cmd.OutOrStdout()), cli.UnwrapWriter(cmd.ErrOrStderr())
			err := server.Run(cmd.Context(), server.Options{ConfigFile: file, Log: logging.options(), Stdout: stdout, Stderr: stderr, Build: build})
			return logging.exitError(stderr, err)
		},
	}
	cli.AddConfigFlag(cmd, &file)
	logging.add(cmd)
	return cmd
}
