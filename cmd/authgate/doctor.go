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

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/doctor"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
)

func newDoctor() *cobra.Command {
	var file string
	var out output
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
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			at, err := parseOrigins(origins)
			if err != nil {
				return err
			}
			var missing []error
			p, err := loadParts(file, func(err error) error {
				missing = append(missing, err)
				return nil
			})
			if err != nil {
				return notLoaded{err}
			}
			if err := unserved(p.config, at); err != nil {
				return err
			}
			return report(cmd, &out, doctor.Run(cmd.Context(), p.checks(missing, groups, at)))
		},
	}
	addConfigFlag(cmd, &file)
	out.add(cmd)
	cmd.Flags().IntVar(&groups, "groups", 100, "how many groups somebody may be in, for the size of their cookies")
	cmd.Flags().StringArrayVar(&origins, "origin", nil,
		"`ORIGIN` at which browsers reach a host, such as http://127.0.0.1:8080; may be repeated;\nwithout it, those that listen, tls and trustedProxies allow are tried")
	return cmd
}

func report(cmd *cobra.Command, out *output, found []doctor.Finding) error {
	failures := 0
	for _, f := range found {
		if f.State == doctor.Fail {
			failures++
		}
	}
	err := out.answer(cmd, map[string]any{"findings": found, "failed": failures}, func(s *sheet) {
		for _, f := range found {
			state := map[doctor.State]string{
				doctor.OK: s.good("ok     "), doctor.Warn: s.warn("warn   "), doctor.Fail: s.bad("FAIL   "), doctor.Skipped: s.faint("skipped"),
			}[f.State]
			line := state + "  " + f.Check + ": " + f.Said
			if f.Mend != "" {
				line += "; " + f.Mend
			}
			s.line("%s", line)
		}
	})
	if err == nil && failures > 0 {
		return errNo
	}
	return err
}

// checks are all that there is to look at.
func (p *parts) checks(missing []error, groups int, origins []*url.URL) []doctor.Check {
	c := p.config
	callbacks, wildcards := callbackSet(c, origins)
	issuer := doctor.Issuer{
		URL: c.Issuer.URL, Backchannel: c.Issuer.BackchannelURL, ClientID: p.issuer.ClientID, Secret: p.issuer.ClientSecret,
		Scopes: c.Issuer.Scopes, RootCAs: p.issuer.RootCAs, Skew: time.Duration(c.Issuer.ClockSkew), Callbacks: callbacks, Wildcards: wildcards, Now: time.Now,
	}
	all := slices.Concat([]doctor.Check{{Name: "configuration", Look: p.lookAtFile(missing)}, {Name: "policy", Look: p.lookAtPolicy}},
		issuer.Checks(), p.bearerChecks(),
		[]doctor.Check{{Name: "sessions", Look: p.lookAtSessions(groups)}, {Name: "certificate", Look: p.lookAtCertificate}})
	for _, set := range callbacks {
		all = append(all, front(c, set, len(origins) > 0).Check())
	}
	for _, u := range c.Upstreams {
		upstream := doctor.Upstream{
			Name: u.Name, URL: u.URL, RootCAs: p.upstreams[u.Name], ServerName: u.TLS.ServerName, ClientID: p.issuer.ClientID,
			ArgoCD: u.Kind == config.KindArgoCD && u.Identity.Credential == config.CredentialIDToken,
		}
		if shown := p.shown[u.Name]; shown != nil {
			upstream.Certificate = shown.Show
		}
		all = append(all, upstream.Check())
	}
	return append(all, p.lookAtAccounts()...)
}

func (p *parts) lookAtFile(missing []error) func(context.Context) []doctor.Finding {
	return func(context.Context) []doctor.Finding {
		found := []doctor.Finding{{State: doctor.OK, Said: fmt.Sprintf("it loads, with %d upstreams", len(p.config.Upstreams))}}
		for _, err := range missing {
			for line := range strings.Lines(err.Error()) {
				found = append(found, doctor.Finding{State: doctor.Skipped, Said: "not here: " + strings.TrimSpace(line)})
			}
		}
		for _, advice := range p.advice() {
			what, mend, _ := strings.Cut(advice, "; ")
			found = append(found, doctor.Finding{State: doctor.Warn, Said: what, Mend: mend})
		}
		if len(p.config.TrustedProxies) == 0 && !p.config.TLS.On() {
			found = append(found, doctor.Finding{
				State: doctor.Warn, Said: "no TLS here and no trustedProxies: an ALB's X-Forwarded-Proto is not believed, and logins go back to http",
				Mend: "list the ALB's subnets in trustedProxies",
			})
		}
		return found
	}
}

func (p *parts) lookAtPolicy(context.Context) []doctor.Finding {
	if p.policy == nil {
		return []doctor.Finding{{State: doctor.Skipped, Said: "it is not here"}}
	}
	lint := policy.Lint(p.sources, policy.Surroundings{Upstreams: p.config.UpstreamNames(), Quirks: p.config.Quirks()})
	warnings := 0
	for _, f := range lint.Findings {
		if f.Mend != "" {
			warnings++
		}
	}
	if warnings > 0 {
		return []doctor.Finding{{State: doctor.Warn, Said: fmt.Sprintf("%d of %d rows may do something else than was meant", warnings, p.policy.Rows()), Mend: "see authgate policy lint --config"}}
	}
	return []doctor.Finding{{State: doctor.OK, Said: fmt.Sprintf("%d rows", p.policy.Rows())}}
}

