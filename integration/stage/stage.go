// Package stage knows how to start everything that the demo and the end-to-end tests need:
// a fake GitHub, a real Dex, two sample dashboards, and the authgate binary in front of
// them, on loopback.
//
// Dex and authgate are processes of their own, as in a cluster. A [Stage] is used by one
// goroutine; its parts are safe for concurrent use.
package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/example-org/authgate/integration/dashboards"
	"github.com/example-org/authgate/integration/dex"
	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/visitor"
)

// The organisation and the hosts of the dashboards.
const (
	Org           = "example-org"
	ArgoCDHost    = "argo-cd.localhost"
	WorkflowsHost = "argo-workflows.localhost"
)

// Users is who exists at fake GitHub.
func Users() []fakegithub.Account {
	return []fakegithub.Account{
		{
			ID: 1001, Login: "alice", Name: "Alice Arnold", Email: "alice@example.com",
			Orgs: []string{Org}, Teams: []fakegithub.Team{{Org: Org, Name: "Argo", Slug: "argo"}},
		},
		{
			ID: 1002, Login: "bob", Name: "Bob Berger", Email: "bob@example.com",
			Orgs: []string{Org}, Teams: []fakegithub.Team{{Org: Org, Name: "Dev", Slug: "dev"}},
		},
		{ID: 1003, Login: "carol", Name: "Carol Cramer", Email: "carol@example.com", Orgs: []string{Org}},
	}
}

// Options is what may differ from stage to stage. The zero value of each is
// the demo's.
type Options struct {
	Dir      string // every file goes here
	Authgate string // the binaries
	Dex      string
	Port     int // authgate's; 0 is a free one

	ClientSecret string                            // the secret that authgate is configured with
	Config       func(yaml string, f Files) string // a last word on authgate.yaml
	DexRefresh   string                            // YAML of Dex's expiry.refreshTokens
	DexIDTokens  string                            // how long Dex's ID tokens last
	HeadersOnly  bool                              // the dashboards are shown no credential, and ask for none
	Accounts     dashboards.Credential             // how Argo Workflows knows who asks, where it is not by the stage's own tokens
	ArgoCD       string                            // the address of a real argocd-server, which takes the dashboard's place
	Workflows    string                            // the same for a real argo-server
	Env          []string                          // of authgate, on top of the process's own
	NoDex        bool                              // Dex is started later, or never
	NoAuthgate   bool                              // the test starts authgate itself
	Links        bool                              // the dashboards link to each other and to fake GitHub
}

// Stage is all of it, running.
type Stage struct {
	GitHub      *fakegithub.Server
	Dex         *program.Process // nil while there is none
	Backchannel *Backchannel     // from authgate to Dex
	Authgate    *program.Process // nil while there is none

	ArgoCD    string // what one types into a browser, no trailing slash
	Workflows string
	Admin     string // authgate's admin address
	Files     Files

	binary     string
	env        []string
	dexOptions dex.Options
	dashboards []*dashboards.Running
	visitors   []*visitor.Visitor
	reserved   []*program.Port
}

// DexSecret is what Dex knows authgate by. It guards nothing but this stage.
const (
	dexClient = "authgate"
	DexSecret = "demo-client-secret-for-loopback-only"
)

// Start sets the stage. On an error nothing is left running.
func Start(ctx context.Context, log *slog.Logger, o Options) (_ *Stage, err error) {
	s := &Stage{binary: o.Authgate, env: o.Env, Files: newFiles(o.Dir)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	p, err := s.choosePorts(ctx, o.Port)
	if err != nil {
		return nil, err
	}
	s.ArgoCD = fmt.Sprintf("http://%s:%d", ArgoCDHost, p.authgate)
	s.Workflows = fmt.Sprintf("http://%s:%d", WorkflowsHost, p.authgate)
	s.Admin = "http://127.0.0.1:" + strconv.Itoa(p.admin)
	issuer := s.ArgoCD + "/api/dex"
	dexListen := "127.0.0.1:" + strconv.Itoa(p.dex)

	app := fakegithub.App{ClientID: "dex-at-fake-github", ClientSecret: "dex-secret-at-fake-github", Callback: dex.Callback(issuer)}
	if s.GitHub, err = fakegithub.Start(ctx, log, app, Users()...); err != nil {
		return nil, err
	}
	if err := s.openDashboards(ctx, log, "http://"+dexListen, o); err != nil {
		return nil, err
	}

	s.dexOptions = dex.Options{
		Binary: o.Dex, Dir: filepath.Join(o.Dir, "dex"), Issuer: issuer, Listen: dexListen, RefreshTokens: o.DexRefresh, IDTokens: o.DexIDTokens,
		GitHub: dex.GitHub{
			Host: s.GitHub.Host(), CA: s.GitHub.CA(), Org: Org,
			ClientID: app.ClientID, ClientSecret: app.ClientSecret,
		},
		Client: dex.Client{
			ID: dexClient, Secret: DexSecret,
			RedirectURIs: []string{s.ArgoCD + "/oauth2/callback", s.Workflows + "/oauth2/callback"},
		},
	}
	if !o.NoDex {
		if err := s.StartDex(ctx); err != nil {
			return nil, err
		}
	}

	s.Backchannel = newBackchannel(dexListen)
	if err := s.Files.write(ctx, o, p, issuer, s.Backchannel.server.URL+"/api/dex", s.dashboards); err != nil {
		return nil, fmt.Errorf("writing authgate's files: %w", err)
	}
	if !o.NoAuthgate {
		if err := s.StartAuthgate(ctx); err != nil {
			return nil, err
		}
		if o.NoDex {
			return s, s.await(ctx, s.Healthy)
		}
		return s, s.await(ctx, s.Ready)
	}
	return s, nil
}

func (s *Stage) openDashboards(ctx context.Context, log *slog.Logger, dexURL string, o Options) error {
	var argoLinks, workflowsLinks dashboards.Links
	if o.Links {
		argoLinks = dashboards.Links{SignOut: "/oauth2/sign_out", Switch: s.GitHub.URL()}
		workflowsLinks = argoLinks
		argoLinks.Others = []dashboards.Link{{Name: "workflows", URL: s.Workflows}}
		workflowsLinks.Others = []dashboards.Link{{Name: "Argo CD", URL: s.ArgoCD}}
	}
	ownToken, accounts := dashboards.IDToken(s.verifier(dexURL)), dashboards.ServiceAccounts(s.Files.accounts)
	if o.Accounts != nil {
		accounts = o.Accounts
	}
	if o.HeadersOnly {
		ownToken, accounts = nil, nil
	}
	argo, err := dashboards.ArgoCD(log, dexURL, argoLinks, ownToken)
	if err != nil {
		return err
	}
	for _, dashboard := range []dashboards.Dashboard{argo, dashboards.Workflows(workflowsLinks, accounts)} {
		d, err := dashboards.Serve(ctx, log, dashboard)
		if err != nil {
			return err
		}
		s.dashboards = append(s.dashboards, d)
	}
	return nil
}

// StartDex starts Dex, or starts it again: with new keys, on the same address.
func (s *Stage) StartDex(ctx context.Context) (err error) {
	s.Dex, err = dex.Start(ctx, s.dexOptions)
	return err
}

// StartAuthgate runs `authgate serve`, and waits for nothing.
func (s *Stage) StartAuthgate(ctx context.Context) (err error) {
	s.Authgate, err = program.Start(ctx, program.Command{
		Name: "authgate", Path: s.binary, Args: []string{"serve", "--config", s.Files.Config},
		Dir: s.Files.Dir, Env: s.env, Stdout: s.Files.Audit, Stderr: s.Files.Log,
	})
	return err
}

func (s *Stage) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return s.Authgate.Await(ctx, ready)
}

