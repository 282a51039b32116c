package proxy

import (
	"net/http"
	"time"
)

// PingEvery has HTTP/2 upstreams asked sooner whether they are still there. It
// must come before the first request.
func (p *Proxy) PingEvery(d, patience time.Duration) {
	for _, u := range p.upstreams {
		for _, t := range []*http.Transport{u.plainTransport(), u.grpcTransport()} {
			if t.HTTP2 != nil {
				t.HTTP2.SendPingTimeout, t.HTTP2.PingTimeout = d, patience
			}
		}
	}
}

func (u *upstream) plainTransport() *http.Transport {
	if http1, ok := u.transports.Load().plain.(retryTransport); ok {
		return http1.Transport
	}
	return u.transports.Load().plain.(*http.Transport)
}

// GRPCTransports gives what gRPC goes through, upstream by upstream.
func (p *Proxy) GRPCTransports() []*http.Transport {
	var all []*http.Transport
	for _, u := range p.upstreams {
		all = append(all, u.grpcTransport())
	}
	return all
}

func (u *upstream) grpcTransport() *http.Transport {
	if plain, ok := u.transports.Load().grpc.(grpcContentType); ok {
		return plain.RoundTripper.(*http.Transport)
	}
	return u.transports.Load().grpc.(*http.Transport)
}

// WriteGRPCRefusal answers a call.
var WriteGRPCRefusal = writeGRPCRefusal
