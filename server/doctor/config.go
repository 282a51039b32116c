package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/example-org/authgate/config"
)

// CheckConfig reports a configuration that loads: missing are the files and variables
// that do not exist here, each warning is a message and a hint after a semicolon.
func CheckConfig(c *config.Config, missing []error, warnings []string) Check {
	return Check{Name: "configuration", Run: func(context.Context) []Finding {
		found := []Finding{ok("it loads, with %d upstreams", len(c.Upstreams))}
		for _, err := range missing {
			for line := range strings.Lines(err.Error()) {
				found = append(found, skipped("not here: %s", strings.TrimSpace(line)))
			}
		}
		for _, warning := range warnings {
			message, hint, _ := strings.Cut(warning, "; ")
			found = append(found, warn(hint, "%s", message))
		}
		if len(c.TrustedProxies) == 0 && !c.TLS.Enabled() {
			found = append(found, warn("list the ALB's subnets in trustedProxies",
				"no TLS here and no trustedProxies: the X-Forwarded-Proto of an ALB is not trusted, and logins return to http"))
		}
		return found
	}}
}

// CheckCertificate compares the certificate of tls with the hosts of the upstreams. pem
// is its chain and its key; nil: the port speaks without TLS.
func CheckCertificate(c *config.Config, pem [][]byte) Check {
	return Check{Name: "certificate", Run: func(context.Context) []Finding {
		if pem == nil {
			return nil
		}
		pair, err := tls.X509KeyPair(pem[0], pem[1])
		if err != nil {
			return []Finding{fail("check tls.certFile", "%s", err)}
		}
		var hosts []string
		for _, u := range c.Upstreams {
			hosts = append(hosts, u.Hosts...)
		}
		return CheckHostNames(pair.Leaf, hosts)
	}}
}

// CheckBearers looks at each further issuer once. cas are the CAs to trust for those
// issuers that name a file of CAs.
func CheckBearers(c *config.Config, cas map[string]*x509.CertPool) []Check {
	missing := make(map[string]string) // issuer → key of the file of CAs that is not here
	for i, b := range c.Bearer {
		if b.CAFile != "" && cas[b.Issuer] == nil && missing[b.Issuer] == "" {
			missing[b.Issuer] = fmt.Sprintf("bearer[%d].caFile", i)
		}
	}
	var checks []Check
	seen := map[string]bool{c.Issuer.URL: true}
	for _, b := range c.Bearer {
		if !seen[b.Issuer] {
			seen[b.Issuer] = true
			checks = append(checks, BearerIssuer{URL: b.Issuer, RootCAs: cas[b.Issuer], Missing: missing[b.Issuer]}.Check())
		}
	}
	return checks
}
