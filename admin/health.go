package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/example-org/authgate/proxy/respond"
)

// IsHealthCheck reports whether authgate itself answers a path, as it was sent, on any host.
// On gRPC's paths it answers only gRPC calls, which are POST.
func IsHealthCheck(method, sent string) bool {
	path, _, _ := strings.Cut(sent, "?")
	switch path {
	case "/healthz", "/readyz":
		return true
	case "/AWS.ALB/healthcheck", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch":
		return method == http.MethodPost
	}
	return false
}

// Traffic answers health checks on the traffic port: exactly these paths, on any host, because
// load balancers use the address. They have no policy and no audit, since they come every few
// seconds. next serves all other requests.
func (h *Handler) Traffic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.serveHealth(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request) bool {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	switch path {
	case "/healthz":
		h.closeOverLimit(w, r)
		healthz(w, r)
	case "/readyz":
		h.closeOverLimit(w, r)
		h.readyz(w, r, false)
	case "/AWS.ALB/healthcheck", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch":
		return h.serveGRPCHealth(w, r, path)
	default:
		return false
	}
	return true
}

// closeOverLimit ends a connection beyond the limit with its answer, so that the next client
// gets its slot.
func (h *Handler) closeOverLimit(w http.ResponseWriter, r *http.Request) {
	if h.Overloaded != nil && h.Overloaded(r.Context()) {
		w.Header().Set("Connection", "close")
	}
}

// healthz reports that the process runs, regardless of what it depends on.
func healthz(w http.ResponseWriter, r *http.Request) {
	writeHealth(w, r, http.StatusOK, health{Status: "ok"})
}

// health is the body of both endpoints.
type health struct {
	Status   string `json:"status"`
	Reason   string `json:"reason,omitempty"`
	Issuer   string `json:"issuer,omitempty"`   // up, or down at the last check
	Sessions string `json:"sessions,omitempty"` // ok, or down: their store does not answer
	Audit    string `json:"audit,omitempty"`    // full: its queue has no room
	Policy   any    `json:"policy,omitempty"`
	Shadow   any    `json:"shadow,omitempty"`
}

// readyz reports whether requests can be served. Only detailed answers have errors and the
// policy, because they name internal addresses.
func (h *Handler) readyz(w http.ResponseWriter, r *http.Request, detailed bool) {
	status, body := http.StatusOK, health{Status: "ready", Issuer: "up", Sessions: "ok"}
	if !h.Issuer.Up() {
		body.Issuer = "down"
	}
	if h.Sessions.Down() != nil {
		body.Sessions = "down"
	}
	if h.AuditQueue != nil && h.AuditQueue.Full() {
		body.Audit = "full"
	}
	if reason, err := h.notReadyReason(); reason != "" {
		status, body.Status, body.Reason = http.StatusServiceUnavailable, "not ready", reason
		if detailed && err != nil {
			body.Reason = err.Error()
		}
	}
	if detailed {
		body.Policy, body.Shadow = h.State.PolicyStatus()
	}
	if h.State.Draining() && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // the next check then uses a new connection, to another process
	}
	writeHealth(w, r, status, body)
}

// notReadyReason says why no requests can be served. It is empty if they can. authgate stays
// ready when the issuer or the session store fails later: it still serves users as far as
// possible, and otherwise all targets would leave the load balancer at once.
func (h *Handler) notReadyReason() (reason string, err error) {
	if h.State.Draining() {
		return "shutting down", nil
	}
	if err := h.Issuer.Ready(); err != nil {
		return "the issuer has not been reached yet", err
	}
	if err := h.Sessions.Down(); err != nil && !h.storeReached.Load() {
		return "the session store has not been reached yet", err
	}
	h.storeReached.Store(true)
	if h.AuditQueue != nil && h.AuditQueue.Blocks() && h.AuditQueue.Full() {
		return "the audit queue is full", nil
	}
	return "", nil
}

// limitHealthWrite gives a client of HTTP/2 five seconds to read the small answer. On HTTP/1
// package listen limits the connection.
func limitHealthWrite(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(5 * time.Second))
	}
}

func writeHealth(w http.ResponseWriter, r *http.Request, status int, body health) {
	respond.CloseIfUnread(w, r)
	limitHealthWrite(w, r)
	header := w.Header()
	if !respond.IsRead(r.Method) {
		header.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
