package server

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
)

// identityBearers converts the configuration of bearer tokens for package identity, which
// does not import the configuration.
func identityBearers(c *config.Config, trusted map[string]*x509.CertPool) []identity.Bearer {
	var bearers []identity.Bearer
	for _, b := range c.Bearer {
		bearer := identity.Bearer{
			Issuer: b.Issuer, Audience: b.Audience, Require: b.Require, SubjectClaim: b.SubjectClaim, RootCAs: trusted[b.Issuer],
		}
		for _, t := range b.Groups {
			var template identity.GroupTemplate
			for _, p := range t {
				template = append(template, identity.TemplatePart(p))
			}
			bearer.Groups = append(bearer.Groups, template)
		}
		bearers = append(bearers, bearer)
	}
	return bearers
}

// bearerCAs is where the CAs are that are trusted for a further issuer.
type bearerCAs struct{ key, issuer, file string }

// bearerCAsOf lists them, each issuer once: all of its items that name a file name
// the same one.
func bearerCAsOf(c *config.Config) (all []bearerCAs) {
	seen := make(map[string]bool)
	for i, b := range c.Bearer {
		if b.CAFile == "" || seen[b.Issuer] {
			continue
		}
		seen[b.Issuer] = true
		all = append(all, bearerCAs{fmt.Sprintf("bearer[%d].caFile", i), b.Issuer, b.CAFile})
	}
	return all
}

func (p *Deps) readBearers(absent MissingHandler) error {
	var errs []error
	p.BearerCAs = make(map[string]*x509.CertPool)
	for _, b := range bearerCAsOf(p.Config) {
		pool, err := p.readCAs(b.key, b.file)
		errs = append(errs, absent.handle(err))
		if pool != nil {
			p.BearerCAs[b.issuer] = pool
		}
	}
	return errors.Join(errs...)
}
