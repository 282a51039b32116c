package transport

import (
	"net/http"
	"testing"
	"time"
)

// grpcOf gives the transport for gRPC.
func grpcOf(o Options) *http.Transport {
	switch rt := New(o).GRPC.(type) {
	case grpcContentType:
		return rt.RoundTripper.(*http.Transport)
	default:
		return rt.(*http.Transport)
	}
}

func TestGRPCServersAreNotPingedMoreOftenThanTheyTake(t *testing.T) {
	t.Parallel()
	const least = 5 * time.Minute // gRFC A8; grpc-go ends connections over it ("too_many_pings")
	for _, exact := range []bool{false, true} {
		grpc := grpcOf(Options{HeaderTimeout: time.Minute, ExactGRPCType: exact})
		if every := grpc.HTTP2.SendPingTimeout; every <= least {
			t.Errorf("pings after %v of silence", every)
		}
		if grpc.ResponseHeaderTimeout != 0 {
			t.Errorf("a silent stream ends after %v", grpc.ResponseHeaderTimeout)
		}
	}
}
