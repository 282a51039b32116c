package session

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// RedisOptions say where sessions are kept, and for how long.
type RedisOptions struct {
	URL     string         // redis://, rediss://, sentinel and cluster in the client's own forms; holds a password
	RootCAs *x509.CertPool // nil: the system's

	Jar  *Jar
	Keys *Ring

	IdleTimeout time.Duration // 0: none

	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

// Redis keeps sessions in a Redis. It is safe for concurrent use.
type Redis struct{ o RedisOptions }

// NewRedis dials nothing yet. An error says what is wrong with the URL, without
// the URL.
func NewRedis(o RedisOptions) (*Redis, error) { return nil, errors.New("not built") }

// Open is of [Store].
func (r *Redis) Open(ctx context.Context, h http.Header, secure bool) (Session, error) {
	return Session{}, ErrStoreDown
}

// Begin is of [Store].
func (r *Redis) Begin(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) error {
	return ErrStoreDown
}

// Give is of [Store].
func (r *Redis) Give(http.ResponseWriter, http.Header, Session, bool) {}

// Forget is of [Store].
func (r *Redis) Forget(w http.ResponseWriter, h http.Header, secure bool) { r.o.Jar.Clear(w, h, secure) }

// Current is of [Store].
func (r *Redis) Current(s Session) (Session, error) { return Session{}, ErrStoreDown }

// Renew is of [Store].
func (r *Redis) Renew(ctx context.Context, s Session, ask Ask) (Session, error) {
	return Session{}, ErrStoreDown
}

// Owner is of [Store].
func (r *Redis) Owner(s Session) string { return "" }

// Revoke is of [Store].
func (r *Redis) Revoke(ctx context.Context, which Which) (int, error) { return 0, ErrStoreDown }

// List is of [Store].
func (r *Redis) List(ctx context.Context, which Which) ([]Session, error) { return nil, ErrStoreDown }

// Down is of [Store].
func (r *Redis) Down() error { return ErrStoreDown }

// Run is of [Store].
func (r *Redis) Run(ctx context.Context) { <-ctx.Done() }

// Close ends its connections.
func (r *Redis) Close() error { return nil }
