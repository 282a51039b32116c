package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/session"
)

// parts are what a configuration names, read and checked.
type parts struct {
	config *config.Config
	issuer identity.Config
	keys   session.Keys
	policy *policy.Snapshot

	sources []policy.Source // that the policy was made of
}

// loadParts reads a configuration and every file and variable that it names. It
// dials nothing.
func loadParts(file string) (*parts, error) {
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	p := &parts{config: c}
	if p.issuer, err = resolveIssuer(c.Issuer); err != nil {
		return nil, err
	}
	lines, err := c.Session.Keys.Reveal()
	if err != nil {
		return nil, err
	}
	if p.keys, err = session.ParseKeys(lines); err != nil {
		return nil, fmt.Errorf("session.keys: %s: %w", c.Session.Keys.Source(), err)
	}
	if p.sources, err = policy.ReadFiles(c.Policy.Files...); err != nil {
		return nil, err
	}
	if p.policy, err = policy.Load(p.sources, c.UpstreamNames()); err != nil {
		return nil, err
	}
	return p, nil
}

func resolveIssuer(c config.Issuer) (identity.Config, error) {
	resolved := identity.Config{
		URL: c.URL, BackchannelURL: c.BackchannelURL, Scopes: c.Scopes, GroupsClaim: c.GroupsClaim, ClockSkew: time.Duration(c.ClockSkew),
	}
	var err error
	if resolved.ClientID, err = c.ClientID.Reveal(); err != nil {
		return identity.Config{}, err
	}
	if resolved.ClientSecret, err = c.ClientSecret.Reveal(); err != nil {
		return identity.Config{}, err
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return identity.Config{}, fmt.Errorf("issuer.caFile: %w", err)
		}
		resolved.RootCAs = x509.NewCertPool()
		if !resolved.RootCAs.AppendCertsFromPEM(pem) {
			return identity.Config{}, fmt.Errorf("issuer.caFile: %s holds no certificate in PEM", c.CAFile)
		}
	}
	return resolved, nil
}