// lookAtSessions tries what somebody with many groups would get.
func (p *parts) lookAtSessions(groups int) func(context.Context) []doctor.Finding {
	return func(ctx context.Context) []doctor.Finding {
		found := p.lookAtKeys()
		if p.config.Session.Store == config.StoreRedis {
			return append(found, p.lookAtRedis(ctx)...)
		}
		if fits(p.config, groups) {
			return append(found, doctor.Finding{State: doctor.OK, Said: fmt.Sprintf("people in %d groups fit into cookies", groups)})
		}
		most := sort.Search(groups, func(n int) bool { return !fits(p.config, n) }) - 1
		return append(found, doctor.Finding{
			State: doctor.Warn, Said: fmt.Sprintf("people in more than %d groups do not fit into cookies: groups that the policy does not name are left out", most),
			Mend: "keep sessions in Redis (session.store: redis), or have the issuer send fewer groups",
		})
	}
}

func (p *parts) lookAtKeys() []doctor.Finding {
	if p.keysText == "" {
		return nil
	}
	count := 0
	for line := range strings.Lines(p.keysText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			count++
		}
	}
	found := []doctor.Finding{{State: doctor.OK, Said: fmt.Sprintf("%d keys; the first seals", count)}}
	if path := p.config.Session.Keys.File(); path != "" {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
			found = append(found, doctor.Finding{State: doctor.Warn, Said: "everybody on this machine may read the keys", Mend: "chmod o= " + path})
		}
	}
	return found
}

// fits seals a session of somebody whose groups are named as teams are: random
// words, since what repeats would be compressed away.
func fits(c *config.Config, groups int) bool {
	keys, err := session.ParseKeys(session.NewKey())
	if err != nil {
		return false
	}
	grant := identity.Grant{Refresh: rand.Text() + rand.Text() + rand.Text(), Read: time.Now()}
	grant.Principal = identity.Principal{Issuer: c.Issuer.URL, Subject: rand.Text(), Email: "somebody@example.com", Name: "Some Body", Expiry: time.Now().Add(time.Hour)}
	for range groups {
		grant.Principal.Groups = append(grant.Principal.Groups, "example-org:"+rand.Text()[:12])
	}
	if slices.ContainsFunc(c.Upstreams, func(u config.Upstream) bool { return u.Identity.Credential == config.CredentialIDToken }) {
		grant.IDToken = rand.Text() + "." + strings.Join(grant.Principal.Groups, "") + "." + strings.Repeat(rand.Text(), 14)
	}
	store := session.NewCookies(session.CookieOptions{Jar: proxy.NewJar(c.Session.Cookie), Keys: session.NewRing(keys)})
	_, err = store.Begin(context.Background(), unwritten{}, nil, session.Begin(grant, time.Now(), time.Hour), true)
	return err == nil
}

// unwritten is an answer that goes nowhere.
type unwritten http.Header

func (u unwritten) Header() http.Header       { return http.Header(u) }
func (unwritten) Write(p []byte) (int, error) { return len(p), nil }
func (unwritten) WriteHeader(int)             {}

func (p *parts) lookAtRedis(ctx context.Context) []doctor.Finding {
	if p.redis.URL == "" {
		return []doctor.Finding{{State: doctor.Skipped, Said: "session.redis.url is not here"}}
	}
	redis, err := p.openRedis(session.NewRing(p.keys), slog.New(slog.DiscardHandler))
	if err != nil {
		return []doctor.Finding{{State: doctor.Fail, Said: err.Error(), Mend: "see docs/configuration.md, session.redis"}}
	}
	defer redis.Close()
	if _, err := redis.List(ctx, session.Which{ID: "doctor"}); err != nil {
		return []doctor.Finding{{State: doctor.Fail, Said: "Redis does not answer as it should: " + err.Error(), Mend: "look at session.redis.url, its user's rights (docs/operations.md) and caFile"}}
	}
	return []doctor.Finding{{State: doctor.OK, Said: "Redis answers"}}
}

func (p *parts) lookAtCertificate(context.Context) []doctor.Finding {
	if p.tls == nil {
		return nil
	}
	pair, err := tls.X509KeyPair(p.tls.contents[0], p.tls.contents[1])
	if err != nil {
		return []doctor.Finding{{State: doctor.Fail, Said: err.Error(), Mend: "look at tls.certFile"}}
	}
	var hosts []string
	for _, u := range p.config.Upstreams {
		hosts = append(hosts, u.Hosts...)
	}
	return doctor.Names(pair.Leaf, hosts)
}

func (p *parts) lookAtAccounts() []doctor.Check {
	all := newAccounts(p.config, slog.New(slog.DiscardHandler))
	var checks []doctor.Check
	for account, source := range all.sources {
		name := account.Namespace + "/" + account.Name
		if account.TokenFile != "" {
			name = account.TokenFile
		}
		checks = append(checks, doctor.Check{Name: "ServiceAccount " + name, Look: func(ctx context.Context) []doctor.Finding {
			_, err := source.Token(ctx)
			if err == nil {
				return []doctor.Finding{{State: doctor.OK, Said: "its token can be had"}}
			}
			said := doctor.Finding{State: doctor.Fail, Said: err.Error()}
			var mend interface{ Mend() string }
			if errors.As(err, &mend) {
				said.Mend = mend.Mend()
			}
			return []doctor.Finding{said}
		}})
	}
	slices.SortFunc(checks, func(a, b doctor.Check) int { return strings.Compare(a.Name, b.Name) })
	return checks
}
