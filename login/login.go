// Package login serves the endpoints through which a browser signs in at the issuer and out
// again. It answers requests that package proxy hands to it, and knows no policy.
package login

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/seal"
)

// Issuer is the OpenID Connect relying party.
type Issuer interface {
	Begin(redirectURI string, o identity.BeginOptions) (identity.Login, string, error)
	Finish(ctx context.Context, login identity.Login, callback url.Values) (identity.TokenSet, error)
	ReadLogout(ctx context.Context, raw string) (identity.Logout, error)
	SignOutURL(g identity.TokenSet, back string) string
}

// ReplayCache remembers what may be used once.
type ReplayCache interface {
	Use(ctx context.Context, secret string, made time.Time, keep time.Duration) (first bool, err error)
}

// Options configure a Handler.
type Options struct {
	Config        *config.Config
	Issuer        Issuer
	Sessions      *session.Refresher
	SessionCookie *cookie.Chunked
	Endpoints     respond.Endpoints
	Keyring       *seal.Keyring
	UsedStates    ReplayCache // nil: only this process remembers them

	// ServesHost reports whether an upstream has a host.
	ServesHost func(host string) bool

	// EndStreams ends the open streams of a session. A session without an ID stands for all
	// of its user, or of the issuer's session that it names.
	EndStreams func(session.Session)

	Registry prometheus.Registerer
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// Handler serves the endpoints. It is safe for concurrent use.
type Handler struct {
	issuer     Issuer
	sessions   *session.Refresher
	cookie     *cookie.Chunked // of the session
	states     *states
	chains     *seal.SecureCodec // encrypts sign-outs on their way over the hosts
	endpoints  respond.Endpoints
	config     *config.Config
	servesHost func(host string) bool
	endStreams func(session.Session)
	logins     *prometheus.CounterVec
	log        *slog.Logger
}

// New returns a Handler.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{
		issuer: o.Issuer, sessions: o.Sessions, cookie: o.SessionCookie, states: newStates(o),
		chains:    o.Keyring.SecureCodecUpTo("sign-out", maxChainBytes),
		endpoints: o.Endpoints, config: o.Config, servesHost: o.ServesHost, endStreams: o.EndStreams, log: o.Log,
		logins: promauto.With(o.Registry).NewCounterVec(prometheus.CounterOpts{
			Name: "authgate_logins_total", Help: "Logins that came back from the issuer.",
		}, []string{"result"}),
	}
	for _, result := range loginResults {
		h.logins.WithLabelValues(result) // rate() misses a counter's first step
	}
	return h
}

// request is a request to one of the endpoints, and what is known about it so far.
type request struct {
	respond.Request
	audit.Outcome
	session    session.Session // zero: not signed in
	sessionErr error           // why not
}

func (x *request) signedIn() bool { return x.session.ID != "" }

func newRequest(q respond.Request) *request {
	return &request{Request: q, Outcome: audit.Outcome{Event: audit.Request, Decision: audit.Refuse}}
}

// Serve answers a request to an endpoint, which is a path below the prefix. It returns the
// user's session, the outcome for the audit, and the answer, which the caller writes. The
// answer is nil if there is no such endpoint.
func (h *Handler) Serve(q respond.Request, endpoint string) (session.Session, audit.Outcome, respond.Answer) {
	x := newRequest(q)
	answer := h.serve(x, endpoint)
	return x.session, x.Outcome, answer
}

func (h *Handler) serve(x *request, endpoint string) respond.Answer {
	switch endpoint {
	case "/start":
		return h.start(x)
	case "/callback":
		return h.callback(x)
	case "/sign_out":
		return h.signOut(x)
	case "/sign_out" + chainPath:
		return h.signOutChain(x)
	case "/backchannel_logout":
		return h.backchannelLogout(x)
	default:
		return nil
	}
}

// ForUpstream answers a dashboard that sends the browser to its own login page. The browser
// goes through authgate's login, which users mostly do not see, and back to rd.
func (h *Handler) ForUpstream(q respond.Request, upstream, rd string) (audit.Decision, respond.Answer) {
	x := newRequest(q)
	_, err := h.find(x)
	switch {
	case err != nil:
		return audit.LoginRequired, redirect(http.StatusFound, h.endpoints.Start(rd))
	case h.readAttempts(x).count >= maxUpstreamRedirects:
		return audit.Refuse, h.refuseCredentialRejected(x, upstream, rd)
	default:
		return audit.LoginRequired, redirect(http.StatusFound, h.endpoints.ForceLogin(rd))
	}
}

// find looks the session of the cookie up.
func (h *Handler) find(x *request) (session.Session, error) {
	return h.sessions.Find(x.R.Context(), x.R.Header, x.Client.Secure())
}

// clearDuplicates removes session cookies of other settings from the browser, for example of
// another session.cookie.domain, before the browser gets or loses its session.
func (h *Handler) clearDuplicates(x *request) {
	h.cookie.ClearDuplicates(x.W, x.R.Header, x.Client.Hostname, x.Client.Secure())
}

// cookieWithheld reports whether the browser may have a session whose cookie it did not send,
// because another site sent it here.
func (h *Handler) cookieWithheld(x *request, cause error) bool {
	return h.sameSiteStrict() && errors.Is(cause, session.ErrNoCookie) && respond.IsFromOtherSite(x.R)
}

func (h *Handler) sameSiteStrict() bool {
	return h.config.Session.Cookie.SameSite == config.SameSiteStrict
}

func redirect(status int, location string) respond.Answer {
	return respond.Redirect{Status: status, Location: location}
}

func refuse(status int, code, detail string, cause error) *respond.Refusal {
	return &respond.Refusal{Status: status, Code: code, Detail: detail, Cause: cause}
}

func refuseMethod(detail string) *respond.Refusal {
	return refuse(http.StatusMethodNotAllowed, "bad_method", detail, nil)
}
