package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/login"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/session/seal"
)

// minAdminTokenLength is how short a token may be: it is sent to a port that does not
// limit attempts.
const minAdminTokenLength = 16

func (p *Deps) readAdminToken(onMissing MissingHandler) error {
	secret := p.Config.AdminToken
	if secret.IsZero() {
		return nil
	}
	token, err := secret.Reveal()
	if err != nil {
		return onMissing.handle(err)
	}
	if err := checkAdminToken(secret, token); err != nil {
		return err
	}
	p.adminToken = token
	return nil
}

func checkAdminToken(secret config.Secret, token string) error {
	if token != strings.TrimSpace(token) || strings.ContainsAny(token, "\r\n") {
		return fmt.Errorf("adminToken: %s has spaces around it or several lines; write one line, such as that of "+
			"`authgate keygen`", secret.Source())
	}
	if len(token) < minAdminTokenLength {
		return fmt.Errorf("adminToken: %s holds %d characters, at least %d are needed; write what `authgate keygen` prints",
			secret.Source(), len(token), minAdminTokenLength)
	}
	return nil
}

// readRedis reads where sessions are kept, and has the client judge it.
func (p *Deps) readRedis(onMissing MissingHandler) error {
	r := p.Config.Session.Redis
	if p.Config.Session.Store != config.StoreRedis {
		return nil
	}
	address, noURL := r.URL.Reveal()
	pool, noPool := p.readCAs("session.redis.caFile", r.CAFile)
	if err := errors.Join(onMissing.handle(noURL), onMissing.handle(noPool)); err != nil || noURL != nil {
		return err
	}
	p.Redis = redisstore.Options{URL: strings.TrimSpace(address), RootCAs: pool}
	throwawayKeys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		return err
	}
	store, err := p.OpenRedis(seal.NewKeyring(throwawayKeys), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return store.Close()
}

// OpenRedis builds the store and dials nothing. It gives nil where sessions are
// kept in cookies.
func (p *Deps) OpenRedis(keys *seal.Keyring, log *slog.Logger) (*redisstore.Store, error) {
	c := p.Config.Session
	if c.Store != config.StoreRedis {
		return nil, nil
	}
	o := p.Redis
	o.Cookie, o.Keyring, o.IdleTimeout, o.Log = proxy.NewSessionCookie(c.Cookie), keys, time.Duration(c.IdleTimeout), log
	store, err := redisstore.New(o)
	if err != nil {
		return nil, fmt.Errorf("session.redis.url: %s: %w", c.Redis.URL.Source(), err)
	}
	return store, nil
}

// newSessionStore returns the store, and the replay cache that replicas share (nil: none).
// mentionsGroup reports whether a policy mentions a group.
func newSessionStore(c *config.Config, redis *redisstore.Store, keys *seal.Keyring,
	mentionsGroup func(string) bool,
) (session.Store, login.ReplayCache) {
	if redis != nil {
		return redis, redis
	}
	return cookiestore.New(cookiestore.Options{
		Cookie: proxy.NewSessionCookie(c.Session.Cookie), Keyring: keys,
		IdleTimeout: time.Duration(c.Session.IdleTimeout), PolicyNames: mentionsGroup,
	}), nil
}

// Warnings adds what only the values of secrets tell.
func (p *Deps) Warnings() []string {
	warnings := p.Config.Warnings()
	if u, err := url.Parse(p.Redis.URL); err == nil && u.Scheme == "redis" && !config.IsLocal(hostPort(u)) {
		warnings = append(warnings,
			"session.redis.url begins with redis://, without TLS, and redis is on another host: sessions are encrypted, "+
				"but the password of redis crosses the network in clear; write rediss://")
	}
	return warnings
}

func hostPort(u *url.URL) string {
	if u.Port() == "" {
		return u.Host + ":6379"
	}
	return u.Host
}

// OpenSessionStore opens the Redis of a configuration, of which it reads only what that needs.
func OpenSessionStore(c *config.Config) (*redisstore.Store, error) {
	p := &Deps{Config: c}
	if err := errors.Join(p.readKeys(FailOnMissing), p.readRedis(FailOnMissing)); err != nil {
		return nil, err
	}
	return p.OpenRedis(seal.NewKeyring(p.Keys), slog.New(slog.DiscardHandler))
}
