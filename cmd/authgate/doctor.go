package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/doctor"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy/lint"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/seal"
)

func newDoctor() *cobra.Command {
	var file string
	var out cli.Output
	var groups int
	var origins []string
	cmd := &cobra.Command{
		Use:   "doctor [--config FILE]",
		Short: "Look for what breaks such set-ups, and say how to mend it",
		Long: "Check a configuration and, unlike `config check`, what it needs of the network: the\n" +
			"issuer, its client and callbacks, the upstreams, Redis, tokens of ServiceAccounts. A\n" +
			"line each. It changes nothing. Before anything is deployed it says what is not there\n" +
			"yet. Exit code 1: something fails; warnings are none.",
		Example: "  authgate doctor --config authgate.yaml\n  kubectl exec deploy/authgate -- authgate doctor --config /etc/authgate/config/authgate.yaml",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			requestedOrigins, err := parseOrigins(origins)
			if err != nil {
				return err
			}
			var missing []error
			p, err := loadDeps(file, func(err error) error {
				missing = append(missing, err)
				return nil
			})
			if err != nil {
				return cli.LoadError(err)
			}
			if err := checkOriginsServed(p.config, requestedOrigins); err != nil {
				return err
			}
			return printFindings(cmd, &out, doctor.Run(cmd.Context(), p.checks(missing, groups, requestedOrigins)))
		},
	}
	cli.AddConfigFlag(cmd, &file)
	out.AddFlag(cmd)
	cmd.Flags().IntVar(&groups, "groups", 100, "how many groups somebody may be in, for the size of their cookies")
	cmd.Flags().StringArrayVar(&origins, "origin", nil,
		"`ORIGIN` at which browsers reach a host, such as http://127.0.0.1:8080; may be repeated;\nwithout it, those that listen, tls and trustedProxies allow are tried")
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
				doctor.OK: s.Success("ok     "), doctor.Warn: s.Warn("warn   "), doctor.Fail: s.Failure("FAIL   "), doctor.Skipped: s.Dim("skipped"),
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

// checks are all that there is to look at.
func (p *deps) checks(missing []error, groups int, origins []*url.URL) []doctor.Check {
	c := p.config
	callbacks, wildcards := callbackCandidates(c, origins)
	issuer := doctor.Issuer{
		URL: c.Issuer.URL, Backchannel: c.Issuer.BackchannelURL, ClientID: p.issuer.ClientID, Secret: p.issuer.ClientSecret,
		Scopes: c.Issuer.Scopes, RootCAs: p.issuer.RootCAs, ClockSkew: time.Duration(c.Issuer.ClockSkew), Callbacks: callbacks, Wildcards: wildcards, Now: time.Now,
	}
	all := slices.Concat([]doctor.Check{{Name: "configuration", Run: p.checkConfigFile(missing)}, {Name: "policy", Run: p.checkPolicy}},
		issuer.Checks(), p.bearerChecks(),
		[]doctor.Check{{Name: "sessions", Run: p.checkSessions(groups)}, {Name: "certificate", Run: p.checkCertificate}})
	for _, set := range callbacks {
		all = append(all, loadBalancer(c, set, len(origins) > 0).Check())
	}
	for _, u := range c.Upstreams {
		upstream := doctor.Upstream{
			Name: u.Name, URL: u.URL, RootCAs: p.upstreamCAs[u.Name], ServerName: u.TLS.ServerName, ClientID: p.issuer.ClientID,
			ArgoCD: u.Kind == config.KindArgoCD && u.Identity.Credential == config.CredentialIDToken,
		}
		if cert := p.clientCerts[u.Name]; cert != nil {
			upstream.Certificate = cert.ClientCertificate
		}
		all = append(all, upstream.Check())
	}
	return append(all, p.serviceAccountChecks()...)
}

func (p *deps) checkConfigFile(missing []error) func(context.Context) []doctor.Finding {
	return func(context.Context) []doctor.Finding {
		found := []doctor.Finding{{State: doctor.OK, Message: fmt.Sprintf("it loads, with %d upstreams", len(p.config.Upstreams))}}
		for _, err := range missing {
			for line := range strings.Lines(err.Error()) {
				found = append(found, doctor.Finding{State: doctor.Skipped, Message: "not here: " + strings.TrimSpace(line)})
			}
		}
		for _, warning := range p.warnings() {
			message, hint, _ := strings.Cut(warning, "; ")
			found = append(found, doctor.Finding{State: doctor.Warn, Message: message, Hint: hint})
		}
		if len(p.config.TrustedProxies) == 0 && !p.config.TLS.Enabled() {
			found = append(found, doctor.Finding{
				State: doctor.Warn, Message: "no TLS here and no trustedProxies: an ALB's X-Forwarded-Proto is not believed, and logins go back to http",
				Hint: "list the ALB's subnets in trustedProxies",
			})
		}
		return found
	}
}

func (p *deps) checkPolicy(context.Context) []doctor.Finding {
	if p.policy == nil {
		return []doctor.Finding{{State: doctor.Skipped, Message: "it is not here"}}
	}
	lint := lint.Run(p.sources, lint.Environment{Upstreams: p.config.UpstreamNames(), Quirks: p.config.Quirks()})
	warnings := 0
	for _, f := range lint.Findings {
		if f.Hint != "" {
			warnings++
		}
	}
	if warnings > 0 {
		return []doctor.Finding{{State: doctor.Warn, Message: fmt.Sprintf("%d of %d rows may do something else than was meant", warnings, p.policy.RowCount()), Hint: "see authgate policy lint --config"}}
	}
	return []doctor.Finding{{State: doctor.OK, Message: fmt.Sprintf("%d rows", p.policy.RowCount())}}
}

