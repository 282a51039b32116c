package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/target"
)

func newPolicy() *cobra.Command {
	return group("policy", "Ask a policy, offline: no issuer, no network, no cluster", newPolicyCan())
}

// policyFlags say which policy is asked, and how it answers. Every policy
// command has them.
type policyFlags struct {
	policies []string
	config   string
	output   string
}

func (f *policyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.policies, "policy", nil, "policy `FILE`; may be repeated")
	cmd.Flags().StringVar(&f.config, "config", "", "configuration `FILE` that names the policy and the upstreams")
	cmd.Flags().StringVarP(&f.output, "output", "o", "text", "text or json")
}

// loadedPolicy is a policy, and the configuration around it where there is one.
type loadedPolicy struct {
	*policy.Snapshot
	config *config.Config // nil without --config
}

func (f *policyFlags) load() (*loadedPolicy, error) {
	if len(f.policies) == 0 && f.config == "" {
		return nil, errors.New("no policy is named; write --policy FILE or --config FILE")
	}
	if f.output != "text" && f.output != "json" {
		return nil, fmt.Errorf("--output is %q; write text or json", f.output)
	}
	var loaded loadedPolicy
	var upstreams []string
	files := f.policies
	if f.config != "" {
		c, err := config.Load(f.config)
		if err != nil {
			return nil, notLoaded{err}
		}
		loaded.config, upstreams = c, c.UpstreamNames()
		if len(files) == 0 {
			files = c.Policy.Files
		}
	}
	sources, err := policy.ReadFiles(files...)
	if err != nil {
		return nil, notLoaded{err}
	}
	if loaded.Snapshot, err = policy.Load(sources, upstreams); err != nil {
		return nil, notLoaded{err}
	}
	return &loaded, nil
}

// answer renders one answer in the form that was asked for.
func (f *policyFlags) answer(w io.Writer, text string, object any) error {
	if f.output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(object)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// whoFlags say who asks.
type whoFlags struct{ who policy.Who }

func (f *whoFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.who.Groups, "group", nil, "`GROUP` of the person, as the issuer sends it; may be repeated")
	cmd.Flags().StringVar(&f.who.Email, "user", "", "verified `EMAIL` of the person")
	cmd.Flags().StringArrayVar(&f.who.Roles, "role", nil, "`ROLE` held, such as role:admin; may be repeated")
	cmd.Flags().BoolVar(&f.who.Anonymous, "anonymous", false, "somebody who is not signed in")
	for _, named := range []string{"group", "user", "role"} {
		cmd.MarkFlagsMutuallyExclusive("anonymous", named)
	}
}

func (f *whoFlags) check() error {
	if f.who.Email == "" && len(f.who.Groups) == 0 && len(f.who.Roles) == 0 && !f.who.Anonymous {
		return errors.New("nobody is named; write --group, --user, --role or --anonymous")
	}
	for _, role := range f.who.Roles {
		if !strings.HasPrefix(role, "role:") {
			return fmt.Errorf("--role is %q; a role begins with role:, so write --role role:%s", role, role)
		}
	}
	return nil
}

// place is a TARGET of the command line.
type place struct {
	upstream string
	path     string
}

// parsePlace reads UPSTREAM:/path or, with a configuration, a URL.
func (l *loadedPolicy) parsePlace(s string) (place, error) {
	if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
		return l.parseURL(s)
	}
	upstream, path, ok := strings.Cut(s, ":")
	if !ok || upstream == "" || !strings.HasPrefix(path, "/") {
		return place{}, fmt.Errorf("target %q is not UPSTREAM:/path", s)
	}
	if l.config != nil && l.upstream(upstream) == nil {
		what := fmt.Sprintf("the configuration has no upstream %q", upstream)
		if hint := fault.DidYouMean(upstream, l.config.UpstreamNames()); hint != "" {
			what += "; " + hint
		}
		return place{}, errors.New(what)
	}
	return place{upstream, path}, nil
}

func (l *loadedPolicy) upstream(name string) *config.Upstream {
	for i := range l.config.Upstreams {
		if l.config.Upstreams[i].Name == name {
			return &l.config.Upstreams[i]
		}
	}
	return nil
}

// parseURL finds the upstream of a URL as the proxy does: by host, then by the
// longest path prefix.
func (l *loadedPolicy) parseURL(s string) (place, error) {
	if l.config == nil {
		return place{}, fmt.Errorf("target %q is a URL, which takes --config to tell its upstream; or write UPSTREAM:/path", s)
	}
	u, err := url.Parse(s)
	if err != nil {
		return place{}, fmt.Errorf("target: %w", err)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	found, known := proxy.Route(l.config.Upstreams, strings.ToLower(u.Hostname()), path)
	switch {
	case !known:
		return place{}, fmt.Errorf("no upstream of the configuration has the host %s", u.Hostname())
	case found < 0:
		return place{}, fmt.Errorf("no upstream of the configuration serves %s under this path", u.Hostname())
	}
	return place{l.config.Upstreams[found].Name, path}, nil
}

// parseTarget gives the canonical path, or the reason for which authgate would
// refuse the request before any policy is asked.
func (p place) parseTarget() (target.Path, error) { return target.Parse(p.path) }
