// Package transport connects to dashboards: over TCP, TLS or Unix sockets, in HTTP/1.1, HTTP/2
// or gRPC. It retries what is safe to retry. It knows nothing about users or headers.
package transport

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/example-org/authgate/proxy/upstream/http1"
)

// Options say how one upstream is reached.
type Options struct {
	Socket string // path of a Unix socket; empty: TCP to the host of the URL
	H2C    bool   // HTTP/2 without TLS for all requests but upgrades

	// Standard uses net/http's own transport for HTTP/1.1, too.
	Standard bool

	DialTimeout   time.Duration // also for a TLS handshake
	HeaderTimeout time.Duration // until the response header; 0: none
	IdleTimeout   time.Duration

	ServerName        string            // in the certificate; empty: the host of the URL
	CAs               *x509.CertPool    // trusted; nil: those of the system
	ClientCertificate ClientCertificate // nil: none

	// ExactGRPCType sends all gRPC as exactly application/grpc. Some servers detect gRPC by this
	// type, and reset the connection, with every call on it, for any other. All gRPC upstreams
	// use the same codec, proto, so nothing is lost.
	ExactGRPCType bool
}

// ClientCertificate gives the certificate for an upstream that requests one.
type ClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

// Set is the transports to one upstream, each with connections of its own. A connection that
// has carried gRPC never carries anything else, because argocd-server detects gRPC once per
// connection, by the first request.
type Set struct {
	Plain           http.RoundTripper
	NoHeaderTimeout http.RoundTripper // like Plain, for responses that may begin at any time
	Upgrade         http.RoundTripper // always HTTP/1.1: HTTP/2 has no Upgrade
	GRPC            http.RoundTripper // always HTTP/2

	standard []*http.Transport
	own      []*http1.Transport
}

// New makes the transports. It dials nothing.
func New(o Options) *Set {
	s := &Set{}
	http1 := s.newHTTP1(o)
	s.Plain, s.Upgrade, s.GRPC = http1, http1, s.newGRPC(o)
	noTimeout := o
	noTimeout.HeaderTimeout = 0
	if o.H2C {
		s.Plain, s.NoHeaderTimeout = s.newHTTP2(o), s.newHTTP2(noTimeout)
	} else {
		s.NoHeaderTimeout = s.newHTTP1(noTimeout)
	}
	return s
}

// Standard gives the transports of net/http that the set uses.
func (s *Set) Standard() []*http.Transport { return s.standard }

// CloseIdle closes idle connections. Connections in use close when they become idle.
func (s *Set) CloseIdle() {
	for _, t := range s.standard {
		t.CloseIdleConnections()
	}
	for _, t := range s.own {
		t.CloseIdleConnections()
	}
}
