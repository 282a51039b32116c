package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/stage"
)

// pair is a certificate that signs itself, and its key, in PEM.
type pair struct{ certificate, key []byte }

func newPair(t *testing.T, name string) pair {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}
}

// mountPair lays a pair out as the kubelet does with a Secret: the files are links
// through ..data, which is swapped.
func mountPair(t *testing.T, mount, version string, p pair) {
	t.Helper()
	folder := filepath.Join(mount, version)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"tls.crt": p.certificate, "tls.key": p.key} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(version, filepath.Join(mount, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")); err != nil {
		t.Fatal(err)
	}
}

// overTLS asks for /healthz on a new connection and says what was spoken, and
// whose certificate was shown.
func overTLS(t *testing.T, s *stage.Stage, http2 bool) (proto, name string) {
	t.Helper()
	transport := &http.Transport{
		Protocols:       new(http.Protocols),
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // it signs itself; its name is looked at
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port(s.ArgoCD))
		},
	}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+stage.ArgoCDHost+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
	return res.Proto, res.TLS.PeerCertificates[0].DNSNames[0]
}

func TestTrafficPortSpeaksTLSAndFollowsItsCertificate(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	mountPair(t, mount, "..1", newPair(t, "first.example.com"))
	s := set(t, stage.Options{NoDex: true, Config: func(yaml string, _ stage.Files) string {
		return "tls: {certFile: " + mount + "/tls.crt, keyFile: " + mount + "/tls.key}\n" + yaml
	}})
	for http2, want := range map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"} {
		if proto, name := overTLS(t, s, http2); proto != want || name != "first.example.com" {
			t.Errorf("%s with the certificate of %s", proto, name)
		}
	}
	shows := func(want string) func() bool {
		return func() bool { _, name := overTLS(t, s, true); return name == want }
	}

	mountPair(t, mount, "..2", newPair(t, "second.example.com"))
	if err := os.RemoveAll(filepath.Join(mount, "..1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the certificate of a swapped link", shows("second.example.com"))

	odd := newPair(t, "odd.example.com")
	odd.key = newPair(t, "other.example.com").key
	mountPair(t, mount, "..3", odd)
	eventually(t, "the complaint", func() bool {
		return logHolds(t, s, "level=ERROR", "the previous one stays in use", "does not match", "tls.key")
	})
	if !shows("second.example.com")() {
		t.Error("the good certificate did not stay")
	}

	third := newPair(t, "third.example.com")
	for name, content := range map[string][]byte{"tls.key": third.key, "tls.crt": third.certificate} { // as certbot does
		if err := os.WriteFile(filepath.Join(mount, name+".new"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(mount, name+".new"), filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the certificate of renamed files", shows("third.example.com"))

	log, err := s.Files.ReadLog()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log, "does not match"); n > 2 { // the odd one, and at most the moment between two renames
		t.Errorf("one change is complained of %d times", n)
	}
	if strings.Contains(log, "PRIVATE KEY") {
		t.Error("a key is in the log")
	}
}

func TestClientsWithoutTLSGetAnErrorAndScannersAreNotLogged(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	mountPair(t, mount, "..1", newPair(t, "first.example.com"))
	s := set(t, stage.Options{NoDex: true, Config: func(yaml string, _ stage.Files) string {
		return "tls: {certFile: " + mount + "/tls.crt, keyFile: " + mount + "/tls.key}\n" + yaml
	}})
	if a := curl(t, s.ArgoCD+"/healthz"); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "HTTPS server") {
		t.Errorf("without TLS: %d %s", a.Status, a.Body)
	}
	switchLevel(t, s, "log level is debug")
	if a := curl(t, s.ArgoCD+"/healthz"); a.Status != http.StatusBadRequest {
		t.Errorf("without TLS: %d %s", a.Status, a.Body)
	}
	eventually(t, "the handshake at debug", func() bool { return logHolds(t, s, "level=DEBUG", "TLS handshake error") })
	log, err := s.Files.ReadLog()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log) { // net/http answers before it logs: the log may have either request
		if strings.Contains(line, "TLS handshake error") && !strings.Contains(line, "level=DEBUG") {
			t.Errorf("a failed handshake is noise: %s", line)
		}
	}
}
