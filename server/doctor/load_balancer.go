package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
)

// LoadBalancer is a host as browsers reach it, with the load balancer that stands there.
type LoadBalancer struct {
	Callback string // where logins on this host have to come back to
	// Alternatives are callbacks to try in turn where nothing answers at the first.
	Alternatives Callbacks
	RootCAs      *x509.CertPool
}

// Check begins a login there, and stops: where that would lead back to is what
// authgate made of the headers that the load balancer sent.
func (f LoadBalancer) Check() Check {
	host := f.Callback
	if at, err := url.Parse(f.Callback); err == nil {
		host = at.Host
	}
	return Check{"host " + host, f.checkLogin}
}

func (f LoadBalancer) checkLogin(ctx context.Context) []Finding {
	res, _, err := get(ctx, client(f.RootCAs), strings.TrimSuffix(f.Callback, "/callback")+"/start?rd=/")
	var name x509.HostnameError
	switch {
	case errors.As(err, &name):
		return []Finding{fail("add the host to the load balancer's certificate", "the certificate there does not name it")}
	case err != nil && len(f.Alternatives) > 0:
		return LoadBalancer{Callback: f.Alternatives[0], Alternatives: f.Alternatives[1:], RootCAs: f.RootCAs}.checkLogin(ctx)
	case err != nil:
		return []Finding{skipped("it cannot be reached from here: %v", err)}
	}
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode < 300 || res.StatusCode > 399 || to.Query().Get("redirect_uri") == "" {
		return []Finding{warn("have the load balancer send all requests for this host to authgate; it also answers 502 "+
			"and 503 while authgate is not ready",
			"no login starts there: status %d", res.StatusCode)}
	}
	switch redirectURI := to.Query().Get("redirect_uri"); redirectURI {
	case f.Callback:
		return []Finding{ok("logins start there and return to %s", redirectURI)}
	case strings.Replace(f.Callback, "https://", "http://", 1):
		return []Finding{fail("list the addresses of the proxies in front (for an ALB, its subnets) in trustedProxies: "+
			"authgate trusts X-Forwarded-Proto only from them",
			"logins would return to %s, without TLS", redirectURI)}
	default:
		return []Finding{fail("have the load balancer pass on the client's Host unchanged", "logins would return to %s",
			redirectURI)}
	}
}
