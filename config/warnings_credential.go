package config

import (
	"slices"

	"github.com/example-org/authgate/text"
)

// credentialWarnings is about dashboards that will not know who comes.
func (c *Config) credentialWarnings() (warnings []string) {
	offline := slices.Contains(c.Issuer.Scopes, "offline_access")
	for _, u := range c.Upstreams {
		switch u.Identity.Credential {
		case CredentialNone:
			if u.Kind != KindGeneric {
				warnings = append(warnings, "upstream "+text.Quote(u.Name)+" is "+string(u.Kind)+" and is shown no credential, and its own login is out of reach behind authgate: "+
					"it knows nobody, and refuses everybody unless it lets anonymous people in; write identity.credential, or kind: generic to have people log in there once more")
			}
		case CredentialIDToken, CredentialAccessToken:
			if !offline {
				warnings = append(warnings, "upstream "+text.Quote(u.Name)+" is shown the person's own token, and issuer.scopes has no offline_access: "+
					"a session ends when that token does; add offline_access")
			}
		case CredentialServiceAccount:
		}
	}
	return warnings
}
