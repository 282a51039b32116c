package fakegithub

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Identity is a certificate and its key, and the certificate of the authority that signed
// it, all in PEM.
type Identity struct{ CA, Certificate, Key []byte }

// NewIdentity makes an authority, and a certificate for hosts: names and addresses. They
// are valid for a day, so that nothing depends on them.
func NewIdentity(hosts ...string) (Identity, error) {
	now := time.Now()
	authority := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "fake GitHub authority"},
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, err
	}
	authorityDER, err := sign(authority, authority, authorityKey.Public(), authorityKey, now)
	if err != nil {
		return Identity{}, err
	}

	server := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "fake GitHub"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if address := net.ParseIP(host); address != nil {
			server.IPAddresses = append(server.IPAddresses, address)
		} else {
			server.DNSNames = append(server.DNSNames, host)
		}
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, err
	}
	serverDER, err := sign(server, authority, serverKey.Public(), authorityKey, now)
	if err != nil {
		return Identity{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return Identity{}, err
	}
	return Identity{CA: encode("CERTIFICATE", authorityDER), Certificate: encode("CERTIFICATE", serverDER), Key: encode("PRIVATE KEY", key)}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
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
