package config

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/example-org/authgate/text"
)

// parseTrustedProxy reads one of trustedProxies. It refuses what would match other
// addresses than it seems to.
func parseTrustedProxy(s string) (netip.Prefix, problem) {
	if s == "unix" {
		return UnixPeers(), problem{}
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		address, err := netip.ParseAddr(s)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, problem{text.Quote(s) + " is neither a CIDR nor an address", `write "10.0.0.0/16", "10.0.0.7" or unix`}
		}
		prefix = netip.PrefixFrom(address, address.BitLen())
	}
	switch {
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, problem{text.Quote(s) + " is IPv4 dressed as IPv6 and would match nothing", "write it without ::ffff:"}
	case prefix != prefix.Masked():
		return netip.Prefix{}, problem{
			text.Quote(s) + " has address bits behind its mask",
			"write " + text.Quote(prefix.Masked().String()) + " for the network or " + text.Quote(prefix.Addr().String()) + " for the one address",
		}
	}
	return prefix, problem{}
}

// parseHTTPURL reads an absolute http or https URL. Faults repeat nothing of it:
// people put passwords into URLs.
func parseHTTPURL(raw, example string) (*url.URL, problem) {
	hint := "write it as " + example
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, problem{"is not a URL", hint}
	case strings.ContainsFunc(raw, unicode.IsControl), strings.ContainsFunc(u.Path, unicode.IsControl):
		return nil, problem{"has a control character", hint}
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, problem{"must be an absolute http or https URL with a host", hint}
	case u.User != nil:
		return nil, problem{"must not hold a user name or a password", hint}
	case strings.ContainsAny(raw, "?#"):
		return nil, problem{"must have neither a query nor a fragment", hint}
	case !validPort(u.Port()) && u.Port() != "" || strings.HasSuffix(u.Host, ":"):
		return nil, problem{"must have a port from 1 to 65535, or none", hint}
	}
	return u, problem{}
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// checkHost wants a host in the one form that requests are compared in.
func checkHost(host string) problem {
	if host == "*" {
		return problem{}
	}
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" || address.String() != host {
			return problem{text.Quote(host) + " is not how the address is written", "write " + text.Quote(address.WithZone("").String())}
		}
		return problem{}
	}
	if u, err := url.Parse("//" + host); err == nil && u.Host == host && host != u.Hostname() && u.Hostname() != "" {
		return problem{text.Quote(host) + " has a port or brackets; a host counts on every port", "write " + text.Quote(u.Hostname())}
	}
	lower := strings.TrimSuffix(strings.ToLower(host), ".")
	parent, wild := strings.CutPrefix(lower, "*.") // any one label in front
	switch {
	case wild && validName(parent) && host == lower:
		return problem{}
	case wild && validName(parent):
		return problem{text.Quote(host) + " is not how the host is compared", "write " + text.Quote(lower)}
	case strings.Contains(host, "*"):
		return problem{text.Quote(host) + " is a pattern that is not known", `write "*.example.com" for one label in front of a name, or name each host`}
	case validName(host) && host == lower:
		return problem{}
	case validName(lower):
		return problem{text.Quote(host) + " is not how the host is compared", "write " + text.Quote(lower)}
	}
	return problem{text.Quote(host) + " is not a host", "write a name such as argo-cd.example.com, without scheme and path, and with other letters as xn--..."}
}

// checkOrigin wants what a browser would send as Origin (RFC 6454, 6.2): anything
// else never matches.
func checkOrigin(origin string) problem {
	u, c := parseHTTPURL(origin, "https://other.example.com")
	switch {
	case c.message != "":
		return c
	case u.Path != "":
		return problem{"is an origin and has no path", "write " + text.Quote(u.Scheme+"://"+u.Host)}
	case origin != strings.ToLower(origin):
		return problem{"is not how browsers write it", "write " + text.Quote(strings.ToLower(origin))}
	case u.Scheme == "http" && u.Port() == "80", u.Scheme == "https" && u.Port() == "443":
		return problem{"has the port that browsers leave out", "write " + text.Quote(strings.TrimSuffix(origin, ":"+u.Port()))}
	}
	return problem{}
}

func checkAuthority(host string) problem {
	u, c := parseHTTPURL("http://"+host, "")
	if c.message != "" || u.Host != host {
		return problem{text.Quote(host) + " is not a host", "write a name such as argo-cd.example.com, with a port where it needs one"}
	}
	return problem{}
}

// validName reports whether s is a host name of letters, digits, hyphens and
// underscores (RFC 1123, 2.1; the underscore is seen in internal names).
func validName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isAlphanumeric(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
