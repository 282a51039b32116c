// Package client knows where a request comes from: its address, scheme and host as trusted
// proxies report them, the id that it has in logs, and, for forward-auth, the request that
// an ingress asks about.
package client

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// Client is the far end of a request as trusted proxies report it.
type Client struct {
	Addr     netip.Addr // invalid where the peer has no address
	Scheme   string     // http or https
	Host     string     // as sent, lower case, with a port that is not the scheme's own
	Hostname string     // Host without port: selects the upstream

	address string // Addr as text; empty: not known yet
}

// Secure reports whether the client uses https.
func (c Client) Secure() bool { return c.Scheme == "https" }

// Origin is the origin of the site that the client asked for (RFC 6454).
func (c Client) Origin() string { return c.Scheme + "://" + c.Host }

// OriginOf is the origin of another host of the same authgate: same scheme, same port.
func (c Client) OriginOf(host string) string {
	if host == "*" {
		return c.Origin()
	}
	port := strings.TrimPrefix(c.Host, bracketIPv6(c.Hostname))
	return c.Scheme + "://" + bracketIPv6(host) + port
}

// Port is the port that the browser connects to, also where the URL does not name it.
func (c Client) Port() string {
	if at := strings.LastIndexByte(c.Host, ':'); at > strings.LastIndexByte(c.Host, ']') {
		return c.Host[at+1:]
	}
	return defaultPort(c.Scheme)
}

// Address is the address as text; empty where the peer has none.
func (c Client) Address() string {
	if c.address != "" || !c.Addr.IsValid() {
		return c.address
	}
	return c.Addr.String()
}

// canonicalText gives the text that an address was read from if it is the address's own form:
// most are, and need not be written again.
func canonicalText(addr netip.Addr, text string) string {
	var buffer [64]byte
	if string(addr.AppendTo(buffer[:0])) != text {
		return ""
	}
	return text
}

// SetHost makes the client one that sent this Host header, and uses this scheme.
func (c *Client) SetHost(host, scheme string) {
	c.Scheme = scheme
	c.Hostname, c.Host = SplitHost(host, scheme)
}

// Reader reads clients from requests. It is safe for concurrent use.
type Reader struct {
	TrustedProxies []netip.Prefix // the zero Prefix stands for peers on Unix sockets
	Log            *slog.Logger

	plainHTTPWarned atomic.Bool // the warning about plain http was logged
}

// Read determines address, scheme and host. X-Forwarded-For and -Proto count only from a
// trusted peer. X-Forwarded-Host never selects the upstream, because an ALB passes on what
// the client wrote there.
func (rd *Reader) Read(r *http.Request) Client {
	peer := peerOf(r.RemoteAddr)
	trusted := rd.isTrusted(peer)
	c := Client{Addr: peer}
	source := r.RemoteAddr[:max(strings.LastIndexByte(r.RemoteAddr, ':'), 0)]
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if trusted {
		c.Addr, source = rd.forwardedFor(r.Header["X-Forwarded-For"], peer, source)
		switch lastElement(r.Header["X-Forwarded-Proto"]) {
		case "https", "wss": // Traefik sends wss for a WebSocket handshake
			scheme = "https"
		case "http", "ws":
			scheme = "http"
		}
	}
	if c.Addr.IsValid() {
		c.address = canonicalText(c.Addr, source)
	}
	c.SetHost(r.Host, scheme)
	if !c.Secure() && !rd.plainHTTPWarned.Load() && !rd.plainHTTPWarned.Swap(true) {
		rd.Log.Warn("serving plain http: session cookies are sent without Secure and __Host-",
			"remote", peer, "forwarded_proto", lastElement(r.Header["X-Forwarded-Proto"]), "trusted_proxy", trusted,
			"hint", "let a load balancer serve https to browsers, and list its addresses in trustedProxies so that its "+
				"X-Forwarded-Proto counts")
	}
	return c
}

// IsTrusted reports whether the peer of a request is one of the trusted proxies.
func (rd *Reader) IsTrusted(r *http.Request) bool { return rd.isTrusted(peerOf(r.RemoteAddr)) }

// isTrusted reports whether a peer's headers count. A peer without an address connected over
// a Unix socket; it is trusted if trustedProxies lists unix.
func (rd *Reader) isTrusted(addr netip.Addr) bool {
	for _, prefix := range rd.TrustedProxies {
		if prefix.Contains(addr) || !addr.IsValid() && !prefix.IsValid() {
			return true
		}
	}
	return false
}

// forwardedFor walks X-Forwarded-For from the right, where the load balancer writes, to the
// first address that is not a trusted proxy. An element that cannot be parsed ends the walk,
// because a client may have written all that precedes it. text is what the address was read from.
func (rd *Reader) forwardedFor(lines []string, peer netip.Addr, peerText string) (client netip.Addr, text string) {
	client, text = peer, peerText
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; rest != ""; {
			var element string
			if cut := strings.LastIndexByte(rest, ','); cut >= 0 {
				rest, element = rest[:cut], rest[cut+1:]
			} else {
				rest, element = "", rest
			}
			element = strings.TrimSpace(element)
			addr, ok := parseForwarded(element)
			if !ok {
				return client, text
			}
			if client, text = addr, element; !rd.isTrusted(addr) {
				return client, text
			}
		}
	}
	return client, text
}

// parseForwarded reads the forms that an ALB writes: an address, optionally with a port, in
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
