// Package admin shows authgate's state to operators and load balancers: health checks, metrics,
// the operator pages, and the sessions, which it also revokes.
package admin

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/session"
)

// Issuer reports whether the OpenID Connect issuer has been reached.
type Issuer interface {
	Ready() error
	Up() bool
}

// State is the state of the proxy.
type State interface {
	Draining() bool

	// PolicyStatus describes the policy in force and the shadow policy, to be written as JSON.
	// Without a shadow policy the second is nil.
	PolicyStatus() (inForce, shadow any)
}

// Options configure a Handler.
type Options struct {
	Issuer     Issuer
	Sessions   *session.Refresher
	Shared     bool // all replicas share the session store
	State      State
	Audit      *audit.Writer
	AuditQueue *audit.Queue               // nil: records do not wait
	Overloaded func(context.Context) bool // the connection is beyond limits.connections; nil: none is
	Operator   *Operator                  // nil: there are no pages
	Profile    bool                       // serve /debug/pprof/ if a token is set
	Log        *slog.Logger
	Now        func() time.Time // nil: time.Now
}

// Handler serves health checks and the admin port. It is safe for concurrent use.
type Handler struct {
	Options

	token        atomic.Pointer[[sha256.Size]byte] // digest; nil: there are only health checks and metrics
	storeReached atomic.Bool                       // the session store has been reached once

	logins   *logins
	pages    *pages
	analyses *analyses
	metrics  prometheus.Gatherer // of the admin port
}

// New returns a Handler.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &Handler{Options: o, logins: newLogins(), pages: newPages(o.Now)}
	if o.Operator != nil {
		h.analyses = &analyses{tools: o.Operator.Tools, log: o.Log}
	}
	return h
}

// SetToken replaces the token that operators must show.
func (h *Handler) SetToken(token string) {
	digest := sha256.Sum256([]byte(token))
	h.token.Store(&digest)
}

// Port is the handler of the admin port: detailed health, metrics, and, if a token is set,
// sessions and the operator pages.
func (h *Handler) Port(metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", healthz)
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) { h.readyz(w, r, true) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	if h.token.Load() == nil {
		return mux
	}
	mux.HandleFunc("/sessions", func(w http.ResponseWriter, r *http.Request) { h.serveSessions(w, r, filterFromQuery) })
	mux.HandleFunc("/sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		h.serveSessions(w, r, filterFromPath)
	})
	if h.Profile {
		h.mountProfile(mux)
	}
	if h.Operator != nil {
		h.metrics = metrics
		mux.HandleFunc("/{$}", h.page(h.showOverview))
		mux.HandleFunc("/explain", h.page(h.showExplain))
		mux.HandleFunc("/refusals", h.page(h.showRefusals))
		mux.HandleFunc("/login", h.serveLogin)
		mux.HandleFunc("POST /logout", h.serveLogout)
		mux.HandleFunc("POST /sessions/revoke", h.serveRevoke)
	}
	return mux
}
