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

// callbackSet gives, for each host that can be asked for, the callbacks that `serve`
// may send, the likeliest first. What it sends depends on the request: without one,
// only origins that were given leave nothing to guess.
func callbackSet(c *config.Config, origins []*url.URL) (sets []doctor.Callbacks, wildcards []string) {
	for _, u := range c.Upstreams {
		for _, host := range u.Hosts {
			given := originsOf(origins, host)
			switch {
			case len(given) > 0:
				for _, origin := range given {
					sets = append(sets, doctor.Callbacks{served(c, origin) + c.PathPrefix + "/callback"})
				}
			case strings.HasPrefix(host, "*"):
				wildcards = append(wildcards, host)
			default:
				var set doctor.Callbacks
				for _, origin := range guessed(c, host) {
					set = append(set, origin+c.PathPrefix+"/callback")
				}
				sets = append(sets, set)
			}
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(sets, func(set doctor.Callbacks) bool {
		again := seen[set[0]]
		seen[set[0]] = true
		return again
	}), wildcards
}

// guessed are the origins at which browsers may reach a host. Where the scheme can
// only be http, as nothing ends TLS that is trusted to say so, https is not among them.
func guessed(c *config.Config, host string) []string {
	secure := "https://" + host
	_, port, err := net.SplitHostPort(c.Listen)
	direct := func(scheme string) string { return served(c, &url.URL{Scheme: scheme, Host: host + ":" + port}) }
	known := err == nil && port != "" && port != "0"
	var all []string
	switch {
	case c.TLS.On() && known:
		all = []string{secure, direct("https")}
	case c.TLS.On():
		all = []string{secure}
	case len(c.TrustedProxies) > 0 && known:
		all = []string{secure, direct("http"), "http://" + host}
	case len(c.TrustedProxies) > 0:
		all = []string{secure, "http://" + host}
	case known:
		all = []string{direct("http"), "http://" + host}
	default:
		all = []string{"http://" + host}
	}
	return slices.Compact(all)
}

// served is an origin as `serve` would write it into a redirect URI: its scheme is
// that of the connection, unless a trusted proxy says another.
func served(c *config.Config, origin *url.URL) string {
	scheme := origin.Scheme
	if len(c.TrustedProxies) == 0 {
		scheme = "http"
		if c.TLS.On() {
			scheme = "https"
		}
	}
	host := strings.ToLower(origin.Host)
	if name := strings.TrimSuffix(host, ":"+map[string]string{"http": "80", "https": "443"}[scheme]); name != "" {
		host = name
	}
	return scheme + "://" + host
}

func originsOf(origins []*url.URL, host string) []*url.URL {
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

// unserved are the origins whose host no upstream has.
func unserved(c *config.Config, origins []*url.URL) error {
	for _, origin := range origins {
		if !slices.ContainsFunc(c.Upstreams, func(u config.Upstream) bool {
			return slices.ContainsFunc(u.Hosts, func(host string) bool { return len(originsOf([]*url.URL{origin}, host)) > 0 })
		}) {
			return fmt.Errorf("--origin is %s://%s, and no upstream has that host; write one of hosts", origin.Scheme, origin.Host)
		}
	}
	return nil
}

// front is the host of a set as browsers reach it. What is only guessed to be plain
// http may have a load balancer with TLS in front, which is then to be found out.
func front(c *config.Config, set doctor.Callbacks, given bool) doctor.Front {
	if at, err := url.Parse(set[0]); err == nil && !given && at.Scheme == "http" {
		return doctor.Front{Callback: "https://" + strings.TrimSuffix(at.Host, ":"+at.Port()) + c.PathPrefix + "/callback", Otherwise: set}
	}
	return doctor.Front{Callback: set[0], Otherwise: set[1:]}
}
