package fakegithub

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// newCertificates makes an authority and a server certificate for loopback that
// it signed. Both are valid for a day, so that nothing depends on them.
func newCertificates(now time.Time) (authorityPEM []byte, leaf tls.Certificate, err error) {
	authority := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "fake GitHub authority"},
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, leaf, err
	}
	authorityDER, err := sign(authority, authority, authorityKey.Public(), authorityKey, now)
	if err != nil {
		return nil, leaf, err
	}

	server := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "fake GitHub"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		DNSNames:    []string{"localhost"},
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, leaf, err
	}
	serverDER, err := sign(server, authority, serverKey.Public(), authorityKey, now)
	if err != nil {
		return nil, leaf, err
	}

	authorityPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER})
	return authorityPEM, tls.Certificate{Certificate: [][]byte{serverDER}, PrivateKey: serverKey}, nil
}

func sign(c, by *x509.Certificate, key crypto.PublicKey, with crypto.Signer, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	c.SerialNumber = serial
	c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(24*time.Hour)
	return x509.CreateCertificate(rand.Reader, c, by, key, with)
}
