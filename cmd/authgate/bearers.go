package main

import (
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
)

// bearersOf says in the words of identity, which knows no configuration, whose
// tokens are accepted.
func bearersOf(c *config.Config) []identity.Bearer {
	var bearers []identity.Bearer
	for _, b := range c.Bearer {
		accepted := identity.Bearer{
			Issuer: b.Issuer, Audience: b.Audience, Require: b.Require, SubjectClaim: b.SubjectClaim,
		}
		for _, t := range b.Groups {
			var template identity.Template
			for _, p := range t {
				template = append(template, identity.Piece(p))
			}
			accepted.Groups = append(accepted.Groups, template)
		}
		bearers = append(bearers, accepted)
	}
	return bearers
}