// checkSessions tries what somebody with many groups would get.
func (p *deps) checkSessions(groups int) func(context.Context) []doctor.Finding {
	return func(ctx context.Context) []doctor.Finding {
		found := p.checkKeys()
		if p.config.Session.Store == config.StoreRedis {
			return append(found, p.checkRedis(ctx)...)
		}
		if fitsCookies(p.config, groups) {
			return append(found, doctor.Finding{State: doctor.OK, Message: fmt.Sprintf("people in %d groups fit into cookies", groups)})
		}
		fitting := sort.Search(groups, func(n int) bool { return !fitsCookies(p.config, n) }) - 1
		return append(found, doctor.Finding{
			State: doctor.Warn, Message: fmt.Sprintf("people in more than %d groups do not fit into cookies: groups that the policy does not name are left out", fitting),
			Hint: "keep sessions in Redis (session.store: redis), or have the issuer send fewer groups",
		})
	}
}

func (p *deps) checkKeys() []doctor.Finding {
	if p.keysText == "" {
		return nil
	}
	count := 0
	for line := range strings.Lines(p.keysText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			count++
		}
	}
	found := []doctor.Finding{{State: doctor.OK, Message: fmt.Sprintf("%d keys; the first seals", count)}}
	if path := p.config.Session.Keys.File(); path != "" {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
			found = append(found, doctor.Finding{State: doctor.Warn, Message: "everybody on this machine may read the keys", Hint: "chmod o= " + path})
		}
	}
	return found
}

// fitsCookies seals a session of somebody whose groups are named as teams are: random
// words, since what repeats would be compressed away.
func fitsCookies(c *config.Config, groups int) bool {
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		return false
	}
	grant := identity.TokenSet{RefreshToken: rand.Text() + rand.Text() + rand.Text(), FetchedAt: time.Now()}
	grant.Principal = identity.Principal{Issuer: c.Issuer.URL, Subject: rand.Text(), Email: "somebody@example.com", Name: "Some Body", Expiry: time.Now().Add(time.Hour)}
	for range groups {
		grant.Principal.Groups = append(grant.Principal.Groups, "example-org:"+rand.Text()[:12])
	}
	if slices.ContainsFunc(c.Upstreams, func(u config.Upstream) bool { return u.Identity.Credential == config.CredentialIDToken }) {
		grant.IDToken = rand.Text() + "." + strings.Join(grant.Principal.Groups, "") + "." + strings.Repeat(rand.Text(), 14)
	}
	store := cookiestore.New(cookiestore.Options{Cookie: proxy.NewSessionCookie(c.Session.Cookie), Keyring: seal.NewKeyring(keys)})
	_, err = store.Create(context.Background(), discardResponse{}, nil, session.New(grant, time.Now(), time.Hour), true)
	return err == nil
}

// discardResponse is an answer that goes nowhere.
type discardResponse http.Header

func (u discardResponse) Header() http.Header       { return http.Header(u) }
func (discardResponse) Write(p []byte) (int, error) { return len(p), nil }
func (discardResponse) WriteHeader(int)             {}

func (p *deps) checkRedis(ctx context.Context) []doctor.Finding {
	if p.redis.URL == "" {
		return []doctor.Finding{{State: doctor.Skipped, Message: "session.redis.url is not here"}}
	}
	redis, err := p.openRedis(seal.NewKeyring(p.keys), slog.New(slog.DiscardHandler))
	if err != nil {
		return []doctor.Finding{{State: doctor.Fail, Message: err.Error(), Hint: "see docs/configuration.md, session.redis"}}
	}
	defer redis.Close()
	if _, err := redis.List(ctx, session.Filter{ID: "doctor"}); err != nil {
		return []doctor.Finding{{State: doctor.Fail, Message: "Redis does not answer as it should: " + err.Error(), Hint: "look at session.redis.url, its user's rights (docs/operations.md) and caFile"}}
	}
	return []doctor.Finding{{State: doctor.OK, Message: "Redis answers"}}
}

func (p *deps) checkCertificate(context.Context) []doctor.Finding {
	if p.tls == nil {
		return nil
	}
	pair, err := tls.X509KeyPair(p.tls.contents[0], p.tls.contents[1])
	if err != nil {
		return []doctor.Finding{{State: doctor.Fail, Message: err.Error(), Hint: "look at tls.certFile"}}
	}
	var hosts []string
	for _, u := range p.config.Upstreams {
		hosts = append(hosts, u.Hosts...)
	}
	return doctor.CheckHostNames(pair.Leaf, hosts)
}

func (p *deps) serviceAccountChecks() []doctor.Check {
	all := newServiceAccounts(p.config, slog.New(slog.DiscardHandler))
	var checks []doctor.Check
	for account, source := range all.sources {
		name := account.Namespace + "/" + account.Name
		if account.TokenFile != "" {
			name = account.TokenFile
		}
		checks = append(checks, doctor.Check{Name: "ServiceAccount " + name, Run: func(ctx context.Context) []doctor.Finding {
			_, err := source.Token(ctx)
			if err == nil {
				return []doctor.Finding{{State: doctor.OK, Message: "its token can be had"}}
			}
			finding := doctor.Finding{State: doctor.Fail, Message: err.Error()}
			var hinter interface{ Hint() string }
			if errors.As(err, &hinter) {
				finding.Hint = hinter.Hint()
			}
			return []doctor.Finding{finding}
		}})
	}
	slices.SortFunc(checks, func(a, b doctor.Check) int { return strings.Compare(a.Name, b.Name) })
	return checks
}
