package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

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
