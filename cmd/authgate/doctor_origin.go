package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/doctor"
)

// callbackCandidates gives, for each host that can be asked for, the callbacks that `serve`
// may send, the likeliest first. What it sends depends on the request: without one,
// only origins that were given leave nothing to guess.
func callbackCandidates(c *config.Config, origins []*url.URL) (sets []doctor.Callbacks, wildcards []string) {
	for _, u := range c.Upstreams {
		for _, host := range u.Hosts {
			given := originsForHost(origins, host)
			switch {
			case len(given) > 0:
				for _, origin := range given {
					sets = append(sets, doctor.Callbacks{effectiveOrigin(c, origin) + c.PathPrefix + "/callback"})
				}
			case strings.HasPrefix(host, "*"):
				wildcards = append(wildcards, host)
			default:
				var set doctor.Callbacks
				for _, origin := range guessOrigins(c, host) {
					set = append(set, origin+c.PathPrefix+"/callback")
				}
				sets = append(sets, set)
			}
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(sets, func(set doctor.Callbacks) bool {
		duplicate := seen[set[0]]
		seen[set[0]] = true
		return duplicate
	}), wildcards
}

// guessOrigins are the origins at which browsers may reach a host. Where the scheme can
// only be http, as nothing ends TLS that is trusted to say so, https is not among them.
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
// that of the connection, unless a trusted proxy says another.
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

func originsForHost(origins []*url.URL, host string) []*url.URL {
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

// parseOrigins reads --origin.
func parseOrigins(raw []string) ([]*url.URL, error) {
	var all []*url.URL
	for _, text := range raw {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
			strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") || strings.HasSuffix(u.Host, ":") {
			return nil, fmt.Errorf("--origin is no origin; write what browsers have before the path, such as https://argo-cd.example.com or http://127.0.0.1:8080")
		}
		all = append(all, u)
	}
	return all, nil
}

// checkOriginsServed are the origins whose host no upstream has.
func checkOriginsServed(c *config.Config, origins []*url.URL) error {
	for _, origin := range origins {
		if !slices.ContainsFunc(c.Upstreams, func(u config.Upstream) bool {
			return slices.ContainsFunc(u.Hosts, func(host string) bool { return len(originsForHost([]*url.URL{origin}, host)) > 0 })
		}) {
			return fmt.Errorf("--origin is %s://%s, and no upstream has that host; write one of hosts", origin.Scheme, origin.Host)
		}
	}
	return nil
}

// loadBalancer is the host of a set as browsers reach it. What is only guessed to be plain
// http may have a load balancer with TLS in front, which is then to be found out.
func loadBalancer(c *config.Config, set doctor.Callbacks, given bool) doctor.LoadBalancer {
	if at, err := url.Parse(set[0]); err == nil && !given && at.Scheme == "http" {
		return doctor.LoadBalancer{Callback: "https://" + strings.TrimSuffix(at.Host, ":"+at.Port()) + c.PathPrefix + "/callback", Alternatives: set}
	}
	return doctor.LoadBalancer{Callback: set[0], Alternatives: set[1:]}
}
