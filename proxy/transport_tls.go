package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"

	"github.com/example-org/authgate/config"
)

// ClientCertificate is what an upstream is shown when it asks who connects.
type ClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

// tlsTrust is what decides in a handshake: whom authgate believes, and who it is.
type tlsTrust struct {
	cas               *x509.CertPool    // nil: the system's
	clientCertificate ClientCertificate // nil: none
}

func (t tlsTrust) config(c *config.Upstream) *tls.Config {
	return &tls.Config{RootCAs: t.cas, MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName, GetClientCertificate: t.clientCertificate}
}

// SetUpstreamCAs has further connections to an upstream trust other CAs; nil: the
// system's. Requests that are under way go on.
func (p *Proxy) SetUpstreamCAs(name string, cas *x509.CertPool) {
	for _, u := range p.upstreams {
		if u.name == name {
			u.setCAs(cas)
		}
	}
}

func (u *upstream) setCAs(cas *x509.CertPool) {
	next := u.newTransports(cas)
	if old := u.transports.Swap(&next); old != nil {
		old.closeIdle()
	}
}

// closeIdle ends connections that carry nothing. Those in use end when they are idle.
func (t *transports) closeIdle() {
	for _, transport := range []http.RoundTripper{t.plain, t.noHeaderTimeout, t.upgrade, t.grpc} {
		if plain, ok := transport.(grpcContentType); ok {
			transport = plain.RoundTripper
		}
		if closer, ok := transport.(interface{ CloseIdleConnections() }); ok {
			closer.CloseIdleConnections()
		}
	}
}
