package listen_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/listen"
)

// pair is a certificate that signs itself, and its key.
type pair struct {
	certificate, key []byte
	pool             *x509.CertPool
}

var born = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func newPair(t *testing.T, name string) pair {
	t.Helper()
	return newPairOf(t, x509.Certificate{DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true})
}

func newPairOf(t *testing.T, template x509.Certificate) pair {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore = big.NewInt(1), born
	if template.NotAfter.IsZero() {
		template.NotAfter = born.AddDate(50, 0, 0)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p := pair{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		pool:        x509.NewCertPool(),
	}
	p.pool.AppendCertsFromPEM(p.certificate)
	return p
}

// shake makes a connection and says what was agreed on.
func shake(t *testing.T, server *tls.Config, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l := open(t, "127.0.0.1:0", 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			_ = tls.Server(conn, server).HandshakeContext(t.Context())
			conn.Close()
		}
	}()
	conn := tls.Client(dial(t, l), client)
	err := conn.HandshakeContext(t.Context())
	state := conn.ConnectionState()
	conn.Close()
	<-done
	return state, err
}

func TestPortShowsTheCertificateThatWasTakenLast(t *testing.T) {
	t.Parallel()
	shown := new(listen.Certificate)
	config := shown.TLSConfig() // made once, when the port is opened
	if _, err := shake(t, config, &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("a port without a certificate shakes hands")
	}
	for _, name := range []string{"a.example.com", "b.example.com"} {
		p := newPair(t, name)
		if err := shown.Set(p.certificate, p.key); err != nil {
			t.Fatal(err)
		}
		client := &tls.Config{RootCAs: p.pool, ServerName: name, NextProtos: []string{"h2"}}
		state, err := shake(t, config, client)
		if err != nil || state.NegotiatedProtocol != "h2" || state.Version != tls.VersionTLS13 {
			t.Errorf("%s: %v, protocol %q", name, err, state.NegotiatedProtocol)
		}
		if !strings.HasPrefix(shown.String(), name+" until 2076-03-01") {
			t.Errorf("it calls itself %s", shown)
		}
	}
}

// Certificates that a machine made for itself are often for an address, or have a
// common name alone.
func TestCertificateIsNamedByWhatItIsFor(t *testing.T) {
	t.Parallel()
	for want, template := range map[string]x509.Certificate{
		"a.example.com, 10.0.0.7 until ": {DNSNames: []string{"a.example.com"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 7)}},
		"CN=pod until ":                  {Subject: pkix.Name{CommonName: "pod"}},
	} {
		shown, p := new(listen.Certificate), newPairOf(t, template)
		if err := shown.Set(p.certificate, p.key); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(shown.String(), want) {
			t.Errorf("it calls itself %q, want %q", shown, want)
		}
	}
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	t.Parallel()
	shown, p := new(listen.Certificate), newPair(t, "a.example.com")
	if err := shown.Set(p.certificate, p.key); err != nil {
		t.Fatal(err)
	}
	for version, good := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true} {
		client := &tls.Config{RootCAs: p.pool, ServerName: "a.example.com", MinVersion: tls.VersionTLS10, MaxVersion: version}
		if _, err := shake(t, shown.TLSConfig(), client); (err == nil) != good {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestPairThatDoesNotFitLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	shown, good, other := new(listen.Certificate), newPair(t, "a.example.com"), newPair(t, "b.example.com")
	if err := shown.Set(good.certificate, good.key); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what             string
		certificate, key []byte
		says             string
	}{
		{"the key of another", other.certificate, good.key, "does not match"},
		{"an empty certificate", nil, good.key, "failed to find any PEM data in certificate input"},
		{"a cut key", good.certificate, good.key[:40], "failed to find any PEM data in key input"},
		{"the two exchanged", good.key, good.certificate, "may have been switched"},
	} {
		err := shown.Set(c.certificate, c.key)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.HasPrefix(err.Error(), "tls: ") {
			t.Errorf("%s: %v", c.what, err)
		}
		if _, err := shake(t, shown.TLSConfig(), &tls.Config{RootCAs: good.pool, ServerName: "a.example.com"}); err != nil {
			t.Errorf("%s: and then %v", c.what, err)
		}
	}
}

func TestCertificateThatClientsWillRefuseIsReported(t *testing.T) {
	t.Parallel()
	shown, p := new(listen.Certificate), newPair(t, "a.example.com")
	if got := shown.Warning(born); got != "" {
		t.Errorf("without a certificate: %q", got)
	}
	if err := shown.Set(p.certificate, p.key); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now  time.Time
		want string
	}{
		{born.Add(-time.Second), "the certificate is not valid before 2026-03-01T00:00:00Z"},
		{born, ""},
		{born.AddDate(50, 0, 0), ""},
		{born.AddDate(50, 0, 1), "the certificate has expired on 2076-03-01T00:00:00Z"},
	} {
		if got := shown.Warning(c.now); got != c.want {
			t.Errorf("at %s: %q, want %q", c.now, got, c.want)
		}
	}
}

func TestExpiryIsThatOfTheFirstCertificateOfTheChain(t *testing.T) {
	t.Parallel()
	var c listen.Certificate
	if !c.Expiry().IsZero() {
		t.Error("none has an expiry")
	}
	leaf := newPairOf(t, x509.Certificate{DNSNames: []string{"a.example.com"}, NotAfter: born.AddDate(0, 3, 0)})
	for _, intermediate := range []struct{ until, want time.Time }{
		{born.AddDate(1, 0, 0), born.AddDate(0, 3, 0)}, {born.AddDate(0, 1, 0), born.AddDate(0, 1, 0)},
	} {
		other := newPairOf(t, x509.Certificate{DNSNames: []string{"CA"}, NotAfter: intermediate.until})
		if err := c.Set(append(slices.Clone(leaf.certificate), other.certificate...), leaf.key); err != nil {
			t.Fatal(err)
		}
		if got := c.Expiry(); !got.Equal(intermediate.want) {
			t.Errorf("expires %s, want %s", got, intermediate.want)
		}
	}
}
