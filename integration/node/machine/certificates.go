//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// authority signs the certificates of the node. They last as long as no node does.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

const validity = 30 * 24 * time.Hour

func newAuthority() (authority, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, nil, err
	}
	a := authority{key: key, certificate: &x509.Certificate{
		Subject: pkix.Name{CommonName: "kubernetes"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}}
	der, err := a.sign(a.certificate, key)
	if err != nil {
		return authority{}, nil, err
	}
	a.certificate, err = x509.ParseCertificate(der)
	return a, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

func (a authority) sign(c *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	c.SerialNumber = serial
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(validity)
	return x509.CreateCertificate(rand.Reader, c, a.certificate, &key.PublicKey, a.key)
}

// issue gives a certificate and its key in PEM.
func (a authority) issue(subject pkix.Name, usage x509.ExtKeyUsage, names []string, addresses ...string) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{Subject: subject, DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	der, err := a.sign(template, private)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), nil
}

// writeCertificates makes those of the API server and the kubelet, and the key that signs
// tokens of ServiceAccounts.
func (n node) writeCertificates() error {
	a, ca, err := newAuthority()
	if err != nil {
		return err
	}
	service := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}
	files := map[string][]byte{"ca.crt": ca}
	for _, c := range []struct {
		name      string
		subject   pkix.Name
		usage     x509.ExtKeyUsage
		names     []string
		addresses []string
	}{
		{"apiserver", pkix.Name{CommonName: "kube-apiserver"}, x509.ExtKeyUsageServerAuth, service, []string{"127.0.0.1", nodeIP, apiService}},
		{"kubelet", pkix.Name{CommonName: "kubelet"}, x509.ExtKeyUsageServerAuth, []string{nodeName}, []string{nodeIP}},
		{"kubelet-client", pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}}, x509.ExtKeyUsageClientAuth, nil, nil},
		{"aggregator", pkix.Name{CommonName: "aggregator"}, x509.ExtKeyUsageClientAuth, nil, nil},
	} {
		certificate, key, err := a.issue(c.subject, c.usage, c.names, c.addresses...)
		if err != nil {
			return err
		}
		files[c.name+".crt"], files[c.name+".key"] = certificate, key
	}
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&signer.PublicKey)
	if err != nil {
		return err
	}
	files["accounts.key"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(signer)})
	files["accounts.pub"] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	for name, content := range files {
		if err := os.WriteFile(n.path("pki", name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
