package identity_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
)

func TestALoginThatIsUnderWayUsesTheSecretInForce(t *testing.T) {
	t.Parallel()
	i := serve(t)
	cfg := config(i.url)
	cfg.ClientSecret = "the-last-one"
	rp := party(t, cfg)
	var refused *identity.ExchangeError
	if _, err := i.login(t, rp); !errors.As(err, &refused) {
		t.Fatalf("the issuer takes another secret: %v", err)
	}
	begun, callback := i.halfLogin(t, rp)
	rp.SetCredentials(clientID, clientSecret)
	g, err := rp.Finish(t.Context(), begun, callback)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rp.Refresh(t.Context(), g); err != nil {
		t.Errorf("a refresh: %v", err)
	}
}

func TestAnotherClientIDAcceptsNoTokensOfTheLastOne(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	b := running(t, identity.NewBearers(rp, nil, discard))
	claims := map[string]any{"sub": "alice", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	raw := i.jwt(claims, map[string]any{"aud": clientID})
	for range 2 { // the second is remembered
		if _, err := b.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	rp.SetCredentials("another", clientSecret)
	var refused *identity.TokenRefusedError
	if _, err := b.Verify(t.Context(), raw); !errors.As(err, &refused) {
		t.Errorf("a token for the former client: %v", err)
	}
	if _, err := b.Verify(t.Context(), i.jwt(claims, map[string]any{"aud": "another"})); err != nil {
		t.Errorf("a token for the client in force: %v", err)
	}
}

func TestAChangedCAIsTrustedByTheNextConnection(t *testing.T) {
	t.Parallel()
	i := newIssuer("")
	srv := httptest.NewTLSServer(i)
	t.Cleanup(srv.Close)
	i.bend(func(i *issuer) { i.url = srv.URL + "/dex" })
	cfg := config(i.url)
	cfg.RootCAs = x509.NewCertPool()
	rp := identity.New(cfg, discard)
	look := func() error { rp.Look(context.WithoutCancel(t.Context())); return rp.Ready() }
	if look() == nil {
		t.Fatal("an unknown CA is trusted")
	}
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	rp.SetRootCAs(pool)
	if err := look(); err != nil {
		t.Error(err)
	}
}
