package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// albIdleTimeout is after how long a load balancer of AWS closes a silent connection,
// unless it is configured otherwise.
const albIdleTimeout = Duration(60 * time.Second)

// Warnings says what in a file that loads will probably not do what was meant. It
// is no fault: what stands in front of authgate is not written here.
func (c *Config) Warnings() []string {
	return slices.Concat(c.peerWarnings(), c.hostWarnings(), c.timeoutWarnings(), c.adminWarnings(), c.bearerWarnings(),
		c.sessionWarnings(), c.credentialWarnings(), c.auditWarnings(), c.maintenanceWarnings())
}

func (c *Config) peerWarnings() (warnings []string) {
	_, isSocket := socketPath(c.Listen)
	trusted := slices.Contains(c.TrustedProxies, UnixPeers())
	switch {
	case isSocket && !trusted:
		warnings = append(warnings, "listen is a Unix socket and trustedProxies has no unix: "+
			"X-Forwarded-For and -Proto of the proxy in front are not trusted, so that clients have no address and "+
			"https counts as http; "+
			"add unix if only that proxy can open the socket")
	case !isSocket && trusted:
		warnings = append(warnings,
			"trustedProxies has unix, and listen is not a Unix socket: no client connects through one; "+
				"name the addresses of the proxies, or write listen: unix:/path/to.sock")
	}
	return warnings
}

// hostWarnings is about callbacks, of which issuers take no patterns.
func (c *Config) hostWarnings() (warnings []string) {
	for _, u := range c.Upstreams {
		for _, host := range u.Hosts {
			if strings.HasPrefix(host, "*.") {
				warnings = append(warnings,
					"upstream "+text.Quote(u.Name)+" has the host "+text.Quote(host)+": each concrete host needs "+
						"its callback, https://HOST"+c.PathPrefix+"/callback, "+
						"registered at the issuer; register each host that people use")
			}
		}
	}
	return warnings
}

// timeoutWarnings knows the two inequalities that a balancer has to fit between:
// authgate answers before it loses patience, and never closes a connection that
// it is just about to use again.
func (c *Config) timeoutWarnings() (warnings []string) {
	if len(c.TrustedProxies) == 0 {
		return nil // nothing stands in front
	}
	t := c.Timeouts
	if longest := t.UpstreamDial + t.UpstreamHeader; longest >= t.Idle {
		warnings = append(warnings,
			fmt.Sprintf("timeouts.upstreamDial and upstreamHeader make %s together, and timeouts.idle is %s: "+
				"no idle timeout of a load balancer lies between, so it answers for authgate with a bare 502 or 504; "+
				"raise idle above the balancer's, and that above %s", longest, t.Idle, longest))
	}
	if t.Idle <= albIdleTimeout {
		warnings = append(warnings,
			fmt.Sprintf("timeouts.idle is %s: a load balancer of AWS keeps connections for %s unless it is "+
				"configured otherwise, "+
				"and answers 502 for a request on one that authgate has just closed; write 75s, or more than the "+
				"balancer's own",
				t.Idle, albIdleTimeout))
	}
	return warnings
}

// auditWarnings is about records that will be missing when they are looked for.
func (c *Config) auditWarnings() (warnings []string) {
	if c.Audit.Output == AuditNone && c.Audit.OnFull == OnFullBlock {
		warnings = append(warnings,
			"audit.onFull is block, but audit.output is none: no request is recorded; name an output, or leave "+
				"onFull out")
	}
	if slices.Contains(c.Audit.Exclude, "/"+target.AnyRest) {
		warnings = append(warnings,
			`audit.exclude has "/**": no allowed request is recorded; name the paths that pollers ask for`)
	}
	return warnings
}

// credentialWarnings is about dashboards that will not know who comes.
func (c *Config) credentialWarnings() (warnings []string) {
	offline := slices.Contains(c.Issuer.Scopes, "offline_access")
	for _, u := range c.Upstreams {
		switch u.Identity.Credential {
		case CredentialNone:
			if u.Kind != KindGeneric {
				warnings = append(warnings,
					"upstream "+text.Quote(u.Name)+" is "+string(u.Kind)+" and gets no credential, and its own "+
						"login cannot be reached through authgate: "+
						"it identifies no user, and rejects every request unless it allows anonymous access; write "+
						"identity.credential, or kind: generic to let users log in there again")
			}
		case CredentialIDToken, CredentialAccessToken:
			if !offline {
				warnings = append(warnings,
					"upstream "+text.Quote(u.Name)+" gets the user's own token, and issuer.scopes has no "+
						"offline_access: "+
						"a session ends when that token does; add offline_access")
			}
		case CredentialServiceAccount:
		}
	}
	return warnings
}

