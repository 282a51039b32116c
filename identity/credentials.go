package identity

import (
	"crypto/x509"
	"net/http"
	"sync/atomic"
)

// Secrets and CAs in files may change while a relying party is in use. Requests in flight
// continue with the old ones.

// credentials are those of authgate's client at the issuer. They are replaced as a whole.
type credentials struct{ id, secret string }

// SetCredentials makes all further requests to the issuer use another client id and secret,
// including those of logins in progress.
func (rp *RelyingParty) SetCredentials(id, secret string) {
	rp.credentials.Store(&credentials{id, secret})
}

func (rp *RelyingParty) clientID() string { return rp.credentials.Load().id }

// SetRootCAs makes further connections to the issuer trust other authorities; nil: the
// system's.
func (rp *RelyingParty) SetRootCAs(pool *x509.CertPool) {
	rp.transport.swap(NewTransport(pool))
}

// SetRootCAs makes further connections to an additional issuer trust other authorities; nil:
// the system's. Its keys are fetched again at once, since a request that needs them would
// wait for the next attempt. The current keys stay until that succeeds.
func (b *Bearers) SetRootCAs(issuer string, pool *x509.CertPool) {
	i := b.issuers[issuer]
	if i == nil || i.keySet.rp == b.relyingParty {
		return
	}
	i.keySet.rp.SetRootCAs(pool)
	i.keySet.again()
}

// swappableTransport is a transport that can be replaced while requests use it.
type swappableTransport struct {
	current atomic.Pointer[http.Transport]
}

func newSwappableTransport(t *http.Transport) *swappableTransport {
	r := new(swappableTransport)
	r.current.Store(t)
	return r
}

func (r *swappableTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.current.Load().RoundTrip(req)
}

func (r *swappableTransport) swap(t *http.Transport) {
	r.current.Swap(t).CloseIdleConnections()
}
