package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
)

// leastAdminToken is how short a token may be: it is sent to a port that does not
// count how often somebody tries.
const leastAdminToken = 16

func (p *parts) readAdminToken(absent absent) error {
	secret := p.config.AdminToken
	if secret.IsZero() {
		return nil
	}
	token, err := secret.Reveal()
	if err != nil {
		return absent.or(err)
	}
	if err := checkAdminToken(secret, token); err != nil {
		return err
	}
	p.adminToken = token
	return nil
}

func checkAdminToken(secret config.Secret, token string) error {
	if token != strings.TrimSpace(token) || strings.ContainsAny(token, "\r\n") {
		return fmt.Errorf("adminToken: %s has blanks around it or several lines; write one line, such as that of `authgate keygen`", secret.Source())
	}
	if len(token) < leastAdminToken {
		return fmt.Errorf("adminToken: %s holds %d characters, at least %d are needed; write what `authgate keygen` prints", secret.Source(), len(token), leastAdminToken)
	}
	return nil
}

// readRedis reads where sessions are kept, and has the client judge it.
func (p *parts) readRedis(absent absent) error {
	r := p.config.Session.Redis
	if p.config.Session.Store != config.StoreRedis {
		return nil
	}
	address, noURL := r.URL.Reveal()
	pool, noPool := p.readCAs("session.redis.caFile", r.CAFile)
	if err := errors.Join(absent.or(noURL), absent.or(noPool)); err != nil || noURL != nil {
		return err
	}
	p.redis = session.RedisOptions{URL: strings.TrimSpace(address), RootCAs: pool}
	unused, err := session.ParseKeys(session.NewKey())
	if err != nil {
		return err
	}
	tried, err := p.openRedis(session.NewRing(unused), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return tried.Close()
}

// openRedis builds the store and dials nothing. It gives nil where sessions are
// kept in cookies.
func (p *parts) openRedis(keys *session.Ring, log *slog.Logger) (*session.Redis, error) {
	c := p.config.Session
	if c.Store != config.StoreRedis {
		return nil, nil
	}
	o := p.redis
	o.Jar, o.Keys, o.IdleTimeout, o.Log = proxy.NewJar(c.Cookie), keys, time.Duration(c.IdleTimeout), log
	store, err := session.NewRedis(o)
	if err != nil {
		return nil, fmt.Errorf("session.redis.url: %s: %w", c.Redis.URL.Source(), err)
	}
	return store, nil
}

// advice adds what only the values of secrets tell.
func (p *parts) advice() []string {
	advice := p.config.Advice()
	if u, err := url.Parse(p.redis.URL); err == nil && u.Scheme == "redis" && !config.IsLocal(withPort(u)) {
		advice = append(advice, "session.redis.url begins with redis://, without TLS, and redis is on another host: who may sign in as whom passes the network "+
			"sealed, but the password of redis in clear; write rediss://")
	}
	return advice
}

func withPort(u *url.URL) string {
	if u.Port() == "" {
		return u.Host + ":6379"
	}
	return u.Host
}