// maintenanceWarnings is about dashboards that nothing reaches.
func (c *Config) maintenanceWarnings() (warnings []string) {
	for _, u := range c.Upstreams {
		if u.Maintenance != "" {
			warnings = append(warnings,
				"upstream "+text.Quote(u.Name)+" is under maintenance: every request to it gets 503; take "+
					"maintenance out to serve it again")
		}
	}
	return warnings
}

// sessionWarnings is about what will surprise people who are signed in.
func (c *Config) sessionWarnings() (warnings []string) {
	s := c.Session
	if !slices.Contains(c.Issuer.Scopes, "offline_access") {
		warnings = append(warnings,
			"issuer.scopes has no offline_access: the issuer gives no refresh token, so that a session ends with "+
				"its ID token "+
				"and its groups are as old as that; add offline_access, or keep the issuer's ID tokens short (Dex: "+
				"expiry.idTokens)")
	} else {
		warnings = append(warnings, s.refreshWarnings()...)
	}
	if s.IdleTimeout >= s.Lifetime {
		warnings = append(warnings,
			fmt.Sprintf("session.idleTimeout is %s and session.lifetime %s: no session lasts long enough to "+
				"become idle; "+
				"write an idleTimeout below lifetime, or 0s", s.IdleTimeout, s.Lifetime))
	}
	const minIdle = Duration(time.Minute)
	if 0 < s.IdleTimeout && s.IdleTimeout < minIdle {
		warnings = append(warnings,
			fmt.Sprintf("session.idleTimeout is %s: who reads a page for longer is signed out; write %s or more",
				s.IdleTimeout, minIdle))
	}
	if s.Store == StoreCookie && (!s.Redis.URL.IsZero() || s.Redis.CAFile != "") {
		warnings = append(warnings,
			"session.redis is not used, for session.store is cookie; write store: redis, or take session.redis out")
	}
	return append(warnings, s.Cookie.sameSiteWarnings()...)
}

func (s Session) refreshWarnings() (warnings []string) {
	const minRefreshEvery = Duration(time.Minute)
	if s.RefreshEvery < minRefreshEvery {
		warnings = append(warnings,
			fmt.Sprintf("session.refreshEvery is %s: each reading of one person's groups is several requests to "+
				"the issuer, "+
				"and through Dex to GitHub, which limits their rate; write %s or more", s.RefreshEvery, minRefreshEvery))
	}
	if s.RefreshEvery >= s.Lifetime {
		warnings = append(warnings,
			fmt.Sprintf("session.refreshEvery is %s and session.lifetime %s: groups are read at login and "+
				"never again; "+
				"write a refreshEvery below lifetime", s.RefreshEvery, s.Lifetime))
	}
	return warnings
}

func (c Cookie) sameSiteWarnings() []string {
	switch c.SameSite {
	case SameSiteNone:
		return []string{"session.cookie.sameSite is none: pages of any site can have the browser send the session, " +
			"and read requests are answered; " +
			"writes stay bound to the same origin, and plain http gets lax; write lax, unless dashboards are shown " +
			"inside other sites"}
	case SameSiteStrict:
		return []string{"session.cookie.sameSite is strict: a user who follows a link from elsewhere, a mail or a " +
			"chat, arrives without the session " +
			"and is sent to log in once more; write lax, unless that is meant"}
	default:
		return nil
	}
}

// adminWarnings is about a token that passes a network in clear: the admin port
// has no TLS.
func (c *Config) adminWarnings() []string {
	if c.AdminToken.IsZero() || IsLocal(c.AdminListen) {
		return nil
	}
	return []string{"adminToken is set and adminListen is reachable from elsewhere, without TLS: an attacker on the " +
		"network can read the token, " +
		`which ends sessions; write adminListen: "127.0.0.1:9090", or let a NetworkPolicy keep the port to few`}
}

// IsLocal reports whether only this machine reaches an address, which is
// host:port or a Unix socket.
func IsLocal(address string) bool {
	if _, isSocket := socketPath(address); isSocket {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
