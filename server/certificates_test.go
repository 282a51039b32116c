package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/listen"
)

// renew gives c a certificate that expires at a time.
func renew(t *testing.T, c *listen.Certificate, expires time.Time) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: expires}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})); err != nil {
		t.Fatal(err)
	}
}

func TestExpiryOfEachCertificateIsAMetricAndFollowsARenewal(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	p := &Deps{
		TLS:         &Certificate{Certificate: new(listen.Certificate)},
		ClientCerts: map[string]*Certificate{"argocd": {Certificate: new(listen.Certificate)}},
	}
	renew(t, p.TLS.Certificate, first)
	renew(t, p.ClientCerts["argocd"].Certificate, first.AddDate(0, 1, 0))
	registry := prometheus.NewRegistry()
	registry.MustRegister(p.certificates())
	want := func(port, upstream time.Time) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil || len(families) != 1 || families[0].GetName() != "authgate_certificate_expiry_timestamp_seconds" {
			t.Fatalf("%v %v", families, err)
		}
		got := map[string]float64{}
		for _, m := range families[0].GetMetric() {
			got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
		if len(got) != 2 || got[""] != float64(port.Unix()) || got["argocd"] != float64(upstream.Unix()) {
			t.Errorf("got %v, want %d and %d", got, port.Unix(), upstream.Unix())
		}
	}
	want(first, first.AddDate(0, 1, 0))
	renew(t, p.TLS.Certificate, first.AddDate(0, 3, 0))
	want(first.AddDate(0, 3, 0), first.AddDate(0, 1, 0))

	none := prometheus.NewRegistry()
	none.MustRegister((&Deps{}).certificates())
	if families, err := none.Gather(); err != nil || len(families) != 0 {
		t.Errorf("without certificates: %v %v", families, err)
	}
}
