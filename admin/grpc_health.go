package admin

import (
	"net/http"

	"github.com/example-org/authgate/proxy/respond"
)

// Messages of gRPC, framed: no compression, four bytes of length, protobuf.
const (
	emptyMessage   = "\x00\x00\x00\x00\x00"
	servingMessage = "\x00\x00\x00\x00\x02\x08\x01" // HealthCheckResponse{status: SERVING}
)

// serveGRPCHealth answers the load balancers of gRPC targets: an AWS ALB calls its own method,
// others grpc.health.v1. On these paths a request that is not gRPC is a request like any
// other. The message is not read: for every service the answer is authgate's own readiness,
// and a body may never arrive.
func (h *Handler) serveGRPCHealth(w http.ResponseWriter, r *http.Request, path string) bool {
	if r.Method != http.MethodPost || !respond.IsGRPC(r) {
		return false
	}
	respond.CloseIfUnread(w, r)
	limitHealthWrite(w, r)
	h.closeOverLimit(w, r)
	if path == "/grpc.health.v1.Health/Watch" { // clients then treat the server as one without health checks
		respond.WriteGRPC(w, r, &respond.Refusal{Status: http.StatusNotFound, Detail: "Use Check for health checks, " +
			"not Watch."})
		return true
	}
	if reason, _ := h.notReadyReason(); reason != "" {
		respond.WriteGRPC(w, r, &respond.Refusal{Status: http.StatusServiceUnavailable, Detail: "authgate is not " +
			"ready: " + reason})
		return true
	}
	message := emptyMessage
	if path == "/grpc.health.v1.Health/Check" {
		message = servingMessage
	}
	header := w.Header()
	header.Set("Content-Type", "application/grpc")
	header.Set("Trailer", "Grpc-Status")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(message))
	header.Set("Grpc-Status", "0")
	return true
}
