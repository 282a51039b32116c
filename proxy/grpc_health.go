package proxy

import (
	"net/http"

	"github.com/example-org/authgate/proxy/respond"
)

// Messages of gRPC, framed: no compression, four bytes of length, protobuf.
const (
	emptyMessage   = "\x00\x00\x00\x00\x00"
	servingMessage = "\x00\x00\x00\x00\x02\x08\x01" // HealthCheckResponse{status: SERVING}
)

// serveGRPCHealth answers what balancers in front of gRPC targets ask: an AWS ALB
// its own method, others grpc.health.v1. What is no gRPC on these paths is a
// request like any other. The message is not read: whichever service it names,
// the answer is authgate's own readiness, and a body may never come.
func (p *Proxy) serveGRPCHealth(w http.ResponseWriter, r *http.Request, path string) bool {
	if r.Method != http.MethodPost || !respond.IsGRPC(r) {
		return false
	}
	respond.CloseIfUnread(w, r)
	limitHealthWrite(w, r)
	p.closeOverLimit(w, r)
	if path == "/grpc.health.v1.Health/Watch" { // clients take that for a server without health checks
		respond.WriteGRPC(w, r, &Refusal{Status: http.StatusNotFound, Detail: "Health is told by Check, not by Watch."})
		return true
	}
	if reason, _ := p.notReadyReason(); reason != "" {
		respond.WriteGRPC(w, r, &Refusal{Status: http.StatusServiceUnavailable, Detail: "authgate is not ready: " + reason})
		return true
	}
	message := emptyMessage
	if path == "/grpc.health.v1.Health/Check" {
		message = servingMessage
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Trailer", "Grpc-Status")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(message))
	h.Set("Grpc-Status", "0")
	return true
}
