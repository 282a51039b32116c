package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
)

func newConfig() *cobra.Command {
	return group("config", "Check a configuration, or print its schema", newConfigCheck(), newConfigSchema())
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration",
		Long:  "Print a JSON Schema (2020-12) of authgate.yaml, for editors and for Helm values.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := config.Schema()
			if err != nil {
				return failed{err}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(schema))
			return err
		},
	}
}

func newConfigCheck() *cobra.Command {
	var file string
	var syntaxOnly bool
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Say whether `serve` would start with a configuration",
		Long: "Do all that `serve` does before it opens a port: read the configuration, the\n" +
			"secrets, certificates and policies that it names, and build the routes.\n" +
			"Nothing is dialled. With --syntax-only the files that it names stay unread.",
		Example: "  authgate config check --config authgate.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if syntaxOnly {
				if _, err := config.Load(file); err != nil {
					return notLoaded{err}
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: syntax ok\n", file)
				return err
			}
			parts, err := loadParts(file)
			if err != nil {
				return notLoaded{err}
			}
			quiet := slog.New(slog.DiscardHandler)
			if _, err := proxy.New(proxy.Options{
				Config: parts.config, Issuer: identity.New(parts.issuer, quiet), Keys: parts.keys, Policy: parts.policy,
				Audit: audit.New(nil, quiet), Registry: prometheus.NewRegistry(), Log: quiet,
			}); err != nil {
				return notLoaded{err}
			}
			return describe(cmd.OutOrStdout(), file, parts)
		},
	}
	addConfigFlag(cmd, &file)
	cmd.Flags().BoolVar(&syntaxOnly, "syntax-only", false, "do not read the files that the configuration names")
	return cmd
}

func addConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "configuration file (authgate.yaml)")
	_ = cmd.MarkFlagRequired("config")
}

func describe(w io.Writer, file string, parts *parts) error {
	_, err := fmt.Fprintf(w, "%s: ok: %d upstreams, %d policy rows (%s)\n",
		file, len(parts.config.Upstreams), parts.policy.Rows(), parts.policy.Hash())
	return err
}
