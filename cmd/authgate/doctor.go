package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy/lint"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/server"
	"github.com/example-org/authgate/server/doctor"
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/session/seal"
)

func newDoctor() *cobra.Command {
	var file string
	var out cli.Output
	var groups int
	var origins []string
	cmd := &cobra.Command{
		Use:   "doctor [--config FILE]",
		Short: "Check the installation for common problems",
		Long: "Check a configuration and what it needs on the network: the issuer, its client and\n" +
			"callbacks, the upstreams, Redis, and tokens of ServiceAccounts. Print one line per\n" +
			"check, with a fix for each problem. Nothing is changed.\n\n" +
			"Use it before you deploy, because it lists what is missing, and when a login or an\n" +
			"upstream fails. `authgate config check` is the part of it that needs no network." +
			cli.ExitCodes{
				0: "no check fails; warnings do not count",
				1: "a check fails",
				3: "the configuration does not load",
			}.Table(),
		Example: "  authgate doctor --config authgate.yaml\n  kubectl exec deploy/authgate -- authgate doctor --config " +
			"/etc/authgate/config/authgate.yaml",
		Args: cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			requestedOrigins, err := parseOrigins(origins)
			if err != nil {
				return err
			}
			var missing []error
			p, err := server.LoadDeps(file, func(err error) error {
				missing = append(missing, err)
				return nil
			})
			if err != nil {
				return cli.LoadError(err)
			}
			if err := checkOriginsServed(p.Config, requestedOrigins); err != nil {
				return err
			}
			return printFindings(cmd, &out, doctor.Run(cmd.Context(), doctorChecks(p, missing, groups, requestedOrigins)))
		},
	}
	cli.AddConfigFlag(cmd, &file)
	out.AddFlag(cmd)
	cmd.Flags().IntVar(&groups, "groups", 100, "`NUMBER` of groups of a user whose session must fit into cookies")
	cmd.Flags().StringArrayVar(&origins, "origin", nil,
		"`ORIGIN` at which browsers reach a host, such as http://127.0.0.1:8080; may be repeated;\nwithout it, those that "+
			"listen, tls and trustedProxies allow are tried")
	return cmd
}

func printFindings(cmd *cobra.Command, out *cli.Output, found []doctor.Finding) error {
	failures := 0
	for _, f := range found {
		if f.State == doctor.Fail {
			failures++
		}
	}
	err := out.Render(cmd, map[string]any{"findings": found, "failed": failures}, func(s *cli.Printer) {
		for _, f := range found {
			state := map[doctor.State]string{
				doctor.OK: s.Success("ok     "), doctor.Warn: s.Warn("warn   "), doctor.Fail: s.Failure("FAIL   "),
				doctor.Skipped: s.Dim("skipped"),
			}[f.State]
			line := state + "  " + f.Check + ": " + f.Message
			if f.Hint != "" {
				line += "; " + f.Hint
			}
			s.Line("%s", line)
		}
	})
	if err == nil && failures > 0 {
		return cli.ErrNo
	}
	return err
}

// doctorChecks lists all checks. missing are the files and variables that do not exist here.
func doctorChecks(p *server.Deps, missing []error, groups int, origins []*url.URL) []doctor.Check {
	c := p.Config
	callbacks, wildcards := doctor.CallbackCandidates(c, origins)
	issuer := doctor.Issuer{
		URL: c.Issuer.URL, Backchannel: c.Issuer.BackchannelURL, ClientID: p.Issuer.ClientID, Secret: p.Issuer.ClientSecret,
		Scopes: c.Issuer.Scopes, RootCAs: p.Issuer.RootCAs, ClockSkew: time.Duration(c.Issuer.ClockSkew),
		Callbacks: callbacks, Wildcards: wildcards, Now: time.Now,
	}
	sessions := doctor.Sessions{
		Config: c, KeysText: p.KeysText, Cookie: proxy.NewSessionCookie(c.Session.Cookie),
		Groups: groups,
	}
	if p.Redis.URL != "" {
		sessions.OpenRedis = func() (*redisstore.Store, error) {
			return p.OpenRedis(seal.NewKeyring(p.Keys), slog.New(slog.DiscardHandler))
		}
	}
	var tlsPEM [][]byte
	if p.TLS != nil {
		tlsPEM = p.TLS.PEM
	}
	all := slices.Concat(
		[]doctor.Check{doctor.CheckConfig(c, missing, p.Warnings()), checkPolicy(p)},
		issuer.Checks(), doctor.CheckBearers(c, p.BearerCAs),
		[]doctor.Check{sessions.Check(), doctor.CheckCertificate(c, tlsPEM)})
	for _, set := range callbacks {
		all = append(all, doctor.NewLoadBalancer(c, set, len(origins) > 0).Check())
	}
	for _, u := range c.Upstreams {
		upstream := doctor.Upstream{
			Name: u.Name, URL: u.URL, RootCAs: p.UpstreamCAs[u.Name], ServerName: u.TLS.ServerName, ClientID: p.Issuer.ClientID,
			ArgoCD: u.Kind == config.KindArgoCD && u.Identity.Credential == config.CredentialIDToken,
		}
		if cert := p.ClientCerts[u.Name]; cert != nil {
			upstream.Certificate = cert.ClientCertificate
		}
		all = append(all, upstream.Check())
	}
	return append(all, doctor.CheckServiceAccounts(server.NewServiceAccounts(c, slog.New(slog.DiscardHandler)).Sources)...)
}

func checkPolicy(p *server.Deps) doctor.Check {
	return doctor.Check{Name: "policy", Run: func(ctx context.Context) []doctor.Finding {
		if err := p.ReadConfigMap(ctx, slog.New(slog.DiscardHandler)); err != nil {
			return []doctor.Finding{{State: doctor.Fail, Message: err.Error()}}
		}
		if p.Policy == nil {
			return []doctor.Finding{{State: doctor.Skipped, Message: "the file does not exist here"}}
		}
		warnings := 0
		for _, f := range lint.Run(p.Sources, lint.Environment{
			Upstreams: p.Config.UpstreamNames(),
			Quirks:    p.Config.Quirks(),
		}).Findings {
			if f.Hint != "" {
				warnings++
			}
		}
		if warnings > 0 {
			return []doctor.Finding{{
				State: doctor.Warn, Message: fmt.Sprintf("%d of %d rows may not do what was intended", warnings,
					p.Policy.RowCount()),
				Hint: "run `authgate policy lint --config FILE`",
			}}
		}
		return []doctor.Finding{{State: doctor.OK, Message: fmt.Sprintf("%d rows", p.Policy.RowCount())}}
	}}
}

// parseOrigins reads --origin.
func parseOrigins(raw []string) ([]*url.URL, error) {
	var all []*url.URL
	for _, text := range raw {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
			strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") || strings.HasSuffix(u.Host, ":") {
			return nil, fmt.Errorf("--origin is no origin; write what browsers have before the path, such as " +
				"https://argo-cd.example.com or http://127.0.0.1:8080")
		}
		all = append(all, u)
	}
	return all, nil
}

// checkOriginsServed are the origins whose host no upstream has.
func checkOriginsServed(c *config.Config, origins []*url.URL) error {
	for _, origin := range origins {
		if !slices.ContainsFunc(c.Upstreams, func(u config.Upstream) bool {
			return slices.ContainsFunc(u.Hosts, func(host string) bool {
				return len(doctor.OriginsForHost([]*url.URL{origin}, host)) > 0
			})
		}) {
			return fmt.Errorf("--origin is %s://%s, and no upstream has that host; write one of hosts", origin.Scheme,
				origin.Host)
		}
	}
	return nil
}
