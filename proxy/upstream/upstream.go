// Package upstream forwards a request that was allowed to a dashboard, and streams the response
// back. It knows nothing about sessions or the policy: a [Request] has all that it reads.
package upstream

import (
	"crypto/x509"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/upstream/transport"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/target"
)

// Options describe an upstream.
type Options struct {
	Name string
	Kind string // of dashboard; see kinds

	Scheme, Host string // of outgoing URLs; for a Unix socket, http and any name
	HostHeader   string // empty: that of the client
	Transport    transport.Options

	Path           string // prefix of the paths that it serves
	StripPath      bool   // the prefix is authgate's, not the upstream's
	Quirks         target.Quirks
	EncodedSlash   []string // patterns of further paths that may contain %2F
	AllowedOrigins []string // that may send it requests with a session, besides its own

	StripHeaders     []string
	SetHeaders       map[string]Template
	IdentityHeaders  []string // prefixes of User, Email, Preferred-Username and Groups
	PolicyGroupsOnly bool     // send only groups that the policy mentions

	TokenRejected func(token string) // is called when the upstream answers 401 to a token; nil: nothing is
	Log           *slog.Logger
}

// Upstream is a dashboard, and how to reach it.
type Upstream struct {
	Options
	kind         kind
	index        int // among all upstreams
	stripHeaders []string
	setHeaders   []setHeader
	loginCookies []*cookie.Chunked // those of its own login
	transports   atomic.Pointer[transport.Set]
	log          *slog.Logger
}

// New makes an upstream. Its index is unique, and less than the number of upstreams.
func New(o Options, index int) *Upstream {
	u := &Upstream{
		Options: o, kind: kinds[o.Kind].under(o.Path), index: index,
		stripHeaders: strippedHeaders(o), setHeaders: sortedHeaders(o.SetHeaders),
		log: o.Log.With("upstream", o.Name),
	}
	for _, name := range u.kind.loginCookies {
		u.loginCookies = append(u.loginCookies, cookie.New(name, "", http.SameSiteLaxMode))
	}
	u.AllowedOrigins = make([]string, len(o.AllowedOrigins))
	for i, origin := range o.AllowedOrigins {
		u.AllowedOrigins[i] = client.CanonicalOrigin(origin)
	}
	u.SetCAs(o.Transport.CAs)
	return u
}

// SetCAs makes new connections trust these CAs; nil: those of the system. Requests in progress
// continue.
func (u *Upstream) SetCAs(cas *x509.CertPool) {
	o := u.Transport
	o.ExactGRPCType, o.CAs = u.kind.exactGRPCType, cas
	if old := u.transports.Swap(transport.New(o)); old != nil {
		old.CloseIdle()
	}
}

// Transports gives the current transports.
func (u *Upstream) Transports() *transport.Set { return u.transports.Load() }

// roundTripper selects the transport for a request.
func (u *Upstream) roundTripper(r *http.Request) http.RoundTripper {
	available := u.transports.Load()
	switch {
	case IsWebSocketUpgrade(r):
		return available.Upgrade
	case respond.IsGRPC(r):
		return transport.Duplex(available.GRPC, r)
	}
	selected := available.Plain
	if u.requestsStream(r) {
		selected = available.NoHeaderTimeout
	}
	if u.Transport.H2C {
		return transport.Duplex(selected, r)
	}
	return selected
}

// AllowsOrigin reports whether pages of an origin may send the upstream requests with a
// session, besides its own pages.
func (u *Upstream) AllowsOrigin(origin string) bool {
	canonical := client.CanonicalOrigin(origin)
	return canonical != "" && slices.Contains(u.AllowedOrigins, canonical)
}

// AllowsEncodedSlash reports whether the upstream may be sent a path that contains %2F. Some
// servers read it as one character and others as a separator (RFC 3986, 2.2). Only paths of
// which it is known that the server keeps the segment together are allowed, by the kind or by
// encodedSlash in the configuration.
func (u *Upstream) AllowsEncodedSlash(path target.Path) bool {
	matches := func(pattern string) bool { return target.MatchPattern(path.String(), pattern) }
	return slices.ContainsFunc(u.kind.encodedSlash, matches) || slices.ContainsFunc(u.EncodedSlash, matches)
}

// RefusesForm reports whether a POST of an HTML form to this path is another request to the
// server than the one that is decided.
func (u *Upstream) RefusesForm(path target.Path) bool {
	return slices.ContainsFunc(u.kind.refusedForms, func(pattern string) bool {
		return path.Quirks() != 0 || target.MatchPattern(path.String(), pattern)
	})
}

// HasSideEffect reports whether a GET is known to change something.
func (u *Upstream) HasSideEffect(path target.Path, query string) bool {
	if len(u.kind.effects) > 0 && path.Quirks() != 0 { // the patterns below would not match it
		return true
	}
	return slices.ContainsFunc(u.kind.effects, func(e effect) bool {
		return target.MatchPattern(path.String(), e.path) && (e.query == "" || HasParameter(query, e.query))
	})
}

// BearerHeader is a header that the server reads as a credential, in addition to Authorization;
// empty: there is none. It is never forwarded.
func (u *Upstream) BearerHeader() string { return u.kind.bearerHeader }

// LoginPage finds the page of the server's own login or logout at a path.
func (u *Upstream) LoginPage(path target.Path) (LoginPage, bool) {
	i := slices.IndexFunc(u.kind.loginPages, func(p LoginPage) bool { return target.MatchPattern(path.String(), p.path) })
	if i < 0 {
		return LoginPage{}, false
	}
	return u.kind.loginPages[i], true
}

// IsWebSocketUpgrade reports whether a request asks for a WebSocket. No other protocol is
// switched to: h2c, for example, would be a tunnel in which no further request is decided.
func IsWebSocketUpgrade(r *http.Request) bool {
	values := r.Header["Upgrade"]
	return len(values) == 1 && strings.EqualFold(values[0], "websocket") &&
		r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor == 1 && r.ContentLength == 0
}
