package listen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Certificate is the certificate of a port with TLS, and can be replaced while the port is
// open. With the zero value every handshake fails.
type Certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// Set replaces the certificate: its chain to a CA, and its private key, both in PEM. On an
// error the previous one stays.
func (c *Certificate) Set(certificate, key []byte) error {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "tls: "))
	}
	c.current.Store(&pair)
	return nil
}

// Warning says why clients will refuse the certificate at this time, or nothing. Load
// balancers accept any certificate, so an invalid one is still used.
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

// Expiry is when the first certificate of the chain expires: clients refuse the chain from
// then on. It is zero if there is no certificate.
func (c *Certificate) Expiry() time.Time {
	pair := c.current.Load()
	if pair == nil {
		return time.Time{}
	}
	first := pair.Leaf.NotAfter
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil && cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
	}
	return first
}

// String describes the certificate for a log: its names, and its expiry.
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

// ClientCertificate is the certificate for a server that asks for one. The CAs that the
// server names are ignored: there is only one certificate.
func (c *Certificate) ClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if pair := c.current.Load(); pair != nil {
		return pair, nil
	}
	return new(tls.Certificate), nil // none
}

// TLSConfig is the TLS configuration of the port. HTTP/2 is negotiated in the handshake (RFC
// 7301). Connections keep the certificate of their handshake.
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
