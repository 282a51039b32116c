package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/identity"
)

// Cookies keeps sessions in the browser. It is safe for concurrent use.
//
// What a browser holds may be older than what is known of its session: groups are
// read again beside a request, and the issuer takes a refresh token once. So the
// newest is remembered until the browser has it, and longer while there is room;
// and so is what has ended, because a cookie that was copied would open for as long
// as it lasts. This is known to one process alone: several need a [Redis].
type Cookies struct {
	*Jar

	o     CookieOptions
	box   *Box
	pack  packer
	lives *lives
	seen  atomic.Pointer[seen]

	bearers bearers
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

// shown is how a session relates to the cookie that it was found by.
type shown struct {
	life    *life
	version uint64 // of the session

	browser uint64 // version that the browser has
	seen    time.Time
	key     keyID // what the cookie was sealed with

	conflict bool   // the browser has another cookie of that name, which has to go
	value    string // of a session in Redis: likewise, and what the cookie is to hold
}

// maxID bounds the ID of a session.
const maxID = 64

var _ Store = (*Cookies)(nil)

// NewCookies keeps sessions in the cookies of a jar.
func NewCookies(o CookieOptions) *Cookies {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Cookies{Jar: o.Jar, o: o, box: o.Keys.Box("session cookie"), lives: newLives()}
}

// Open is of [Store]. Requests share what the Session points to: nobody may write
// to its groups.
func (c *Cookies) Open(_ context.Context, h http.Header, secure bool) (Session, error) {
	p, err := c.pieces(h, secure)
	if errors.Is(err, ErrAmbiguous) {
		return c.resolve(h, secure)
	}
	if err != nil {
		return Session{}, err
	}
	now, name, seen := c.o.Now(), c.Name(secure), c.opened()
	o := seen.find(name, &p)
	if o == nil {
		s, err := c.decrypt(name, &p)
		if err != nil {
			return Session{}, err
		}
		if s.Over(now) {
			return Session{}, ErrOver
		}
		o = seen.remember(name, &p, s, c.lives.of(&s, now))
	}
	l := o.life.Load()
	if l.gone.Load() {
		l = c.lives.of(&o.session, now)
		o.life.Store(l)
	}
	if v := l.newest.Load(); v != nil && v.number <= o.session.shown.version && !l.confirmed.Load() {
		c.lives.confirm(l, o.session.shown.version)
	}
	s, err := c.newest(l, &o.session, now)
	if err != nil {
		seen.drop(o)
		return Session{}, err
	}
	if c.o.IdleTimeout > 0 {
		if used := l.used.Load(); distance(now.UnixNano(), used) >= int64(time.Second) {
			l.used.Store(now.UnixNano())
		}
		s.Seen = now
	}
	return s, nil
}

// opened is what the keys in force have opened. It is looked for before anything
// is opened: what an older key opened gets into nothing newer.
func (c *Cookies) opened() *seen {
	for {
		have, keys := c.seen.Load(), c.o.Keys.keys.Load()
		if have != nil && have.keys == keys {
			return have
		}
		if fresh := newSeen(keys); c.seen.CompareAndSwap(have, fresh) {
			return fresh
		}
	}
}

func (c *Cookies) decrypt(name string, p *pieces) (Session, error) {
	text := p.join()
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return Session{}, ErrBroken
	}
	small, key, err := c.box.open(sealed, name)
	if err != nil {
		return Session{}, err
	}
	version, s, err := c.pack.unpack(small)
	if err != nil || len(s.ID) > maxID {
		return Session{}, ErrBroken
	}
	s.shown = shown{version: version, browser: version, seen: s.Seen, key: key}
	return s, nil
}

// newest gives the latest version of a session, if it is not over.
func (c *Cookies) newest(l *life, s *Session, now time.Time) (Session, error) {
	got := *s
	got.shown.life = l
	if v := l.newest.Load(); v != nil && v.number > got.shown.version {
		got = v.session
		got.shown = s.shown
		got.shown.life, got.shown.version, got.Seen = l, v.number, s.Seen
	}
	if got.shown.version <= l.ended.Load() || got.Over(now) || c.idle(l, now) {
		return Session{}, ErrOver
	}
	return got, nil
}

