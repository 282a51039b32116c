package server

import (
	"github.com/prometheus/client_golang/prometheus"
)

// certificateExpiry is a collector of the certificates that authgate shows, by upstream. An
// empty one is that of the port. It reads the certificate that is in use at each scrape.
type certificateExpiry map[string]*Certificate

var certificateExpiryDesc = prometheus.NewDesc("authgate_certificate_expiry_timestamp_seconds",
	"When the certificate that authgate shows, or an intermediate one, expires: on its own port (upstream is empty), "+
		"or as a client of an upstream.", []string{"upstream"}, nil)

// certificates are all of them.
func (p *Deps) certificates() certificateExpiry {
	all := make(certificateExpiry)
	if p.TLS != nil {
		all[""] = p.TLS
	}
	for name, cert := range p.ClientCerts {
		all[name] = cert
	}
	return all
}

// Describe implements prometheus.Collector.
func (certificateExpiry) Describe(descs chan<- *prometheus.Desc) { descs <- certificateExpiryDesc }

// Collect implements prometheus.Collector.
func (c certificateExpiry) Collect(metrics chan<- prometheus.Metric) {
	for upstream, cert := range c {
		if expiry := cert.Expiry(); !expiry.IsZero() {
			metrics <- prometheus.MustNewConstMetric(certificateExpiryDesc, prometheus.GaugeValue,
				float64(expiry.Unix()), upstream)
		}
	}
}
