package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/example-org/authgate/proxy/respond"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveHealth answers a balancer on the traffic port: exactly these paths, on any
// host, for it asks by address. It reports whether it did.
func (p *Proxy) serveHealth(w http.ResponseWriter, r *http.Request) bool {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	switch path {
	case "/healthz":
		p.closeOverLimit(w, r)
		p.healthz(w, r)
	case "/readyz":
		p.closeOverLimit(w, r)
		p.readyz(w, r, false)
	case "/AWS.ALB/healthcheck", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch":
		return p.serveGRPCHealth(w, r, path)
	default:
		return false
	}
	return true
}

// Admin serves the admin port: health with its details, and the metrics.
func (p *Proxy) Admin(gatherer prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", p.healthz)
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) { p.readyz(w, r, true) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	return mux
}

// healthz says that the process runs, and nothing of what it depends on.
func (p *Proxy) healthz(w http.ResponseWriter, r *http.Request) {
	writeHealth(w, r, http.StatusOK, health{Status: "ok"})
}

// health is the body of both endpoints.
type health struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	Issuer string `json:"issuer,omitempty"` // up or down at the last look

	Sessions string `json:"sessions,omitempty"` // ok, or down: their store does not answer

	Audit string `json:"audit,omitempty"` // full: records find no room

	Policy *policyHealth `json:"policy,omitempty"`
	Shadow *policyHealth `json:"shadow,omitempty"` // the candidate
}

// policyHealth is for whoever looks after the policy: on the admin port alone.
type policyHealth struct {
	Hash        string             `json:"hash"`
	Generation  uint64             `json:"generation,omitempty"` // of the policy in force
	AgeSeconds  float64            `json:"age_seconds"`
	Demoted     bool               `json:"demoted"`           // casbin decides, for the index was wrong
	ReloadError *reloadErrorHealth `json:"refused,omitempty"` // the files hold another one
}

type reloadErrorHealth struct {
	Error string    `json:"error"` // of the last attempt
	Since time.Time `json:"since"` // the first one
}

func (e *loadedPolicy) health(now time.Time) *policyHealth {
	h := &policyHealth{Hash: e.Hash(), AgeSeconds: now.Sub(e.loadedAt).Round(time.Millisecond).Seconds(), Demoted: e.Demoted()}
	if e.reloadError != nil {
		h.ReloadError = &reloadErrorHealth{e.reloadError.message, e.reloadError.since.UTC()}
	}
	return h
}

// readyz says whether requests can be served. Names and errors of the inside are
// for detailed.
func (p *Proxy) readyz(w http.ResponseWriter, r *http.Request, detailed bool) {
	status, body := http.StatusOK, health{Status: "ready", Issuer: "up", Sessions: "ok"}
	if !p.issuer.Up() {
		body.Issuer = "down"
	}
	if p.sessions.Down() != nil {
		body.Sessions = "down"
	}
	if p.auditQueue != nil && p.auditQueue.Full() {
		body.Audit = "full"
	}
	if reason, err := p.notReadyReason(); reason != "" {
		status, body.Status, body.Reason = http.StatusServiceUnavailable, "not ready", reason
		if detailed && err != nil {
			body.Reason = err.Error()
		}
	}
	if detailed {
		st := p.state.Load()
		body.Policy = st.policy.health(p.now())
		body.Policy.Generation = st.generation
		if st.shadow != nil {
			body.Shadow = st.shadow.health(p.now())
		}
	}
	if p.draining.Load() && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // the next question comes on a new connection, to another process
	}
	writeHealth(w, r, status, body)
}

// notReadyReason says why no requests can be served; empty where they can. Once they
// could, that stays when the issuer or the session store goes away later: people
// are still served as far as may be, and every target at once would leave the
// balancer.
func (p *Proxy) notReadyReason() (reason string, err error) {
	if p.draining.Load() {
		return "shutting down", nil
	}
	if err := p.issuer.Ready(); err != nil {
		return "the issuer has not been reached yet", err
	}
	if err := p.sessions.Down(); err != nil && !p.storeReached.Load() {
		return "the session store has not been reached yet", err
	}
	p.storeReached.Store(true)
	if p.auditBlocks() {
		return "the audit queue is full", nil
	}
	return "", nil
}

// limitHealthWrite gives a client of HTTP/2 little time for what is little to take. On
// HTTP/1 package listen looks after the connection.
func limitHealthWrite(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(5 * time.Second))
	}
}

func writeHealth(w http.ResponseWriter, r *http.Request, status int, body health) {
	respond.CloseIfUnread(w, r)
	limitHealthWrite(w, r)
	h := w.Header()
	if !respond.IsRead(r.Method) {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
