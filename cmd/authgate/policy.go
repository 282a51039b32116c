package main

import (
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/target"
)

func newPolicy() *cobra.Command {
	cmd := group("policy", "Ask a policy, offline: no issuer, no network, no cluster",
		newPolicyCan(), newPolicyExplain(), newPolicyWhoCan(), newPolicyMatrix(),
		newPolicyDiff(), newPolicyTest(), newPolicyLint(), newPolicyFmt(),
		newPolicyReplay(), newPolicySuggest())
	cmd.PersistentPreRun = func(*cobra.Command, []string) {
		debug.SetGCPercent(400) // one answer, and the process ends: time is worth more than memory
	}
	return cmd
}

// policyFlags say which policy is asked.
type policyFlags struct {
	policies []string
	config   string
}

func (f *policyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.policies, "policy", nil, "policy `FILE`; may be repeated")
	cmd.Flags().StringVar(&f.config, "config", "", "configuration `FILE` that names the policy and the upstreams")
	_ = cmd.MarkFlagFilename("policy", "csv")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// loadedPolicy is a policy, and the configuration around it where there is one.
type loadedPolicy struct {
	*policy.Snapshot
	config *config.Config // nil without --config
}

// read gives the files of the policy as they are, and the configuration if one is
// named.
func (f *policyFlags) read() ([]policy.Source, *config.Config, error) {
	var c *config.Config
	files := f.policies
	if f.config != "" {
		var err error
		if c, err = config.Load(f.config); err != nil {
			return nil, nil, notLoaded{err}
		}
		if len(files) == 0 {
			files = c.Policy.Files
		}
	}
	if len(files) == 0 {
		return nil, nil, errors.New("no policy is named; write --policy FILE or --config FILE")
	}
	sources, err := policy.ReadFiles(files...)
	if err != nil {
		return nil, nil, notLoaded{err}
	}
	return sources, c, nil
}

func (f *policyFlags) load() (*loadedPolicy, error) {
	sources, c, err := f.read()
	if err != nil {
		return nil, err
	}
	var upstreams []string
	if c != nil {
		upstreams = c.UpstreamNames()
	}
	snapshot, err := policy.Load(sources, upstreams)
	if err != nil {
		return nil, notLoaded{err}
	}
	return &loadedPolicy{snapshot, c}, nil
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
	_ = cmd.RegisterFlagCompletionFunc("group", offerGroups())
	_ = cmd.RegisterFlagCompletionFunc("user", offerUsers())
	_ = cmd.RegisterFlagCompletionFunc("role", offerRoles())
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
	upstream string // empty where a refused path leaves it open
	path     target.Path
	shown    string // path as it is told: canonical, or as written where it is refused
	raw      string // path as it was written
	refused  error  // why authgate would refuse the path before any policy is asked
}

// parsePlace reads UPSTREAM:/path or, with a configuration, a URL.
func (l *loadedPolicy) parsePlace(s string) (place, error) {
	if scheme, rest, isURL := strings.Cut(s, "://"); isURL && (scheme == "http" || scheme == "https") {
		return l.parseURL(s, rest)
	}
	upstream, path, ok := strings.Cut(s, ":")
	if !ok || upstream == "" || !strings.HasPrefix(path, "/") {
		return place{}, fmt.Errorf("target %q is not UPSTREAM:/path", s)
	}
	if l.config != nil && !slices.Contains(l.config.UpstreamNames(), upstream) {
		what := fmt.Sprintf("the configuration has no upstream %q", upstream)
		if hint := fault.DidYouMean(upstream, l.config.UpstreamNames()); hint != "" {
			what += "; " + hint
		}
		return place{}, errors.New(what)
	}
	at := newPlace(path)
	at.upstream = upstream
	return at, nil
}

func newPlace(path string) place {
	canonical, err := target.Parse(path)
	if err != nil {
		return place{shown: path, raw: path, refused: err}
	}
	return place{path: canonical, shown: canonical.String(), raw: path}
}

// parseURL finds the upstream of a URL as the proxy does: by host, then by the
// longest prefix of the canonical path. The path is taken as it was written,
// because net/url would decode it.
func (l *loadedPolicy) parseURL(s, rest string) (place, error) {
	if l.config == nil {
		return place{}, fmt.Errorf("target %q is a URL, which takes --config to tell its upstream; or write UPSTREAM:/path", s)
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	u, err := url.Parse("//" + rest[:end])
	if err != nil {
		return place{}, fmt.Errorf("target: %w", err)
	}
	path := rest[end:]
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	at := newPlace(path)
	found, known := proxy.Route(l.config.Upstreams, strings.ToLower(u.Hostname()), at.path.String())
	switch {
	case !known:
		return place{}, fmt.Errorf("no upstream of the configuration has the host %s", u.Hostname())
	case at.refused != nil:
		return at, nil
	case found < 0:
		return place{}, fmt.Errorf("no upstream of the configuration serves %s under this path", u.Hostname())
	}
	at.upstream = l.config.Upstreams[found].Name
	return at, nil
}
