package doctor

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/example-org/authgate/config"
)

// CallbackCandidates gives, for each host that can be asked for, the callbacks that `serve`
// may send, the likeliest first. What it sends depends on the request: without one,
// only origins that were given leave nothing to guess.
func CallbackCandidates(c *config.Config, origins []*url.URL) (sets []Callbacks, wildcards []string) {
	for _, u := range c.Upstreams {
		for _, host := range u.Hosts {
			given := OriginsForHost(origins, host)
			switch {
			case len(given) > 0:
				for _, origin := range given {
					sets = append(sets, Callbacks{effectiveOrigin(c, origin) + c.PathPrefix + "/callback"})
				}
			case strings.HasPrefix(host, "*"):
				wildcards = append(wildcards, host)
			default:
				var set Callbacks
				for _, origin := range guessOrigins(c, host) {
					set = append(set, origin+c.PathPrefix+"/callback")
				}
				sets = append(sets, set)
			}
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(sets, func(set Callbacks) bool {
		duplicate := seen[set[0]]
		seen[set[0]] = true
		return duplicate
	}), wildcards
}

// guessOrigins are the origins at which browsers may reach a host. Where the scheme can
// only be http, because no trusted proxy ends TLS, https is not among them.
func guessOrigins(c *config.Config, host string) []string {
	secure := "https://" + host
	_, port, err := net.SplitHostPort(c.Listen)
	withPort := func(scheme string) string {
		return effectiveOrigin(c, &url.URL{Scheme: scheme, Host: host + ":" + port})
	}
	known := err == nil && port != "" && port != "0"
	var all []string
	switch {
	case c.TLS.Enabled() && known:
		all = []string{secure, withPort("https")}
	case c.TLS.Enabled():
		all = []string{secure}
	case len(c.TrustedProxies) > 0 && known:
		all = []string{secure, withPort("http"), "http://" + host}
	case len(c.TrustedProxies) > 0:
		all = []string{secure, "http://" + host}
	case known:
		all = []string{withPort("http"), "http://" + host}
	default:
		all = []string{"http://" + host}
	}
	return slices.Compact(all)
}

// effectiveOrigin is an origin as `serve` would write it into a redirect URI: its scheme is
// that of the connection, unless a trusted proxy sends another.
func effectiveOrigin(c *config.Config, origin *url.URL) string {
	scheme := origin.Scheme
	if len(c.TrustedProxies) == 0 {
		scheme = "http"
		if c.TLS.Enabled() {
			scheme = "https"
		}
	}
	host := strings.ToLower(origin.Host)
	if name := strings.TrimSuffix(host, ":"+map[string]string{"http": "80", "https": "443"}[scheme]); name != "" {
		host = name
	}
	return scheme + "://" + host
}

func OriginsForHost(origins []*url.URL, host string) []*url.URL {
	var found []*url.URL
	for _, origin := range origins {
		name := strings.ToLower(origin.Hostname())
		suffix, wild := strings.CutPrefix(host, "*")
		if name == strings.Trim(strings.ToLower(host), "[]") || wild && strings.HasSuffix(name, strings.ToLower(suffix)) {
			found = append(found, origin)
		}
	}
	return found
}

// NewLoadBalancer is the host of a set as browsers reach it. What is only guessed to be plain
// http may have a load balancer with TLS in front, which is then to be found out.
func NewLoadBalancer(c *config.Config, set Callbacks, given bool) LoadBalancer {
	if at, err := url.Parse(set[0]); err == nil && !given && at.Scheme == "http" {
		return LoadBalancer{
			Callback:     "https://" + strings.TrimSuffix(at.Host, ":"+at.Port()) + c.PathPrefix + "/callback",
			Alternatives: set,
		}
	}
	return LoadBalancer{Callback: set[0], Alternatives: set[1:]}
}
