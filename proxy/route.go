package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/config"
)

// Route picks the upstream that serves a path on a host: the longest path prefix
// wins. It gives -1 for a path that none of the host's upstreams serves, and
// known tells whether the host has any. The host is lower case and has no port.
func Route(upstreams []config.Upstream, host, path string) (index int, known bool) {
	index = -1
	for i := range upstreams {
		u := &upstreams[i]
		if host == "" || !slices.Contains(u.Hosts, host) && !slices.Contains(u.Hosts, "*") {
			continue
		}
		known = true
		if hasPrefix(path, u.Path) && (index < 0 || len(u.Path) > len(upstreams[index].Path)) {
			index = i
		}
	}
	return index, known
}

// hasPrefix tests for a prefix on a segment boundary.
func hasPrefix(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}

// upstream is a dashboard, and how to reach it.
type upstream struct {
	name           string
	url            *url.URL
	hostHeader     string
	headers        bool
	allowedOrigins []string // canonical
	transport      http.RoundTripper
	errorLog       *log.Logger // what ReverseProxy has to say
}

func newUpstream(c *config.Upstream, timeouts config.Timeouts, cas *x509.CertPool, logger *slog.Logger) *upstream {
	transport := &http.Transport{
		// No Proxy: HTTP_PROXY would receive the requests with the identity in them.
		DialContext:            (&net.Dialer{Timeout: time.Duration(timeouts.UpstreamDial)}).DialContext,
		TLSHandshakeTimeout:    time.Duration(timeouts.UpstreamDial),
		ResponseHeaderTimeout:  time.Duration(timeouts.UpstreamHeader),
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true, // what the client did not ask for would break ETag and Range
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		TLSClientConfig:        &tls.Config{RootCAs: cas, MinVersion: tls.VersionTLS12},
		Protocols:              new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(true)
	u := &upstream{
		name: c.Name, url: c.URL, hostHeader: c.HostHeader, headers: c.Identity.Headers, transport: transport,
		errorLog: slog.NewLogLogger(logger.With("upstream", c.Name).Handler(), slog.LevelWarn),
	}
	for _, origin := range c.AllowedOrigins {
		u.allowedOrigins = append(u.allowedOrigins, canonicalOrigin(origin))
	}
	return u
}

// findHost is the first half of step 2: a host that no upstream has is refused.
func (p *Proxy) findHost(x *exchange) bool {
	index, known := Route(p.config.Upstreams, x.client.name, x.path.String())
	if !known {
		return x.refuse(http.StatusMisdirectedRequest, "unknown_host",
			"No dashboard is served under this host name.", errors.New("no upstream has this host; add it to upstreams[].hosts"))
	}
	if index >= 0 && !p.isOwn(x.path) {
		x.route = p.upstreams[index]
	}
	return true
}

// findUpstream is the second half, for what is not authgate's own.
func (p *Proxy) findUpstream(x *exchange) bool {
	if x.route == nil {
		return x.refuse(http.StatusNotFound, "no_upstream", "No dashboard is served under this path.", nil)
	}
	if x.path.HasCodedSlash() {
		return x.refuse(http.StatusBadRequest, "coded_slash",
			"The request was refused: the path holds an encoded slash, which "+x.route.name+" does not take.", nil)
	}
	return true
}
