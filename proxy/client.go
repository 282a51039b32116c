package proxy

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/example-org/authgate/config"
)

// client is the far end of a request as trusted proxies tell it.
type client struct {
	addr     netip.Addr // invalid where the peer has no address
	scheme   string     // http or https
	host     string     // as sent, lower case, with a port that is not the scheme's own
	hostname string     // host without port: what picks the upstream
}

func (c client) secure() bool { return c.scheme == "https" }

func (c client) origin() string { return c.scheme + "://" + c.host }

// port is the one that browsers go to, named or not.
func (c client) port() string {
	if at := strings.LastIndexByte(c.host, ':'); at > strings.LastIndexByte(c.host, ']') {
		return c.host[at+1:]
	}
	return defaultPort(c.scheme)
}

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
	trusted := p.isTrusted(peer)
	c := client{addr: peer, scheme: "http"}
	if r.TLS != nil {
		c.scheme = "https"
	}
	if trusted {
		c.addr = p.forwardedFor(r.Header["X-Forwarded-For"], peer)
		switch lastElement(r.Header["X-Forwarded-Proto"]) {
		case "https", "wss": // Traefik says wss of a WebSocket's handshake
			c.scheme = "https"
		case "http", "ws":
			c.scheme = "http"
		}
	}
	c.hostname, c.host = splitHost(r.Host, c.scheme)
	if !c.secure() && !p.plainHTTPWarned.Load() && !p.plainHTTPWarned.Swap(true) {
		p.log.Warn("serving plain http: session cookies are sent without Secure and __Host-",
			"remote", peer, "forwarded_proto", lastElement(r.Header["X-Forwarded-Proto"]), "trusted_proxy", trusted,
			"mend", "let a load balancer speak https to browsers, and list its addresses in trustedProxies so that its X-Forwarded-Proto counts")
	}
	return c
}

// isTrusted reports whether a peer's word counts. One without an address came over
// a Unix socket, and is trusted where the word unix is in the list.
func (p *Proxy) isTrusted(addr netip.Addr) bool {
	for _, prefix := range p.config.TrustedProxies {
		if prefix.Contains(addr) || !addr.IsValid() && prefix == config.UnixPeers() {
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
			if client = addr; !p.isTrusted(addr) {
				return client
			}
		}
	}
	return client
}

// parseForwarded reads the forms that an ALB writes: an address, with a port, in
// brackets, or both.
func parseForwarded(s string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		s = inner[:len(inner)-1]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap(), addr.Zone() == ""
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
// an origin. Both are empty where the Host header is not one name or address, an
// optional dot behind a name and one optional port: only what no two servers read
// as two different hosts.
func splitHost(raw, scheme string) (name, host string) {
	if len(raw) > maxHost {
		return "", ""
	}
	rawName, rawPort, hasPort := raw, "", false
	if at := strings.LastIndexByte(raw, ':'); at > strings.LastIndexByte(raw, ']') {
		rawName, rawPort, hasPort = raw[:at], raw[at+1:], true
	}
	name, ok := hostName(rawName)
	if !ok {
		return "", ""
	}
	host = bracketIPv6(name)
	if hasPort {
		port, ok := portNumber(rawPort)
		if !ok {
			return "", ""
		}
		if port != defaultPort(scheme) {
			host += ":" + port
		}
	}
	return name, host
}

// maxHost is a name (RFC 1035, 2.3.4), its dot and a port.
const maxHost = 253 + len(".:65535")

// hostName brings a name to lower case without the dot behind it, and an address
// in brackets to its one form (RFC 5952).
func hostName(raw string) (string, bool) {
	if inner, ok := strings.CutPrefix(raw, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return addr.String(), closed && err == nil && addr.Is6() && addr.Zone() == ""
	}
	name := strings.TrimSuffix(strings.ToLower(raw), ".")
	for i := range len(name) {
		c := name[i]
		ok := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' ||
			c == '.' && i > 0 && name[i-1] != '.'
		if !ok {
			return "", false
		}
	}
	return name, name != "" && name[len(name)-1] != '.'
}

// portNumber gives a port without leading zeros.
func portNumber(digits string) (string, bool) {
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || len(digits) > len("65535") {
		return "", false
	}
	return strings.TrimLeft(digits, "0"), true
}

// bracketIPv6 is how a name stands in a URL: IPv6 addresses in brackets.
func bracketIPv6(name string) string {
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
