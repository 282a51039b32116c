package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// client is the far end of a request as trusted proxies tell it.
type client struct {
	addr   netip.Addr // invalid where the peer has no address
	scheme string     // http or https
	host   string     // as sent, lower case, with a port that is not the scheme's own
	name   string     // host without port: what picks the upstream
}

func (c client) secure() bool { return c.scheme == "https" }

func (c client) origin() string { return c.scheme + "://" + c.host }

func (c client) address() string {
	if !c.addr.IsValid() {
		return ""
	}
	return c.addr.String()
}

// clientOf settles address, scheme and host. X-Forwarded-For and -Proto count
// only from a trusted peer; X-Forwarded-Host never picks the upstream, because
// an ALB passes on what the client wrote there.
func (p *Proxy) clientOf(r *http.Request) client {
	peer := peerOf(r.RemoteAddr)
	trusted := p.trusts(peer)
	c := client{addr: peer, scheme: "http"}
	if r.TLS != nil {
		c.scheme = "https"
	}
	if trusted {
		c.addr = p.forwardedFor(r.Header["X-Forwarded-For"], peer)
		if proto := lastElement(r.Header["X-Forwarded-Proto"]); proto == "https" || proto == "http" {
			c.scheme = proto
		}
	}
	c.name, c.host = splitHost(r.Host, c.scheme)
	if !c.secure() && !p.plain.Load() && !p.plain.Swap(true) {
		p.log.Warn("serving plain http: session cookies are sent without Secure and __Host-",
			"remote", peer, "forwarded_proto", lastElement(r.Header["X-Forwarded-Proto"]), "trusted_proxy", trusted,
			"mend", "let a load balancer speak https to browsers, and list its addresses in trustedProxies so that its X-Forwarded-Proto counts")
	}
	return c
}

func (p *Proxy) trusts(addr netip.Addr) bool {
	for _, prefix := range p.config.TrustedProxies {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedFor walks X-Forwarded-For from the right, where the balancer writes,
// to the first address that is not a trusted proxy. What cannot be read ends the
// walk: behind it is only what a client may have made up.
func (p *Proxy) forwardedFor(lines []string, peer netip.Addr) netip.Addr {
	client := peer
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; rest != ""; {
			var element string
			if cut := strings.LastIndexByte(rest, ','); cut >= 0 {
				rest, element = rest[:cut], rest[cut+1:]
			} else {
				rest, element = "", rest
			}
			addr, ok := parseForwarded(strings.TrimSpace(element))
			if !ok {
				return client
			}
			if client = addr; !p.trusts(addr) {
				return client
			}
		}
	}
	return client
}

// parseForwarded reads the forms that an ALB writes: an address, with a port, in
// brackets, or both.
func parseForwarded(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

func peerOf(remoteAddr string) netip.Addr {
	ap, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

func lastElement(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	return strings.ToLower(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]))
}

// splitHost gives the name that picks an upstream, and the host as it stands in
// an origin. Both are empty where the Host header is not one name, an optional
// trailing dot and one optional port of digits.
func splitHost(raw, scheme string) (name, host string) {
	raw = strings.ToLower(raw)
	name, port := raw, ""
	if strings.HasSuffix(raw, "]") || !strings.Contains(raw, ":") {
		name = strings.TrimSuffix(strings.TrimPrefix(raw, "["), "]")
	} else {
		var err error
		if name, port, err = net.SplitHostPort(raw); err != nil || strings.Trim(port, "0123456789") != "" || len(port) > 5 {
			return "", ""
		}
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || strings.ContainsAny(name, "/\\@?#<>,;%'\"() \t") {
		return "", ""
	}
	host = bracketed(name)
	if port != "" && port != defaultPort(scheme) {
		host += ":" + port
	}
	return name, host
}

// bracketed is how a name stands in a URL: IPv6 addresses in brackets.
func bracketed(name string) string {
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}
