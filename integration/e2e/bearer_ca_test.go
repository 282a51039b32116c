package e2e_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
	"github.com/example-org/authgate/integration/wait"
)

// privateCA is one that no system trusts.
type privateCA struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newPrivateCA(t *testing.T, name string) privateCA {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return privateCA{certificate, key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (ca privateCA) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.certificate.Raw})
}

// issue makes a certificate of 127.0.0.1.
func (ca privateCA) issue(t *testing.T) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// privateIssuer signs for machines, and is reached by TLS. Its certificate and its
// keys may change.
type privateIssuer struct {
	actions

	certificate atomic.Pointer[tls.Certificate]
	about       atomic.Pointer[oidctest.Server]
	renewals    int
}

func startPrivateIssuer(t *testing.T, ca privateCA) *privateIssuer {
	t.Helper()
	i := new(privateIssuer)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.about.Load().ServeHTTP(w, r)
	}))
	server.Config.SetKeepAlivesEnabled(false) // each request has a handshake
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*i.certificate.Load()}}, nil
	}}
	i.certificate.Store(ca.issue(t))
	i.about.Store(new(oidctest.Server))
	server.StartTLS()
	t.Cleanup(server.Close)
	i.url = server.URL
	i.renewKey(t)
	return i
}

// renewKey has the issuer sign by another key: a verifier that accepts a token has fetched keys since.
func (i *privateIssuer) renewKey(t *testing.T) {
	t.Helper()
	i.key, i.renewals = newKey(t), i.renewals+1
	i.keyID = fmt.Sprint("key-", i.renewals)
	about := &oidctest.Server{
		PublicKeys: []oidctest.PublicKey{{PublicKey: i.key.Public(), KeyID: i.keyID, Algorithm: oidc.ES256}},
		Algorithms: []string{oidc.ES256},
	}
	about.SetIssuer(i.url)
	i.about.Store(about)
}

const readers = `g, ci:example-org/app, role:reader
p, role:reader, argocd, /api/v1/applications, GET, allow
`

// privately sets a stage that accepts tokens of an issuer, with the given file of CAs.
func privately(t *testing.T, i *privateIssuer, caFile string) *stage.Stage {
	t.Helper()
	s := set(t, stage.Options{HeadersOnly: true, Config: func(yaml string, _ stage.Files) string {
		item := fmt.Sprintf(`{issuer: %q, audience: authgate, groups: ["ci:{repository}"]`, i.url)
		if caFile != "" {
			item += fmt.Sprintf(", caFile: %q", caFile)
		}
		return yaml + "\nbearer:\n  - " + item + "}\n"
	}})
	before, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Files.WritePolicy(before + readers); err != nil {
		t.Fatal(err)
	}
	return s
}

// asJob shows the token of a job.
func asJob(t *testing.T, s *stage.Stage, i *privateIssuer) visitor.Answer {
	t.Helper()
	return curl(t, s.ArgoCD+"/api/v1/applications", "Authorization", "Bearer "+i.job(t, nil))
}

func TestAnIssuerOfAPrivateCAIsNotTrustedWithoutItsCA(t *testing.T) {
	t.Parallel()
	i := startPrivateIssuer(t, newPrivateCA(t, "one"))
	s := privately(t, i, "")
	wantProblem(t, asJob(t, s, i), http.StatusServiceUnavailable)
	eventually(t, "the reason in the log", func() bool {
		return logHolds(t, s, "cannot fetch signing keys of an issuer", i.url,
			"caFile in its item of bearer names the authorities to trust")
	})
	out, code := authgate(t, "doctor", "--config", s.Files.Config)
	if code != 1 || !strings.Contains(out, "FAIL     bearer issuer "+i.url) ||
		!strings.Contains(out, "name the CA that signed its certificate in caFile") {
		t.Errorf("doctor, exit %d:\n%s", code, out)
	}
}

func TestAChangedCAOfABearerIssuerIsInForceWithin2s(t *testing.T) {
	t.Parallel()
	one, two := newPrivateCA(t, "one"), newPrivateCA(t, "two")
	i := startPrivateIssuer(t, one)
	caFile := filepath.Join(t.TempDir(), "ci-ca.crt")
	put := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(caFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(one.pem())
	s := privately(t, i, caFile)
	eventually(t, "a token of the issuer to be accepted", func() bool { return asJob(t, s, i).Status == http.StatusOK })
	out, _ := authgate(t, "doctor", "--config", s.Files.Config)
	if !strings.Contains(out, "ok       bearer issuer "+i.url) {
		t.Errorf("doctor:\n%s", out)
	}

	complains := func(of string) func() bool {
		return func() bool {
			return logHolds(t, s, "level=ERROR", "the previous one stays in use", "bearer[0].caFile", of)
		}
	}
	put([]byte("no PEM\n"))
	wait.For(t, 2*time.Second, "a complaint about the file", complains("holds no certificate in PEM"))
	if err := os.Remove(caFile); err != nil {
		t.Fatal(err)
	}
	wait.For(t, 2*time.Second, "a complaint that it is gone", complains("no such file"))
	i.renewKey(t)
	eventually(t, "the last good CA to stay", func() bool { return asJob(t, s, i).Status == http.StatusOK })

	put(two.pem())
	wait.For(t, 2*time.Second, "the changed CA", func() bool {
		return logHolds(t, s, "secret or CA reloaded", "bearer[0].caFile") &&
			logHolds(t, s, "cannot fetch signing keys of an issuer", i.url)
	})
	i.renewKey(t)
	if got := asJob(t, s, i).Status; got != http.StatusServiceUnavailable {
		t.Errorf("keys by a certificate of the former CA: %d", got)
	}
	i.certificate.Store(two.issue(t))
	eventually(t, "keys by a certificate of the changed CA", func() bool { return asJob(t, s, i).Status == http.StatusOK })
}
