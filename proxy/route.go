package proxy

import (
	"crypto/x509"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/upstream/transport"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// Route picks the upstream that serves a path on a host: the longest path prefix
// wins. A host that is listed by its name is of those upstreams alone, whatever
// *.example.com others list. It gives -1 for a path that none of them serves, and
// known tells whether the host has any. The host is lower case and has no port.
func Route(upstreams []config.Upstream, host, path string) (index int, known bool) {
	index = -1
	pattern := matchHost(upstreams, host)
	if pattern == "" {
		return index, false
	}
	for i := range upstreams {
		u := &upstreams[i]
		if !slices.Contains(u.Hosts, pattern) {
			continue
		}
		known = true
		if hasPathPrefix(path, u.Path) && (index < 0 || len(u.Path) > len(upstreams[index].Path)) {
			index = i
		}
	}
	return index, known
}

// HostQuirks gives what paths on a host may hold, because one of its upstreams needs
// it. Whether that is the one that serves a path is known when it has been routed.
func HostQuirks(upstreams []config.Upstream, host string) (all target.Quirks) {
	pattern := matchHost(upstreams, host)
	if pattern == "" {
		return 0
	}
	for i := range upstreams {
		if u := &upstreams[i]; len(u.PathQuirks) > 0 && slices.Contains(u.Hosts, pattern) {
			all |= u.Quirks()
		}
	}
	return all
}

// matchHost gives the one form under which upstreams list a host: its name, which then
// owns all of its paths; or else *.example.com, any one label before a name; or else *.
// It is empty where none has the host.
func matchHost(upstreams []config.Upstream, host string) string {
	if host == "" {
		return ""
	}
	pattern := ""
	label, parent, _ := strings.Cut(host, ".")
	for i := range upstreams {
		for _, listed := range upstreams[i].Hosts {
			switch {
			case listed == host:
				return listed
			case strings.HasPrefix(listed, "*.") && label != "" && listed[len("*."):] == parent, listed == "*" && pattern == "":
				pattern = listed
			}
		}
	}
	return pattern
}

// hasPathPrefix tests for a prefix on a segment boundary.
func hasPathPrefix(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}

// upstream is a dashboard, and how to reach it.
type upstream struct {
	name            string
	config          *config.Upstream
	kind            upstreamKind
	url             *url.URL
	path            string // prefix of the paths that are its
	stripPath       bool   // the prefix is authgate's, not the upstream's
	hostHeader      string
	index           int // in Proxy.upstreams
	quirks          target.Quirks
	stripHeaders    []string
	headerBuilder   *headerBuilder
	credential      config.Credential
	serviceAccounts []serviceAccount
	loginCookies    []*cookie.Chunked // the cookies of its own login
	allowedOrigins  []string          // canonical
	transports      atomic.Pointer[transport.Set]
	transportTo     transport.Options
	errorLog        *log.Logger // what ReverseProxy has to say
}

func newUpstream(c *config.Upstream, timeouts config.Timeouts, cas *x509.CertPool, cert ClientCertificate, accounts TokenSources, logger *slog.Logger) *upstream {
	k := upstreamKindOf(c.Kind).under(c.Path)
	u := &upstream{
		name: c.Name, config: c, kind: k, url: c.URL, path: c.Path, stripPath: c.StripPath, hostHeader: c.HostHeader, credential: c.Identity.Credential,
		stripHeaders: strippedHeaders(c), headerBuilder: newHeaderBuilder(c), quirks: c.Quirks(),
		transportTo: transport.Options{
			H2C: c.URL.Scheme == config.SchemeH2C, ServerName: c.TLS.ServerName, ClientCertificate: cert, ExactGRPCType: k.exactGRPCType,
			DialTimeout: c.Timeouts.Dial(timeouts), HeaderTimeout: c.Timeouts.Header(timeouts), IdleTimeout: time.Duration(c.Timeouts.Idle),
		},
		errorLog: log.New(reverseProxyLog{logger.With("upstream", c.Name)}, "", 0),
	}
	if c.URL.Scheme == config.SchemeUnix {
		u.transportTo.Socket = c.URL.Path
	}
	u.setCAs(cas)
	for _, a := range c.Identity.ServiceAccounts {
		u.serviceAccounts = append(u.serviceAccounts, serviceAccount{a.Role, accounts[a]})
	}
	for _, name := range k.loginCookies {
		u.loginCookies = append(u.loginCookies, cookie.New(name, "", http.SameSiteLaxMode))
	}
	for _, origin := range c.AllowedOrigins {
		u.allowedOrigins = append(u.allowedOrigins, client.CanonicalOrigin(origin))
	}
	return u
}

// reverseProxyLog takes what ReverseProxy reports, in fixed words: it may repeat what an
// upstream sent.
type reverseProxyLog struct{ *slog.Logger }

func (s reverseProxyLog) Write(line []byte) (int, error) {
	s.Warn(text.RedactLogLine(string(line)))
	return len(line), nil
}

// SetUpstreamCAs makes new connections to an upstream trust these CAs; nil: those of the
// system. Requests in progress continue.
func (p *Proxy) SetUpstreamCAs(name string, cas *x509.CertPool) {
	for _, u := range p.upstreams {
		if u.name == name {
			u.setCAs(cas)
		}
	}
}

func (u *upstream) setCAs(cas *x509.CertPool) {
	o := u.transportTo
	o.CAs = cas
	if old := u.transports.Swap(transport.New(o)); old != nil {
		old.CloseIdle()
	}
}

// roundTripper selects the transport for a request.
func (u *upstream) roundTripper(x *exchange) http.RoundTripper {
	available := u.transports.Load()
	switch {
	case x.isWebSocketUpgrade():
		return available.Upgrade
	case respond.IsGRPC(x.r):
		return transport.Duplex(available.GRPC, x.r)
	}
	selected := available.Plain
	if u.requestsStream(x.r) {
		selected = available.NoHeaderTimeout
	}
	if u.url.Scheme == config.SchemeH2C {
		return transport.Duplex(selected, x.r)
	}
	return selected
}

// unixHost is the host in URLs of Unix sockets, which have no name.
const unixHost = "unix"

// base gives the scheme and host of outgoing URLs. The Host header is independent of them.
func (u *upstream) base() (scheme, host string) {
	switch u.url.Scheme {
	case config.SchemeH2C:
		return "http", u.url.Host
	case config.SchemeUnix:
		return "http", unixHost
	default:
		return u.url.Scheme, u.url.Host
	}
}

// findHost is the first half of step 2: a host that no upstream has is refused.
func (p *Proxy) findHost(x *exchange) bool {
	index, known := Route(p.config.Upstreams, x.client.Hostname, x.path.String())
	if !known {
		return x.refuse(http.StatusMisdirectedRequest, "unknown_host",
			"No dashboard is served under this host name.", errors.New("no upstream has this host; add it to upstreams[].hosts"))
	}
	if index >= 0 && !p.endpoints.Has(x.path) {
		x.route = p.upstreams[index]
	}
	return x.checkQuirks()
}

// checkQuirks refuses what only another upstream of this host may be sent.
func (x *exchange) checkQuirks() bool {
	unsupported := x.path.Quirks()
	if x.route != nil {
		unsupported &^= x.route.quirks
	}
	return unsupported == 0 || x.refuseTarget(unsupported.Refusal())
}

// findUpstream is the second half, for what is not authgate's own.
func (p *Proxy) findUpstream(x *exchange) bool {
	if x.route == nil {
		return x.refuse(http.StatusNotFound, "no_upstream", "No dashboard is served under this path.", nil)
	}
	if x.path.HasEncodedSlash() && !AllowsEncodedSlash(x.route.config, x.path) {
		return x.refuse(http.StatusBadRequest, "coded_slash",
			"The request was refused: the path holds an encoded slash, which "+x.route.name+" does not take.", nil)
	}
	return x.checkForm()
}
