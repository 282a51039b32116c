package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/identity/clilogin"
)

func newToken() *cobra.Command {
	var flags tokenFlags
	cmd := &cobra.Command{
		Use:   "token (--config FILE | --issuer URL --client-id ID)",
		Short: "Log in, and print an ID token for curl, argocd, argo or kubectl",
		Long: "Print an ID token that is valid for at least a minute, and nothing else on standard\n" +
			"output. Use it in scripts and kubeconfigs that reach a dashboard through authgate.\n\n" +
			"The token is cached, and refreshed as long as the issuer allows. Otherwise you log in:\n" +
			"with a browser on this machine or, without a display, with a code that you enter in a\n" +
			"browser on any device. If several programs need a token at the same time, one of them\n" +
			"logs in and the others wait for it." +
			cli.ExitCodes{
				0: "the token is printed; for --logout, the cached tokens are removed",
				1: "the login failed, or took longer than --timeout",
				3: "the configuration, or another file, does not load",
			}.Table(),
		Example: "  curl -H \"Authorization: Bearer $(authgate token --issuer https://dex.example.com --client-id " +
			"authgate-cli)\" https://argo-cd.example.com/api/v1/applications\n" +
			"  authgate token --issuer https://dex.example.com --client-id authgate-cli --logout",
		Args: cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			version, err := execVersion(os.Getenv)
			if err != nil && flags.execCredential { // before a login for it
				return cli.RunError(err)
			}
			client, err := flags.client(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithTimeoutCause(ctx, flags.timeout,
				fmt.Errorf("the login was not finished within %s (--timeout)", flags.timeout))
			defer cancel()
			if flags.logout {
				return removeTokens(ctx, cmd, client)
			}
			token, err := client.Token(ctx)
			switch {
			case err == nil:
				return flags.print(cmd, version, token)
			case errors.Is(ctx.Err(), context.Canceled):
				return cli.RunError(errors.New("interrupted; the login was not finished"))
			default:
				return cli.RunError(err)
			}
		},
	}
	flags.add(cmd)
	return cmd
}

// removeTokens says what a logout here does not end, because users expect more of it.
func removeTokens(ctx context.Context, cmd *cobra.Command, client *clilogin.Client) error {
	n, err := client.Logout(ctx)
	if err != nil {
		return cli.RunError(fmt.Errorf("removing cached tokens: %w", err))
	}
	message := "no token of this issuer and client was cached"
	if n > 0 {
		message = cli.Plural(n, "cached token") +
			" removed; ID tokens that programs already have stay valid until they expire"
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "authgate: "+message)
	return cli.WriteError(err)
}

// print writes the token and nothing else: this output is put into headers.
func (f *tokenFlags) print(cmd *cobra.Command, version string, token clilogin.Token) error {
	if f.execCredential {
		return printExecCredential(cmd.OutOrStdout(), version, token)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), token.Raw)
	return cli.WriteError(err)
}

// client is everything that the flags say, read and checked.
func (f *tokenFlags) client(cmd *cobra.Command) (*clilogin.Client, error) {
	cfg, err := f.clientConfig()
	if err != nil {
		return nil, cli.LoadError(err)
	}
	if cfg.Dir, err = tokenDir(); err != nil {
		return nil, cli.LoadError(err)
	}
	stderr := cmd.ErrOrStderr()
	cfg.Printf = func(format string, args ...any) { fmt.Fprintf(stderr, "authgate: "+format+"\n", args...) }
	cfg.Force, cfg.Listen, cfg.Now = f.force, f.listen, time.Now
	display := clilogin.HasDisplay(runtime.GOOS, os.Getenv)
	// --listen requires a browser, since it says where the browser comes back. So
	// does a client with a secret.
	cfg.Device = f.device || !display && !f.noBrowser && f.listen == "" && cfg.ClientSecret == ""
	if display && !f.noBrowser {
		cfg.OpenURL = func(address string) error { return clilogin.OpenBrowser(runtime.GOOS, address) }
	}
	return clilogin.New(cfg)
}
