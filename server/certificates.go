package server

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/listen"
	"github.com/example-org/authgate/server/watch"
)

// Certificate is the one of tls, and the files that it was made of.
type Certificate struct {
	*listen.Certificate

	PEM [][]byte
}

// readCertificate reads those that a key of the configuration names; nil where it
// names none.
func readCertificate(key, certFile, keyFile string) (*Certificate, error) {
	if certFile == "" {
		return nil, nil
	}
	contents, err := readPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	read := &Certificate{new(listen.Certificate), contents}
	if err := read.Set(contents[0], contents[1]); err != nil {
		return nil, fmt.Errorf("%s: %s and %s do not belong together: %w", key, certFile, keyFile, err)
	}
	return read, nil
}

// readPair reads both files before it fails.
func readPair(files ...string) ([][]byte, error) {
	contents := make([][]byte, len(files))
	errs := make([]error, len(files))
	for i, file := range files {
		if contents[i], errs[i] = os.ReadFile(file); errs[i] != nil {
			errs[i] = fmt.Errorf("%s: %w", [...]string{"certFile", "keyFile"}[i], errs[i])
		}
	}
	return contents, errors.Join(errs...)
}

// watchCertificate shows a changed pair, on the port or to an upstream. The two files may change one
// after the other: the moment between, in which they do not belong together, passes mostly
// unseen, and otherwise with a complaint that the next look makes good.
func (w *reloader) watchCertificate(what, certFile, keyFile string, cert *Certificate) {
	if cert == nil {
		return
	}
	cert.logTo(w.log, what)
	w.watcher.Add(&watch.Files{
		Name: "certificate", Paths: []string{certFile, keyFile},
		Read: func() ([][]byte, error) { return readPair(certFile, keyFile) },
		Apply: func(contents [][]byte) error {
			if err := cert.Set(contents[0], contents[1]); err != nil {
				return err
			}
			cert.logTo(w.log, "certificate reloaded")
			return nil
		},
		OnError: func(err error) {
			w.log.Error("changed certificate rejected; the previous one stays in use", "files", []string{certFile, keyFile},
				"error", err)
		},
	}, cert.PEM)
}

func (c *Certificate) logTo(log *slog.Logger, message string) {
	if warning := c.Warning(time.Now()); warning != "" {
		log.Warn(warning, "certificate", c.String())
		return
	}
	log.Info(message, "certificate", c.String())
}

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
