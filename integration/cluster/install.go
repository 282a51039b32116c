//go:build unix

package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example-org/authgate/integration/dex"
	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/stage"
)

//go:embed manifests
var manifests embed.FS

// templates are the manifests of what is in a cluster before authgate is.
var templates = template.Must(template.New("").
	Funcs(template.FuncMap{"list": func(words ...string) []string { return words }}).
	ParseFS(manifests, "manifests/*.tmpl"))

// installTimeout bounds how long pods may take to be ready.
const installTimeout = 3 * time.Minute

// settings is what the templates read.
type settings struct {
	Issuer, ClientID, ClientSecret string
	App                            fakegithub.App
	Accounts                       string // of users, in JSON
	GitHub                         fakegithub.Identity
	GitHubHost, GitHubIP           string
	GitHubPort                     int
	Dex                            string // its configuration
}

// The client of Dex that authgate is. The secret guards nothing but this cluster.
const (
	clientID     = "authgate"
	clientSecret = "cluster-client-secret-for-loopback-only"
)

// install puts everything but authgate into the cluster, and waits for it.
func (c *cluster) install(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	s := settings{
		Issuer: c.issuer(), ClientID: clientID, ClientSecret: clientSecret, GitHub: c.github, GitHubHost: githubHost, GitHubPort: c.githubPort,
		App: fakegithub.App{ClientID: "dex-at-fake-github", ClientSecret: "dex-secret-at-fake-github", Callback: dex.Callback(c.issuer())},
	}
	accounts, err := json.Marshal(stage.Users())
	if err != nil {
		return err
	}
	s.Accounts = string(accounts)
	if err := c.applyTemplate(ctx, "platform.yaml.tmpl", s); err != nil {
		return err
	}
	github, err := c.CoreV1().Services("github").Get(ctx, "github", metav1.GetOptions{})
	if err != nil {
		return err
	}
	s.GitHubIP = github.Spec.ClusterIP
	var config bytes.Buffer
	err = dex.Write(&config, dex.Options{
		Issuer: s.Issuer, Listen: "0.0.0.0:5556",
		GitHub: dex.GitHub{Host: net.JoinHostPort(githubHost, strconv.Itoa(c.githubPort)), Org: stage.Org},
		Client: dex.Client{RedirectURIs: c.callbacks()},
	}, "/etc/dex/github-ca.pem")
	if err != nil {
		return err
	}
	s.Dex = config.String()
	if err := c.applyArgo(ctx, s); err != nil {
		return err
	}
	for _, deployment := range []string{
		"github/github", "github/tunnel", "dashboards/dashboard", "redis/redis", "argocd/argocd-dex-server", "argocd/argocd-server", "argo/argo-server",
	} {
		namespace, name, _ := strings.Cut(deployment, "/")
		if err := c.Await(ctx, namespace, name); err != nil {
			return err
		}
	}
	return c.forward(c.githubPort, net.JoinHostPort("github.github.svc", strconv.Itoa(c.githubPort)))
}

// callbacks are those of browsers here, and those that `authgate doctor` derives inside of
// the cluster, where it does not know the port of browsers.
func (c *cluster) callbacks() (all []string) {
	for _, host := range []string{argoCDHost, workflowsHost, toolsHost} {
		all = append(all, c.url(host)+"/oauth2/callback", "http://"+host+"/oauth2/callback")
	}
	return all
}

// applyArgo applies the kinds of both, the settings that users copy from examples/, and
// the servers.
func (c *cluster) applyArgo(ctx context.Context, s settings) error {
	kinds, err := c.argoCD.Manifests()
	if err != nil {
		return err
	}
	own, err := c.workflows.Manifests()
	if err != nil {
		return err
	}
	all := kinds + "\n---\n" + own
	for _, file := range []string{"argo-cd/argocd-cm.yaml", "argo-cd/argocd-rbac-cm.yaml", "argo-workflows/rbac.yaml"} {
		text, err := os.ReadFile(filepath.Join(c.root, "examples", file))
		if err != nil {
			return err
		}
		all += "\n---\n" + strings.ReplaceAll(string(text), "https://argo-cd.example.com", c.url(argoCDHost))
	}
	if err := c.Apply(ctx, all); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.applyTemplate(ctx, "argo.yaml.tmpl", s)
		if !meta.IsNoMatchError(err) { // a new kind is known a moment after it was applied
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func (c *cluster) applyTemplate(ctx context.Context, name string, s settings) error {
	var text bytes.Buffer
	if err := templates.ExecuteTemplate(&text, name, s); err != nil {
		return err
	}
	if err := c.Apply(ctx, text.String()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
