package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity"
)

// certified is a certificate of 127.0.0.1 that signs itself, and a pool that trusts it.
func certified(t *testing.T) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	leaf := must(x509.ParseCertificate(der))
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// serveTLS starts an issuer of machines that shows a certificate which can be changed.
func serveTLS(t *testing.T, shown *atomic.Pointer[tls.Certificate]) *issuer {
	t.Helper()
	i := newIssuer("").machines()
	srv := httptest.NewUnstartedServer(i)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.Config.SetKeepAlivesEnabled(false) // each request has a handshake
	srv.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*shown.Load()}}, nil
	}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	i.bend(func(i *issuer) { i.url = srv.URL + "/dex" })
	return i
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(4 * time.Second); !holds(); <-tick.C { // less than minKeyFetchInterval
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestAFurtherIssuerIsTrustedByCAsOfItsOwn(t *testing.T) {
	t.Parallel()
	var shown atomic.Pointer[tls.Certificate]
	certificate, pool := certified(t)
	shown.Store(certificate)
	trusted, other := serveTLS(t, &shown), serveTLS(t, &shown)
	first, second := ofActions(trusted), ofActions(trusted)
	second.Audience, second.RootCAs = "other", pool // one of them is enough
	b := accepting(t, first, second, ofActions(other))
	if _, err := b.Verify(t.Context(), trusted.jwt(actions())); err != nil {
		t.Error(err)
	}
	_, err := b.Verify(t.Context(), other.jwt(actions()))
	wantUnreachable(t, err, "caFile in its item of bearer names the authorities to trust")
}

// A changed pool is in force at once, although an attempt has just ended, and further
// issuers and connections keep nothing of the last one.
func TestChangedCAsOfAFurtherIssuerAreInForceAtOnce(t *testing.T) {
	t.Parallel()
	var shown atomic.Pointer[tls.Certificate]
	one, trustsOne := certified(t)
	two, trustsTwo := certified(t)
	shown.Store(one)
	i := serveTLS(t, &shown)
	accepted := ofActions(i)
	accepted.RootCAs = trustsTwo
	var log locked
	dex := party(t, config(serve(t).url))
	b := running(t, identity.NewBearers(dex, []identity.Bearer{accepted}, slog.New(slog.NewTextHandler(&log, nil))))
	verify := func() error {
		_, err := b.Verify(t.Context(), i.jwt(actions()))
		return err
	}
	wantUnreachable(t, verify(), "certificate")

	b.SetRootCAs(i.url, trustsOne)
	eventually(t, "keys by the changed CAs", func() bool { return verify() == nil })

	b.SetRootCAs(i.url, trustsTwo)
	eventually(t, "a complaint about the former certificate", func() bool {
		return strings.Contains(log.String(), "previous_keys=true")
	})
	if err := verify(); err != nil {
		t.Errorf("keys that were at hand are gone: %v", err)
	}
	i.bend(func(i *issuer) { i.signWith("two", jose.RS256, rsaKeys[1]()) })
	wantUnreachable(t, verify(), "certificate")

	shown.Store(two)
	b.SetRootCAs(i.url, trustsTwo)
	eventually(t, "keys by the changed certificate", func() bool { return verify() == nil })
}

func TestCAsOfWhatIsNoFurtherIssuerChangeNothing(t *testing.T) {
	t.Parallel()
	var shown atomic.Pointer[tls.Certificate]
	certificate, pool := certified(t)
	shown.Store(certificate)
	dex := serveTLS(t, &shown)
	dex.bend(func(i *issuer) { i.document = nil }) // people log in there
	cfg := config(dex.url)
	cfg.RootCAs = pool
	rp := party(t, cfg)
	b := running(t, identity.NewBearers(rp, []identity.Bearer{{Issuer: dex.url, Audience: "api"}}, discard))
	b.SetRootCAs("https://unknown.example.com", nil)
	b.SetRootCAs(dex.url, x509.NewCertPool())
	rp.Look(t.Context())
	if !rp.Up() {
		t.Error("the issuer of logins has lost its CAs")
	}
}
