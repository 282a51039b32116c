package main

import (
	"crypto/x509"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
)

// inUse is what secrets and CAs are in force in.
type inUse struct {
	issuer  *identity.RelyingParty
	bearers *identity.Bearers
	gate    *proxy.Proxy
	redis   *session.Redis // nil: sessions are kept in cookies
}

// followSecrets puts changed secrets in force, and changed CAs. Only files can change:
// what an environment variable holds stays what it was.
func (w *fileWatch) followSecrets(p *parts, use inUse) {
	c := p.config
	id, secret := secretValue(c.Issuer.ClientID, p.issuer.ClientID), secretValue(c.Issuer.ClientSecret, p.issuer.ClientSecret)
	w.followValues("issuer.clientSecret", []value{id, secret}, func(now []string) error {
		use.issuer.SetCredentials(now[0], now[1])
		return nil
	})
	w.followCAs("issuer.caFile", c.Issuer.CAFile, p, func(pool *x509.CertPool) error {
		use.issuer.SetRootCAs(pool)
		return nil
	})
	for _, b := range bearerCAsOf(c) {
		w.followCAs(b.key, b.file, p, func(pool *x509.CertPool) error {
			use.bearers.SetRootCAs(b.issuer, pool)
			return nil
		})
	}
	w.followValues("adminToken", []value{secretValue(c.AdminToken, p.adminToken)}, func(now []string) error {
		if err := checkAdminToken(c.AdminToken, now[0]); err != nil {
			return err
		}
		use.gate.SetAdminToken(now[0])
		return nil
	})
	for i, u := range c.Upstreams {
		w.followCAs(upstreamCAs(i), u.CAFile, p, func(pool *x509.CertPool) error {
			use.gate.TrustUpstream(u.Name, pool)
			return nil
		})
	}
	if use.redis != nil {
		w.followRedis(p, use.redis)
	}
}

// followRedis goes on with another URL, password or CA: one connection needs all of it.
func (w *fileWatch) followRedis(p *parts, store *session.Redis) {
	const key = "session.redis.caFile"
	r := p.config.Session.Redis
	address := secretValue(r.URL, p.redis.URL)
	address.text = func() (string, error) {
		text, err := r.URL.Reveal()
		return strings.TrimSpace(text), err
	}
	w.followValues("session.redis.url", []value{address, fileValue(r.CAFile, p.pems[key])}, func(now []string) error {
		var pool *x509.CertPool
		if r.CAFile != "" {
			var err error
			if pool, err = parseCAs(key, r.CAFile, []byte(now[1])); err != nil {
				return err
			}
		}
		return store.Replace(now[0], pool)
	})
}

func (w *fileWatch) followCAs(key, file string, p *parts, take func(*x509.CertPool) error) {
	w.followValues(key, []value{fileValue(file, p.pems[key])}, func(now []string) error {
		pool, err := parseCAs(key, file, []byte(now[0]))
		if err != nil {
			return err
		}
		return take(pool)
	})
}

// value is one that may stand in a file.
type value struct {
	file  string // empty: it cannot change
	text  func() (string, error)
	first string // that was loaded
}

// secretValue reads, and judges, as the start did.
func secretValue(s config.Secret, first string) value {
	return value{s.File(), s.Reveal, first}
}

func fileValue(file string, first []byte) value {
	return value{file, func() (string, error) {
		data, err := os.ReadFile(file)
		return string(data), err
	}, string(first)}
}

// followValues hands over values that belong together, once one of their files has
// changed. Neither the log nor an error holds one of them.
func (w *fileWatch) followValues(key string, values []value, take func(now []string) error) {
	var files []string
	var first [][]byte
	for _, v := range values {
		first = append(first, []byte(v.first))
		if v.file != "" {
			files = append(files, v.file)
		}
	}
	if len(files) == 0 {
		return
	}
	w.follow(w.counted(key, &followed{
		what: key, files: files, judged: sum(first, nil),
		read: func(...string) ([][]byte, error) {
			now := make([][]byte, len(values))
			for i, v := range values {
				text := v.first
				if v.file != "" {
					var err error
					if text, err = v.text(); err != nil {
						return nil, err
					}
				}
				now[i] = []byte(text)
			}
			return now, nil
		},
		take: func(contents [][]byte) error {
			now := make([]string, len(contents))
			for i, text := range contents {
				now[i] = string(text)
			}
			if err := take(now); err != nil {
				return err
			}
			w.log.Info("a changed secret or CA is in use", "key", key, "files", files)
			return nil
		},
		keep: func(err error) {
			w.log.Error("a changed secret or CA is not used, the last good one stays", "key", key, "files", files, "error", err)
		},
	}))
}

// countSecrets registers what counts reloads of secrets and CAs.
func (w *fileWatch) countSecrets(registry prometheus.Registerer) {
	w.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authgate_secret_reloads_total", Help: "Changed secrets, session keys and CAs, by the key of the configuration.",
	}, []string{"key", "result"})
	registry.MustRegister(w.reloads)
}

// counted counts what becomes of changes.
func (w *fileWatch) counted(key string, f *followed) *followed {
	if w.reloads == nil {
		return f
	}
	ok, failed := w.reloads.WithLabelValues(key, "ok"), w.reloads.WithLabelValues(key, "error")
	take, keep := f.take, f.keep
	f.take = func(contents [][]byte) error {
		err := take(contents)
		if err == nil {
			ok.Inc()
		}
		return err
	}
	f.keep = func(err error) {
		failed.Inc()
		keep(err)
	}
	return f
}
