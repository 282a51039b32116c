package proxy

import (
	"crypto/x509"
	"net/http"
)

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
	for _, way := range []http.RoundTripper{t.plain, t.upgrade, t.grpc} {
		if plain, is := way.(plainGRPC); is {
			way = plain.RoundTripper
		}
		if closer, can := way.(interface{ CloseIdleConnections() }); can {
			closer.CloseIdleConnections()
		}
	}
}
