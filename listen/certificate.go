package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Certificate is what a port with TLS shows, and can be replaced while it is open.
// The zero value shows nothing: every handshake fails.
type Certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// Set puts a certificate in place: itself and those that lead to a CA, and its
// private key, both in PEM. What is wrong with them leaves the one before.
func (c *Certificate) Set(certificate, key []byte) error {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "tls: "))
	}
	c.current.Store(&pair)
	return nil
}

// Warning says why clients will refuse the certificate at this time, or nothing.
// Load balancers take any, so that it is no reason to be without one.
func (c *Certificate) Warning(now time.Time) string {
	pair := c.current.Load()
	switch {
	case pair == nil:
		return ""
	case now.After(pair.Leaf.NotAfter):
		return "the certificate has expired on " + pair.Leaf.NotAfter.Format(time.RFC3339)
	case now.Before(pair.Leaf.NotBefore):
		return "the certificate is not valid before " + pair.Leaf.NotBefore.Format(time.RFC3339)
	}
	return ""
}

// String names the certificate for a log: its names, and until when it is valid.
func (c *Certificate) String() string {
	pair := c.current.Load()
	if pair == nil {
		return "none"
	}
	names := slices.Clone(pair.Leaf.DNSNames)
	for _, address := range pair.Leaf.IPAddresses {
		names = append(names, address.String())
	}
	if len(names) == 0 {
		names = []string{pair.Leaf.Subject.String()}
	}
	return fmt.Sprintf("%s until %s", strings.Join(names, ", "), pair.Leaf.NotAfter.Format(time.RFC3339))
}

// ClientCertificate gives the certificate to a server that asks who connects. What it says of
// the CAs that it believes is not looked at: there is one certificate to show.
func (c *Certificate) ClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if pair := c.current.Load(); pair != nil {
		return pair, nil
	}
	return new(tls.Certificate), nil // none
}

// TLSConfig is how the port speaks TLS. HTTP/2 is agreed on in the handshake (RFC
// 7301). Connections keep the certificate that they began with.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if pair := c.current.Load(); pair != nil {
				return pair, nil
			}
			return nil, errors.New("there is no certificate yet")
		},
	}
}
