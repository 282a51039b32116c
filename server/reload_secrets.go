package server

import (
	"crypto/x509"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/server/watch"
	"github.com/example-org/authgate/session/redisstore"
)

// reloadTargets is what secrets and CAs are in force in.
type reloadTargets struct {
	issuer  *identity.RelyingParty
	bearers *identity.Bearers
	proxy   *proxy.Proxy
	admin   *admin.Handler
	redis   *redisstore.Store // nil: sessions are kept in cookies
}

// watchSecrets puts changed secrets in force, and changed CAs. Only files can change:
// what an environment variable holds stays what it was.
func (w *reloader) watchSecrets(p *Deps, targets reloadTargets) {
	c := p.Config
	id, secret := secretValue(c.Issuer.ClientID, p.Issuer.ClientID),
		secretValue(c.Issuer.ClientSecret, p.Issuer.ClientSecret)
	w.watchValues("issuer.clientSecret", []watchedValue{id, secret}, func(now []string) error {
		targets.issuer.SetCredentials(now[0], now[1])
		return nil
	})
	w.watchCAs("issuer.caFile", c.Issuer.CAFile, p, func(pool *x509.CertPool) error {
		targets.issuer.SetRootCAs(pool)
		return nil
	})
	for _, b := range bearerCAsOf(c) {
		w.watchCAs(b.key, b.file, p, func(pool *x509.CertPool) error {
			targets.bearers.SetRootCAs(b.issuer, pool)
			return nil
		})
	}
	w.watchValues("adminToken", []watchedValue{secretValue(c.AdminToken, p.adminToken)}, func(now []string) error {
		if err := checkAdminToken(c.AdminToken, now[0]); err != nil {
			return err
		}
		targets.admin.SetToken(now[0])
		return nil
	})
	for i, u := range c.Upstreams {
		w.watchCAs(upstreamCAKey(i), u.CAFile, p, func(pool *x509.CertPool) error {
			targets.proxy.SetUpstreamCAs(u.Name, pool)
			return nil
		})
	}
	if targets.redis != nil {
		w.watchRedis(p, targets.redis)
	}
}

// watchRedis goes on with another URL, password or CA: one connection needs all of it.
func (w *reloader) watchRedis(p *Deps, store *redisstore.Store) {
	const key = "session.redis.caFile"
	r := p.Config.Session.Redis
	address := secretValue(r.URL, p.Redis.URL)
	address.read = func() (string, error) {
		text, err := r.URL.Reveal()
		return strings.TrimSpace(text), err
	}
	w.watchValues("session.redis.url", []watchedValue{address, fileValue(r.CAFile, p.caPEMs[key])},
		func(now []string) error {
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

func (w *reloader) watchCAs(key, file string, p *Deps, apply func(*x509.CertPool) error) {
	w.watchValues(key, []watchedValue{fileValue(file, p.caPEMs[key])}, func(now []string) error {
		pool, err := parseCAs(key, file, []byte(now[0]))
		if err != nil {
			return err
		}
		return apply(pool)
	})
}

// watchedValue is one that may stand in a file.
type watchedValue struct {
	file    string // empty: it cannot change
	read    func() (string, error)
	initial string // that was loaded
}

// secretValue reads, and judges, as the start did.
func secretValue(s config.Secret, initial string) watchedValue {
	return watchedValue{s.File(), s.Reveal, initial}
}

func fileValue(file string, initial []byte) watchedValue {
	return watchedValue{file, func() (string, error) {
		data, err := os.ReadFile(file)
		return string(data), err
	}, string(initial)}
}

// watchValues hands over values that belong together, once one of their files has
// changed. Neither the log nor an error holds one of them.
func (w *reloader) watchValues(key string, values []watchedValue, apply func(current []string) error) {
	var files []string
	var initial [][]byte
	for _, v := range values {
		initial = append(initial, []byte(v.initial))
		if v.file != "" {
			files = append(files, v.file)
		}
	}
	if len(files) == 0 {
		return
	}
	w.watcher.Add(w.countReloads(key, &watch.Files{
		Name: key, Paths: files,
		Read: func() ([][]byte, error) {
			current := make([][]byte, len(values))
			for i, v := range values {
				text := v.initial
				if v.file != "" {
					var err error
					if text, err = v.read(); err != nil {
						return nil, err
					}
				}
				current[i] = []byte(text)
			}
			return current, nil
		},
		Apply: func(contents [][]byte) error {
			current := make([]string, len(contents))
			for i, text := range contents {
				current[i] = string(text)
			}
			if err := apply(current); err != nil {
				return err
			}
			w.log.Info("secret or CA reloaded", "key", key, "files", files)
			return nil
		},
		OnError: func(err error) {
			w.log.Error("changed secret or CA rejected; the previous one stays in use", "key", key, "files", files, "error", err)
		},
	}), initial)
}

// registerReloadMetrics registers what counts reloads of secrets and CAs.
func (w *reloader) registerReloadMetrics(registry prometheus.Registerer) {
	w.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authgate_secret_reloads_total",
		Help: "Changed secrets, session keys and CAs, by the key of the configuration.",
	}, []string{"key", "result"})
	registry.MustRegister(w.reloads)
}

// countReloads counts what becomes of changes.
func (w *reloader) countReloads(key string, f *watch.Files) *watch.Files {
	if w.reloads == nil {
		return f
	}
	ok, failed := w.reloads.WithLabelValues(key, "ok"), w.reloads.WithLabelValues(key, "error")
	apply, onError := f.Apply, f.OnError
	f.Apply = func(contents [][]byte) error {
		err := apply(contents)
		if err == nil {
			ok.Inc()
		}
		return err
	}
	f.OnError = func(err error) {
		failed.Inc()
		onError(err)
	}
	return f
}
