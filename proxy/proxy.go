// Package proxy is the request path: the only package that sees both a request
// and a decision. ARCHITECTURE.md walks through its six steps, and ServeHTTP is
// that walk.
//
// A [Proxy] is safe for concurrent use. All that one request reads of the policy
// hangs on a single pointer, loaded once when the request begins.
package proxy

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/proxy/upstream"
	"github.com/example-org/authgate/proxy/upstream/transport"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/target"
	"github.com/prometheus/client_golang/prometheus"
)

// issuer is the OpenID Connect relying party.
type issuer interface {
	Ready() error
	Up() bool
	Refresh(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error)
}

// Login serves the endpoints at which a browser signs in and out (package login).
type Login interface {
	// Serve answers a request to an endpoint, which is a path below the prefix. The session is
	// the user's, for the audit. The answer is nil if there is no such endpoint.
	Serve(q respond.Request, endpoint string) (session.Session, audit.Outcome, respond.Answer)

	// ForUpstream answers a dashboard that sends the browser to its own login page, to return
	// to rd.
	ForUpstream(q respond.Request, upstream, rd string) (audit.Decision, respond.Answer)
}

// ClientCertificate gives the certificate for an upstream that requests one.
type ClientCertificate = transport.ClientCertificate

// Options are the parts that a Proxy is made of.
type Options struct {
	Config *config.Config
	Issuer issuer
	Store  session.Store // of sessions
	Policy *policy.Snapshot
	Shadow *policy.Snapshot // a candidate; nil: none
	Audit  *audit.Writer

	// AuditQueue is where records wait before they are written. Nil: they do not.
	AuditQueue *audit.Queue

	BearerVerifier  bearerVerifier // nil: no tokens are accepted
	ServiceAccounts TokenSources   // those that the configuration names

	UpstreamCAs map[string]*x509.CertPool // upstream → CAs to believe; the others: the system's

	UpstreamCertificates map[string]ClientCertificate // upstream → what it is shown; the others: nothing

	Icons      map[string]string // upstream → its icon as a data: URL
	PagesBelow PagesBelow        // nil: the portal looks at home pages only

	// ReadLimit is shared by the replicas that share sessions. Nil: only this process remembers.
	ReadLimit onceOnly

	// Overloaded says that the connection of a request is one beyond
	// limits.connections: it gets health checks, and else 503. Nil: none ever is.
	Overloaded func(context.Context) bool

	Pages *page.Set // nil: authgate's own

	Registry prometheus.Registerer
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// pages are those of the installation.
func (o Options) pages() (*page.Set, error) {
	if o.Pages != nil {
		return o.Pages, nil
	}
	return page.New(page.Options{})
}

// Proxy answers requests, or forwards them.
type Proxy struct {
	issuer         issuer
	bearerVerifier bearerVerifier
	sessionCookie  *cookie.Chunked
	sessions       *session.Refresher
	readLimit      onceOnly // of users who have their groups read again
	pagesBelow     PagesBelow
	icons          map[string]string
	login          Login // nil: there is no login
	respond        *respond.Writer
	audit          *audit.Writer
	auditQueue     *audit.Queue // nil: records do not wait
	metrics        *metrics
	log            *slog.Logger
	now            func() time.Time

	crossCheck      crossCheckFunc
	disagreementLog logLimiter
	overloaded      func(context.Context) bool // nil: never

	config    *config.Config
	prefix    string // authgate's own endpoints, without a slash at the end
	endpoints respond.Endpoints
	upstreams []*dashboard  // in the order of the configuration
	quirks    target.Quirks // of any of them

	streams *stream.Registry
	state   atomic.Pointer[state]

	clientReader *client.Reader
	forwarder    *upstream.Forwarder
	draining     atomic.Bool
	detached     atomic.Int64 // exchanges that outlast their handlers
}

// New builds a Proxy that serves under the given policy. It dials nothing.
func New(o Options) (*Proxy, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	pages, err := o.pages()
	if err != nil {
		return nil, err
	}
	responses := respond.New(pages, o.Config.PathPrefix+"/", o.Log)
	p := &Proxy{
		issuer: o.Issuer, bearerVerifier: o.BearerVerifier, respond: responses, audit: o.Audit, auditQueue: o.AuditQueue,
		log: o.Log, now: o.Now,
		crossCheck:   (*policy.Snapshot).CrossCheck,
		overloaded:   o.Overloaded,
		clientReader: &client.Reader{TrustedProxies: o.Config.TrustedProxies, Log: o.Log},
		readLimit:    newReadLimit(o.ReadLimit, o.Now),
		pagesBelow:   o.PagesBelow, icons: o.Icons,
		config: o.Config, prefix: o.Config.PathPrefix,
	}
	p.newSessions(o)
	var names []string
	for i := range o.Config.Upstreams {
		u := newDashboard(&o, i)
		p.upstreams = append(p.upstreams, u)
		names = append(names, u.Name)
		p.quirks |= u.Quirks
	}
	p.endpoints = respond.Endpoints{Prefix: p.prefix, Quirks: p.quirks}
	p.streams = stream.NewRegistry(stream.Options{
		Upstreams: names, PerOwner: o.Config.Limits.StreamsPerPrincipal, Now: o.Now, Report: p.reportCut,
	})
	p.metrics = newMetrics(o.Registry, p)
	p.forwarder = &upstream.Forwarder{
		Respond: p.respond, Streams: p.streams, SessionCookie: p.sessionCookie, ObserveHeader: p.metrics.observeUpstream,
		Now:       p.now,
		BodyLimit: o.Config.Limits.BodyBytes, BodyTimeout: time.Duration(o.Config.Timeouts.Body),
	}
	p.publish(&state{policy: p.newLoadedPolicy(o.Policy), generation: 1})
	p.reportPolicy()
	if o.Shadow != nil {
		p.SetShadow(o.Shadow)
	}
	return p, nil
}

// MountLogin adds the endpoints of the login, before the first request.
func (p *Proxy) MountLogin(l Login) { p.login = l }

// Sessions are those of the users.
func (p *Proxy) Sessions() *session.Refresher { return p.sessions }

// Endpoints are the addresses of authgate's own pages.
func (p *Proxy) Endpoints() respond.Endpoints { return p.endpoints }

// ServesHost reports whether an upstream has a host.
func (p *Proxy) ServesHost(host string) bool {
	_, known := Route(p.config.Upstreams, host, "/")
	return known
}

// ServeHTTP takes a request through the six steps of ARCHITECTURE.md. Each step takes the result
// of the step before (steps.go).
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := p.begin(w, r)
	defer func() { // one audit record, one set of metrics, on every way out
		if !x.all.detached {
			p.finish(x.all)
		}
	}()
	if refusal := p.serve(x); refusal != nil {
		p.answer(x, refusal) // 5: to the login, or a page or problem+json that says why
	}
	x.w.FlushBody() // not when an upstream breaks off: that panics
}

