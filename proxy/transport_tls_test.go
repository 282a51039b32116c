package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

// One certificate stands for all that a server and a client can show here.
func TestUpstreamIsShownACertificateAndAskedForItsName(t *testing.T) {
	t.Parallel()
	var names atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(serveSeen))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet
	server.TLS = &tls.Config{
		ClientAuth: tls.RequireAnyClientCert,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			names.Store(hello.ServerName)
			return nil, nil
		},
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	var shown atomic.Pointer[tls.Certificate]
	gate := func(name string, show bool) *gate {
		return newGateTo(t, server.URL, believing(server), func(o *proxy.Options) {
			o.UpstreamCertificates = make(map[string]proxy.ClientCertificate)
			for i := range o.Config.Upstreams {
				u := &o.Config.Upstreams[i]
				u.TLS = config.UpstreamTLS{ServerName: name}
				if show {
					o.UpstreamCertificates[u.Name] = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown.Load(), nil }
				}
			}
		})
	}
	shown.Store(&server.TLS.Certificates[0])
	g := gate("example.com", true) // a name of httptest's certificate
	expect(t, "with a certificate", g.do("GET", app, g.as("alice")), http.StatusOK)
	if names.Load() != "example.com" {
		t.Errorf("asked for %q", names.Load())
	}
	if got := seenBy(t, g.do("POST", version, g.as("alice"), grpcCall)); got.Proto != "HTTP/2.0" {
		t.Errorf("gRPC: %+v", got)
	}
	// The certificate is looked for at each handshake; SetUpstreamCAs ends idle connections.
	shown.Store(new(tls.Certificate))
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	g.SetUpstreamCAs("argocd", roots)
	expect(t, "after it was taken away", g.do("GET", app, g.as("alice")), http.StatusBadGateway)
	g = gate("", false)
	expect(t, "without", g.do("GET", app, g.as("alice")), http.StatusBadGateway)
	shown.Store(&server.TLS.Certificates[0])
	g = gate("other.test", true)
	expect(t, "another name", g.do("GET", app, g.as("alice")), http.StatusBadGateway)
}
