package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity/clilogin"
	"github.com/example-org/authgate/server"
	"github.com/example-org/authgate/text"
)

type tokenFlags struct {
	config, issuer, clientID string
	secretFile, secretEnv    string
	caFile                   string
	scopes, audiences        []string

	force, device, noBrowser bool
	listen                   string
	timeout                  time.Duration

	execCredential, logout bool
}

func (f *tokenFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "",
		"take issuer, client, scopes, audiences and CA from this `FILE` (authgate.yaml)")
	flags.StringVar(&f.issuer, "issuer", "", "`URL` of the issuer, as it calls itself")
	flags.StringVar(&f.clientID, "client-id", "", "client `ID`; with --config, a client other than authgate's own")
	flags.StringVar(&f.secretFile, "client-secret-file", "",
		"`FILE` that holds the client's secret; a public client has none")
	flags.StringVar(&f.secretEnv, "client-secret-env", "", "environment variable `NAME` that holds the client's secret")
	flags.StringVar(&f.caFile, "ca-file", "", "`FILE` with PEM CA certificates used to verify the issuer")
	flags.StringSliceVar(&f.scopes, "scopes", nil,
		"`SCOPES` to ask for (default "+strings.Join(config.Default().Issuer.Scopes, ",")+")")
	flags.StringArrayVar(&f.audiences, "audience", nil,
		"additional client `ID` that the token is for (a scope of Dex); may be repeated")
	flags.BoolVar(&f.force, "force", false, "log in again and ignore the cached token")
	flags.BoolVar(&f.device, "device", false, "log in with a code that you enter in a browser on any device")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "print the address for a browser on this machine, and do not open it")
	flags.StringVar(&f.listen, "listen", "",
		"`ADDRESS` that the browser is redirected to (default 127.0.0.1 and any free port)")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long to wait for the login")
	flags.BoolVar(&f.execCredential, "exec-credential", false, "print an ExecCredential, for user.exec of a kubeconfig")
	flags.BoolVar(&f.logout, "logout", false, "remove the cached tokens of this issuer and client, and print no token")
	cli.Exclusive(cmd, "config", "issuer")
	cli.Exclusive(cmd, "client-secret-file", "client-secret-env")
	cli.Exclusive(cmd, "device", "no-browser")
	cli.Exclusive(cmd, "device", "listen")
	for _, other := range []string{"force", "device", "exec-credential"} {
		cli.Exclusive(cmd, "logout", other)
	}
}

// check refuses what was meant otherwise: a flag that is there and empty is mostly a
// variable that is not set.
func (f *tokenFlags) check(cmd *cobra.Command) (err error) {
	for _, name := range []string{
		"config", "issuer", "client-id", "client-secret-file", "client-secret-env", "ca-file",
		"listen",
	} {
		if flag := cmd.Flags().Lookup(name); flag.Changed && flag.Value.String() == "" {
			return fmt.Errorf("--%s is empty; write a value, or leave the flag out", name)
		}
	}
	if f.issuer == "" {
		if f.config, err = cli.FindConfig(f.config); err != nil {
			return errors.New("no issuer is named; write --issuer URL --client-id ID, or --config FILE " + cli.NoDefaultConfig)
		}
	}
	switch {
	case f.issuer != "" && f.clientID == "":
		return errors.New("no client is named; write --client-id ID with --issuer")
	case f.config != "" && f.clientID == "" && f.secretFile+f.secretEnv != "":
		return errors.New("the secret of authgate's own client is in the configuration; name the client that this one is " +
			"of with --client-id")
	case slices.Contains(f.audiences, ""):
		return errors.New("--audience is empty; write a client id, or leave the flag out")
	case f.timeout <= 0:
		return errors.New("--timeout is not positive; write such as 5m")
	}
	return nil
}

// clientConfig reads what the flags name. Of a configuration it takes what a
// user outside needs: backchannelURL is an address within the cluster.
func (f *tokenFlags) clientConfig() (cfg clilogin.Config, err error) {
	cfg = clilogin.Config{
		Issuer: f.issuer, ClientID: f.clientID, Scopes: config.Default().Issuer.Scopes,
		Audiences: f.audiences,
	}
	key, caFile := "--ca-file", f.caFile
	if f.config != "" {
		c, err := config.Load(f.config)
		if err != nil {
			return cfg, err
		}
		cfg.Issuer, cfg.Scopes = c.Issuer.URL, c.Issuer.Scopes
		if caFile == "" {
			key, caFile = "issuer.caFile", c.Issuer.CAFile
		}
		if f.clientID == "" {
			cfg.Audiences = append(slices.Clone(c.Issuer.Audiences), f.audiences...)
			if err := f.useOwnClient(&cfg, c.Issuer); err != nil {
				return cfg, err
			}
		}
	}
	if len(f.scopes) > 0 {
		cfg.Scopes = f.scopes
	}
	if f.logout { // needs neither
		return cfg, nil
	}
	if f.secretFile+f.secretEnv != "" {
		if cfg.ClientSecret, err = f.secret(); err != nil {
			return cfg, err
		}
	}
	cfg.RootCAs, err = server.ReadCAs(key, caFile)
	return cfg, err
}

// useOwnClient is the client that authgate itself is, whose secret is mostly not where
// people are.
func (f *tokenFlags) useOwnClient(cfg *clilogin.Config, c config.Issuer) (err error) {
	const hint = "; users need no secret: create a public client at the issuer, and name it with --client-id"
	if cfg.ClientID, err = c.ClientID.Reveal(); err != nil {
		return fmt.Errorf("%w%s", err, hint)
	}
	if f.logout {
		return nil
	}
	if cfg.ClientSecret, err = c.ClientSecret.Reveal(); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w%s", err, hint)
	}
	return err
}

// secret repeats nothing of what it reads.
func (f *tokenFlags) secret() (secret string, err error) {
	flag, from := "--client-secret-env", "environment variable "+f.secretEnv
	if f.secretFile != "" {
		flag, from = "--client-secret-file", "file "+f.secretFile
		data, err := os.ReadFile(f.secretFile)
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", flag, from, text.WithoutPath(err))
		}
		secret = strings.TrimRight(string(data), "\r\n")
	} else {
		secret = os.Getenv(f.secretEnv)
	}
	if strings.TrimSpace(secret) == "" {
		return "", fmt.Errorf("%s: %s holds nothing", flag, from)
	}
	return secret, nil
}

// tokenDir is where tokens are cached, for this user only.
func tokenDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("where to keep tokens is not known: %w; set HOME to a folder of yours", err)
	}
	return filepath.Join(dir, "authgate", "tokens"), nil
}
