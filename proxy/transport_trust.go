package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"

	"github.com/example-org/authgate/config"
)

// ClientCertificate is what an upstream is shown when it asks who connects.
type ClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

// trust is what decides in a handshake: whom authgate believes, and who it is.
type trust struct {
	cas   *x509.CertPool    // nil: the system's
	shown ClientCertificate // nil: none
}

func (t trust) config(c *config.Upstream) *tls.Config {
	return &tls.Config{RootCAs: t.cas, MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName, GetClientCertificate: t.shown}
}

// TrustUpstream has further connections to an upstream trust other CAs; nil: the
// system's. Requests that are under way go on.
func (p *Proxy) TrustUpstream(name string, cas *x509.CertPool) {
	for _, u := range p.upstreams {
		if u.name == name {
			u.trust(cas)
		}
	}
}

func (u *upstream) trust(cas *x509.CertPool) {
	ways := u.connect(cas)
	if old := u.transports.Swap(&ways); old != nil {
		old.closeIdle()
	}
}

// closeIdle ends connections that carry nothing. Those in use end when they are idle.
func (t *transports) closeIdle() {
	for _, way := range []http.RoundTripper{t.plain, t.quiet, t.upgrade, t.grpc} {
		if plain, is := way.(plainGRPC); is {
			way = plain.RoundTripper
		}
		if closer, can := way.(interface{ CloseIdleConnections() }); can {
			closer.CloseIdleConnections()
		}
	}
}