// idle reports whether a session was not used for too long. A use in the future
// was before a clock was set back: it counts from now on, once.
func (c *Cookies) idle(l *life, now time.Time) bool {
	if c.o.IdleTimeout == 0 {
		return false
	}
	used := l.used.Load()
	if used > now.Add(maxSkew).UnixNano() {
		l.used.CompareAndSwap(used, now.UnixNano())
		return false
	}
	return now.UnixNano()-used > int64(c.o.IdleTimeout)
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// Begin is of [Store]. A session that the browser has already is not given to it
// again, by a response that comes late: it would take the place of the new one.
func (c *Cookies) Begin(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) (Session, error) {
	small, s, err := c.fit(first, s)
	if err != nil {
		return Session{}, err
	}
	if err := c.give(w, h, small, s.Expires, secure); err != nil {
		return Session{}, err
	}
	if before, err := c.Open(ctx, h, secure); err == nil {
		before.shown.life.replaced.Store(true)
	}
	return s, nil
}

// first is the version that a login makes.
const first = 1

// fit makes a session small enough for cookies, if need be without the groups that
// the policy does not name.
func (c *Cookies) fit(version uint64, s Session) ([]byte, Session, error) {
	small, err := c.pack.pack(version, s)
	fits := err == nil && c.fits(base64.RawURLEncoding.EncodedLen(overhead+len(small)))
	if fits || err != nil && !errors.Is(err, ErrTooLarge) {
		return small, s, err
	}
	if c.o.Named == nil {
		return nil, s, ErrTooLarge
	}
	less := s
	less.Principal.Groups = slices.DeleteFunc(slices.Clone(s.Principal.Groups), func(g string) bool { return !c.o.Named(g) })
	less.LeftOut += len(s.Principal.Groups) - len(less.Principal.Groups)
	if small, err = c.pack.pack(version, less); err != nil {
		return nil, s, err
	}
	if !c.fits(base64.RawURLEncoding.EncodedLen(overhead + len(small))) {
		return nil, s, ErrTooLarge
	}
	return small, less, nil
}

var errNoKey = errors.New("there is no session key")

func (c *Cookies) give(w http.ResponseWriter, h http.Header, small []byte, expires time.Time, secure bool) error {
	sealed := c.box.Seal(small, c.Name(secure))
	if len(sealed) == 0 {
		return errNoKey
	}
	return c.Write(w, h, base64.RawURLEncoding.EncodeToString(sealed), expires, secure)
}

// giveEvery keeps responses that go out together from each giving the browser its
// cookie: pieces of two could be mixed.
const giveEvery = 2 * time.Second

// Give is of [Store]. It also replaces cookies that are sealed with a key that will
// go.
func (c *Cookies) Give(w http.ResponseWriter, h http.Header, s Session, secure bool) {
	l := s.shown.life
	if l == nil || l.replaced.Load() { // begun with this response; or another was
		return
	}
	now := c.o.Now()
	due := c.o.IdleTimeout > 0 && distance(now.UnixNano(), s.shown.seen.UnixNano()) >= int64(touchEvery(c.o.IdleTimeout))
	if v := l.newest.Load(); !due && !s.shown.conflict && c.box.seals(s.shown.key) && (v == nil || v.number <= s.shown.browser) && s.shown.version <= s.shown.browser {
		return
	}
	s, err := c.newest(l, &s, now)
	if err != nil || !l.mayGive(s.shown.version, now) {
		return
	}
	s.Seen = now
	if small, s, err := c.fit(s.shown.version, s); err == nil {
		_ = c.give(w, h, small, s.Expires, secure) // it goes on from memory
	}
}

func (l *life) mayGive(version uint64, now time.Time) bool {
	last := l.given.Load()
	if l.givenVersion.Load() == version && distance(now.UnixNano(), last) < int64(giveEvery) {
		return false
	}
	if !l.given.CompareAndSwap(last, now.UnixNano()) {
		return false
	}
	l.givenVersion.Store(version)
	return true
}

// Forget is of [Store].
func (c *Cookies) Forget(w http.ResponseWriter, h http.Header, secure bool) { c.Clear(w, h, secure) }

// Current is of [Store]. It is no use of the session: a stream that is merely open
// does not keep its session from becoming idle.
func (c *Cookies) Current(s Session) (Session, error) {
	now := c.o.Now()
	l := c.lifeOf(&s, now)
	if s.shown.life != nil && !c.box.opens(s.shown.key) {
		return Session{}, ErrOver // its cookie does not open any more either
	}
	return c.newest(l, &s, now)
}

// lifeOf is for sessions that have opened before, or have just begun.
func (c *Cookies) lifeOf(s *Session, now time.Time) *life {
	s.shown.version = max(s.shown.version, first)
	if l := s.shown.life; l != nil && !l.gone.Load() {
		return l
	}
	return c.lives.of(s, now)
}

// Renew is of [Store].
func (c *Cookies) Renew(ctx context.Context, s Session, ask Ask) (Session, error) {
	now := c.o.Now()
	s, err := c.newest(c.lifeOf(&s, now), &s, now)
	if err != nil {
		return Session{}, err
	}
	got, err := ask(ctx, s.Grant)
	var refused *identity.RefreshRefusedError
	var impostor *identity.ImpostorError
	switch {
	case err == nil:
		s.LeftOut = 0
		return c.remember(s, got)
	case errors.As(err, &impostor):
		c.lives.refuse(&s, allOfThem, now)
		return s, err
	case errors.As(err, &refused):
		c.lives.refuse(&s, s.shown.version, now)
		return s, err
	}
	var unverified *identity.UnverifiedError
	if errors.As(err, &unverified) { // the groups stay old; the refresh token before this one is used up
		if s, failed := c.remember(s, unverified.Grant); failed != nil {
			return s, failed
		}
	}
	return s, err
}

// remember keeps what the issuer gave until the browser has it. What is too large
// for cookies lasts as long as it is remembered, and the next login says so.
func (c *Cookies) remember(s Session, g identity.Grant) (Session, error) {
	if g.Session == "" {
		g.Session = s.Session
	}
	s.Grant = g
	if g.Refresh == "" && g.Principal.Expiry.Before(s.Expires) { // as at a login
		s.Expires = g.Principal.Expiry
	}
	found, now := s.shown, c.o.Now()
	found.version++
	if _, less, err := c.fit(found.version, s); err == nil {
		s = less
	}
	s.shown = shown{}
	l, ok := c.lives.renew(s, found.version, now)
	if !ok {
		return Session{}, ErrOver
	}
	found.life = l
	s.shown = found
	return s, nil
}

// Owner is of [Store].
func (c *Cookies) Owner(s Session) string { return s.ID }

// Revoke is of [Store]. It reaches the sessions that have begun by now, in this
// process, and counts those that it knows.
func (c *Cookies) Revoke(_ context.Context, which Which) (int, error) {
	now := c.o.Now()
	for _, k := range tagsOf(which, c.lives.list(which)) { // first: nobody comes back meanwhile
		c.bearers.revoke(k, now)
	}
	return c.lives.revoke(which, now), nil
}

// CheckBearer is of [Store]: what this process was told.
func (c *Cookies) CheckBearer(t *identity.Token) error { return c.bearers.check(t) }

// RememberToken is of [Store].
func (c *Cookies) RememberToken(_ context.Context, digest [sha256.Size]byte, until time.Time) error {
	if !c.bearers.remember(digest, until, c.o.Now()) {
		return ErrTooManyTokens
	}
	return nil
}

// List is of [Store].
func (c *Cookies) List(context.Context, Which) ([]Session, error) { return nil, ErrNoList }

// Down is of [Store].
func (c *Cookies) Down() error { return nil }

// Run is of [Store]: it forgets what has expired.
func (c *Cookies) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.lives.prune(c.o.Now())
			c.bearers.prune(c.o.Now())
		}
	}
}