// serve serves a request, or returns a refusal.
func (p *Proxy) serve(x *request) *Refusal {
	if f := p.awaitAuditRoom(x); f != nil { // 503: what cannot be recorded is not served
		return f
	}
	if p.isAuthRequest(x.r.RequestURI) { // an ingress asks about another request, which takes the same steps
		p.serveForwardAuth(x)
		return nil
	}
	if f := p.admit(x); f != nil { // 503, 431, 400
		return f
	}
	at, f := p.canonicalise(x) // 1 target: 400
	if f != nil {
		return f
	}
	to, f := p.findHost(at) // 2 route: 421
	if f != nil {
		return f
	}
	if p.serveEndpoint(to) { // authgate's own endpoints: no upstream, no policy
		return nil
	}
	if f = p.findUpstream(to); f != nil { // 2 route: 404, 400, 415
		return f
	}
	if p.serveLoginPage(to) { // authgate's login replaces the dashboard's own
		return nil
	}
	user, f := p.authenticate(to) // 3 identity: 403
	if f != nil {
		return f
	}
	allowed, f := p.decide(user) // 4 policy: 401, 403, 503
	if f != nil {
		return f
	}
	token, f := p.selectCredential(allowed) // 6 the credential for the upstream: 403, 502, 503
	if f != nil {
		return f
	}
	p.forward(allowed, token) // 6: 413, 429, 502, 504
	return nil
}

// Detached counts the open WebSockets: they outlast the handlers of their requests.
func (p *Proxy) Detached() int64 { return p.detached.Load() }

// Drain makes /readyz fail from now on, so that balancers send nothing new.
func (p *Proxy) Drain() { p.draining.Store(true) }

// forward is step 6: the upstream gets the request.
func (p *Proxy) forward(x *decided, token string) {
	q := upstream.Request{
		Request: x.respondTo(), Recorder: x.w, Upstream: x.route.Upstream, Exchange: x.all,
		Token: token, SpentAuthorization: x.usesBearer() && x.presented.header == "Authorization", Result: &x.all.forwarded,
	}
	if x.signedIn() && !x.asAnonymous {
		q.Identity = x.userHeaders.For(x.route.Upstream)
	}
	p.forwarder.Forward(q)
}
