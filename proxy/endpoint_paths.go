package proxy

import (
	"net/http"
	"strings"

	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/target"
)

// IsHealthCheck reports whether authgate itself answers a path, as it was sent, on any
// host. Of gRPC's two paths it answers gRPC calls alone, which are POST.
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

// IsEndpoint reports whether a path is one of authgate's own endpoints, which have no
// upstream and no policy.
func IsEndpoint(pathPrefix string, path target.Path) bool {
	return respond.Endpoints{Prefix: pathPrefix}.Has(path)
}
