// Package dex knows how to run the real Dex, with its real `github` connector, as a
// process with a YAML file on loopback, as in a cluster.
//
// go.mod pins the version. Dex is not imported, so that users of this package compile
// immediately and build Dex only when they need it.
package dex

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/example-org/authgate/integration/program"
)

// Build compiles Dex. Storage is in memory, so nothing needs cgo.
func Build(ctx context.Context, out string, progress io.Writer) error {
	return program.Build(ctx, program.Source{
		Name:    "Dex",
		Package: "github.com/dexidp/dex/cmd/dex",
		Env:     []string{"CGO_ENABLED=0"},
		Hint:    " (about 540 packages: some two minutes the first time, seconds later on)",
	}, out, progress)
}

// Options configure one Dex.
type Options struct {
	Binary string
	Dir    string // config, certificate and log are written here
	Issuer string // with its path, no trailing slash
	Listen string // host:port, plain HTTP

	GitHub GitHub
	Client Client

	// RefreshTokens is YAML for expiry.refreshTokens, in one line; empty: Dex's own,
	// tokens that are rotated, and last.
	RefreshTokens string

	IDTokens string // how long ID tokens last, such as 5m; empty: Dex's own, 24h
}

// GitHub is where the connector sends users, and the OAuth app it uses there.
type GitHub struct {
	Host         string // host:port; the scheme is always https
	CA           []byte // PEM
	Org          string // only its members may log in
	ClientID     string
	ClientSecret string
}

// Client is the relying party that Dex knows. Its id and secret reach Dex by
// the environment (idEnv, secretEnv), as they do in a cluster.
type Client struct {
	ID, Secret   string
	RedirectURIs []string
}

// Callback is the redirect_uri to register at GitHub for an issuer.
func Callback(issuer string) string { return issuer + "/callback" }

//go:embed config.yaml.tmpl
var configTemplate string

var config = template.Must(template.New("dex.yaml").Parse(configTemplate))

// Start runs Dex and waits until its discovery document is there. Keys and
// sessions are in memory: after a Stop, another Start has new keys.
func Start(ctx context.Context, o Options) (*program.Process, error) {
	path, err := writeFiles(o)
	if err != nil {
		return nil, fmt.Errorf("writing Dex's files: %w", err)
	}
	log := filepath.Join(o.Dir, "dex.log")
	p, err := program.Start(ctx, program.Command{
		Name: "Dex", Path: o.Binary, Args: []string{"serve", path}, Dir: o.Dir,
		Env: []string{
			"AUTHGATE_CLIENT_ID=" + o.Client.ID,
			"AUTHGATE_CLIENT_SECRET=" + o.Client.Secret,
			"GITHUB_CLIENT_ID=" + o.GitHub.ClientID,
			"GITHUB_CLIENT_SECRET=" + o.GitHub.ClientSecret,
			// The connector uses rootCA when a user logs in and forgets it
			// when a token is refreshed (dex v2.45.1, connector/github/github.go).
			"SSL_CERT_FILE=" + caFile(o),
		},
		Stdout: log, Stderr: log,
	})
	if err != nil {
		return nil, err
	}
	if err := awaitDiscovery(ctx, p, o); err != nil {
		_ = p.Stop()
		return nil, err
	}
	return p, nil
}

func caFile(o Options) string { return filepath.Join(o.Dir, "github-ca.pem") }

func writeFiles(o Options) (configPath string, err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(caFile(o), o.GitHub.CA, 0o600); err != nil {
		return "", err
	}
	configPath = filepath.Join(o.Dir, "dex.yaml")
	f, err := os.OpenFile(configPath, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close() // the error that matters is Write's
	return configPath, Write(f, o, caFile(o))
}

// Write writes the configuration of a Dex that finds the authority of GitHub in caFile.
func Write(w io.Writer, o Options, caFile string) error {
	return config.Execute(w, struct {
		Options
		Callback, CAFile string
	}{o, Callback(o.Issuer), caFile})
}

func awaitDiscovery(ctx context.Context, p *program.Process, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	issuer, err := url.Parse(o.Issuer)
	if err != nil {
		return fmt.Errorf("parsing Dex's issuer: %w", err)
	}
	at := "http://" + o.Listen + issuer.Path + "/.well-known/openid-configuration"
	return p.Await(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close() // only read
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", at, res.Status)
		}
		return nil
	})
}