// Ready asks authgate's readiness, Healthy whether it lives.
func (s *Stage) Ready(ctx context.Context) error   { return s.health(ctx, "/readyz") }
func (s *Stage) Healthy(ctx context.Context) error { return s.health(ctx, "/healthz") }

func (s *Stage) health(ctx context.Context, path string) error {
	a, err := visitor.Curl(ctx, http.MethodGet, s.Admin+path)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return fmt.Errorf("%s answers %d: %s", path, a.Status, a.Body)
	}
	return nil
}

// Visitor is a user of the cast at a fresh browser.
func (s *Stage) Visitor(login string) (*visitor.Visitor, error) {
	v, err := visitor.New(login, s.GitHub.URL(), s.GitHub.CA())
	if err == nil {
		s.visitors = append(s.visitors, v)
	}
	return v, err
}

// Close ends everything, what users meet first first. It may be called again.
func (s *Stage) Close() error {
	var errs []error
	if s.Authgate != nil {
		errs = append(errs, s.Authgate.Stop())
	}
	errs = append(errs, s.CloseDashboards())
	if s.Backchannel != nil {
		s.Backchannel.close()
	}
	if s.Dex != nil {
		errs = append(errs, s.Dex.Stop())
	}
	if s.GitHub != nil {
		errs = append(errs, s.GitHub.Close())
		s.GitHub = nil
	}
	for _, port := range s.reserved {
		errs = append(errs, port.Release())
	}
	s.reserved = nil
	return errors.Join(errs...)
}

// LastArgoCDHeader is the header of the request that reached Argo CD last.
func (s *Stage) LastArgoCDHeader() http.Header { return s.dashboards[0].LastHeader() }

// DexAddress is where Dex is inside the cluster, without path.
func (s *Stage) DexAddress() string { return "http://" + s.dexOptions.Listen }

// DashboardURLs is where both dashboards are without authgate.
func (s *Stage) DashboardURLs() (argoCD, workflows string) {
	return s.dashboards[0].URL(), s.dashboards[1].URL()
}

// CloseDashboards ends the dashboards alone; Dex, below Argo CD, is then only
// reached by authgate.
func (s *Stage) CloseDashboards() error {
	var errs []error
	for _, d := range s.dashboards {
		errs = append(errs, d.Close())
	}
	s.dashboards = nil
	return errors.Join(errs...)
}

// ports are those that must be known before any process listens on them.
type ports struct{ authgate, admin, dex int }

// choosePorts takes authgate's where it is given, and reserves the others until
// the stage is closed.
func (s *Stage) choosePorts(ctx context.Context, authgate int) (p ports, err error) {
	p.authgate = authgate
	for _, port := range []*int{&p.authgate, &p.admin, &p.dex} {
		if *port != 0 {
			if err := program.PortFree(ctx, *port); err != nil {
				return p, err
			}
			continue
		}
		reserved, err := program.ReservePort(ctx)
		if err != nil {
			return p, err
		}
		s.reserved = append(s.reserved, reserved)
		*port = reserved.Number
	}
	return p, nil
}

// Run runs one of authgate's commands, where `authgate serve` runs, and gives what it
// prints. A command that finds something says so by its exit code, which is an error.
func (s *Stage) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Dir, cmd.Env = s.Files.Dir, append(os.Environ(), s.env...)
	out, err := cmd.Output()
	return string(out), err
}
