package session

import (
	"context"
	"net/http"
	"time"
)

// Cookies keeps sessions in the browser. It is safe for concurrent use.
type Cookies struct {
	*Jar

	sealer *Sealer
	seen   *seen
	o      CookieOptions
}

// CookieOptions say how sessions are kept in the browser.
type CookieOptions struct {
	Jar  *Jar
	Keys *Ring

	IdleTimeout time.Duration // 0: none

	// Named reports whether the policy names a group. Where a session is too large,
	// only those are kept. Nil: all are.
	Named func(group string) bool

	Now func() time.Time // nil: time.Now
}

// NewCookies keeps sessions in the cookies of a jar.
func NewCookies(o CookieOptions) *Cookies {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Cookies{Jar: o.Jar, sealer: o.Keys.Sealer("session"), seen: newSeen(), o: o}
}

// Open is of [Store]. Requests share what the Session points to: nobody may write
// to its groups.
func (c *Cookies) Open(_ context.Context, h http.Header, secure bool) (Session, error) {
	sealed, err := c.Read(h, secure)
	if err != nil {
		return Session{}, err
	}
	now, name := c.o.Now(), c.Name(secure)
	if o := c.seen.find(name, sealed); o != nil {
		if o.session.Over(now) {
			c.seen.drop(o)
			return Session{}, ErrOver
		}
		return o.session, nil
	}
	var s Session
	if err := c.sealer.Open(name, sealed, &s); err != nil {
		return Session{}, ErrBroken
	}
	if s.Over(now) {
		return Session{}, ErrOver
	}
	c.seen.remember(name, sealed, s)
	return s, nil
}

// Begin is of [Store].
func (c *Cookies) Begin(_ context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) error {
	sealed, err := c.sealer.Seal(c.Name(secure), s)
	if err != nil {
		return err
	}
	return c.Write(w, h, sealed, s.Expires, secure)
}

// Give is of [Store].
func (c *Cookies) Give(http.ResponseWriter, http.Header, Session, bool) {}

// Forget is of [Store].
func (c *Cookies) Forget(w http.ResponseWriter, h http.Header, secure bool) { c.Clear(w, h, secure) }

// Current is of [Store].
func (c *Cookies) Current(s Session) (Session, error) {
	if s.Over(c.o.Now()) {
		return Session{}, ErrOver
	}
	return s, nil
}

// Renew is of [Store].
func (c *Cookies) Renew(ctx context.Context, s Session, ask Ask) (Session, error) {
	g, err := ask(ctx, s.Grant)
	s.Grant = g
	return s, err
}

// Owner is of [Store].
func (c *Cookies) Owner(s Session) string { return s.ID }

// Revoke is of [Store].
func (c *Cookies) Revoke(context.Context, Which) (int, error) { return 0, nil }

// List is of [Store].
func (c *Cookies) List(context.Context, Which) ([]Session, error) { return nil, ErrNoList }

// Down is of [Store].
func (c *Cookies) Down() error { return nil }

// Run is of [Store].
func (c *Cookies) Run(ctx context.Context) { <-ctx.Done() }
