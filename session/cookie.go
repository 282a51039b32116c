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
	*ChunkedCookie

	o         CookieOptions
	aead      *AEAD
	codec     codec
	states    *sessionStates
	decrypted atomic.Pointer[decryptCache]

	denylist bearerDenylist
}

// CookieOptions say how sessions are kept in the browser.
type CookieOptions struct {
	Cookie  *ChunkedCookie
	Keyring *Keyring

	IdleTimeout time.Duration // 0: none

	// PolicyNames reports whether the policy names a group. Where a session is too large,
	// only those are kept. Nil: all are.
	PolicyNames func(group string) bool

	Now func() time.Time // nil: time.Now
}

// cookieState is how a session relates to the cookie that it was found by.
type cookieState struct {
	state   *sessionState
	version uint64 // of the session

	sentVersion  uint64 // version that the browser has
	sentLastUsed time.Time
	key          keyID // what the cookie was sealed with

	duplicate bool   // the browser has another cookie of that name, which has to go
	value     string // of a session in Redis: likewise, and what the cookie is to hold
}

// maxID bounds the ID of a session.
const maxID = 64

var _ Store = (*Cookies)(nil)

// NewCookies keeps sessions in the cookies of a jar.
func NewCookies(o CookieOptions) *Cookies {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Cookies{ChunkedCookie: o.Cookie, o: o, aead: o.Keyring.AEAD("session cookie"), states: newSessionStates()}
}

// Open is of [Store]. Requests share what the Session points to: nobody may write
// to its groups.
func (c *Cookies) Open(_ context.Context, h http.Header, secure bool) (Session, error) {
	p, err := c.readChunks(h, secure)
	if errors.Is(err, ErrAmbiguous) {
		return c.resolveDuplicates(h, secure)
	}
	if err != nil {
		return Session{}, err
	}
	now, name, cache := c.o.Now(), c.Name(secure), c.decryptedCache()
	entry := cache.get(name, &p)
	if entry == nil {
		s, err := c.decrypt(name, &p)
		if err != nil {
			return Session{}, err
		}
		if s.Expired(now) {
			return Session{}, ErrExpired
		}
		entry = cache.put(name, &p, s, c.states.get(&s, now))
	}
	state := entry.state.Load()
	if state.evicted.Load() {
		state = c.states.get(&entry.session, now)
		entry.state.Store(state)
	}
	if v := state.newest.Load(); v != nil && v.number <= entry.session.cookie.version && !state.acked.Load() {
		c.states.ack(state, entry.session.cookie.version)
	}
	s, err := c.newestVersion(state, &entry.session, now)
	if err != nil {
		cache.remove(entry)
		return Session{}, err
	}
	if c.o.IdleTimeout > 0 {
		if lastUsed := state.lastUsed.Load(); absDiff(now.UnixNano(), lastUsed) >= int64(time.Second) {
			state.lastUsed.Store(now.UnixNano())
		}
		s.LastUsed = now
	}
	return s, nil
}

// decryptedCache is what the keys in force have opened. It is looked for before anything
// is opened: what an older key opened gets into nothing newer.
func (c *Cookies) decryptedCache() *decryptCache {
	for {
		cached, keys := c.decrypted.Load(), c.o.Keyring.keys.Load()
		if cached != nil && cached.keys == keys {
			return cached
		}
		if fresh := newDecryptCache(keys); c.decrypted.CompareAndSwap(cached, fresh) {
			return fresh
		}
	}
}

func (c *Cookies) decrypt(name string, p *chunks) (Session, error) {
	text := p.join()
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return Session{}, ErrInvalid
	}
	compressed, key, err := c.aead.open(sealed, name)
	if err != nil {
		return Session{}, err
	}
	version, s, err := c.codec.decode(compressed)
	if err != nil || len(s.ID) > maxID {
		return Session{}, ErrInvalid
	}
	s.cookie = cookieState{version: version, sentVersion: version, sentLastUsed: s.LastUsed, key: key}
	return s, nil
}

// newestVersion gives the latest version of a session, if it is not over.
func (c *Cookies) newestVersion(state *sessionState, s *Session, now time.Time) (Session, error) {
	got := *s
	got.cookie.state = state
	if v := state.newest.Load(); v != nil && v.number > got.cookie.version {
		got = v.session
		got.cookie = s.cookie
		got.cookie.state, got.cookie.version, got.LastUsed = state, v.number, s.LastUsed
	}
	if got.cookie.version <= state.endedVersion.Load() || got.Expired(now) || c.isIdle(state, now) {
		return Session{}, ErrExpired
	}
	return got, nil
}

// isIdle reports whether a session was not used for too long. A use in the future
// was before a clock was set back: it counts from now on, once.
func (c *Cookies) isIdle(state *sessionState, now time.Time) bool {
	if c.o.IdleTimeout == 0 {
		return false
	}
	lastUsed := state.lastUsed.Load()
	if lastUsed > now.Add(maxClockSkew).UnixNano() {
		state.lastUsed.CompareAndSwap(lastUsed, now.UnixNano())
		return false
	}
	return now.UnixNano()-lastUsed > int64(c.o.IdleTimeout)
}

func absDiff(a, b int64) int64 { return max(a-b, b-a) }

// Create is of [Store]. A session that the browser has already is not given to it
// again, by a response that comes late: it would take the place of the new one.
func (c *Cookies) Create(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) (Session, error) {
	compressed, s, err := c.encodeToFit(firstVersion, s)
	if err != nil {
		return Session{}, err
	}
	if err := c.setCookie(w, h, compressed, s.Expires, secure); err != nil {
		return Session{}, err
	}
	if before, err := c.Open(ctx, h, secure); err == nil {
		before.cookie.state.replaced.Store(true)
	}
	return s, nil
}

// firstVersion is the version that a login makes.
const firstVersion = 1

// encodeToFit makes a session small enough for cookies, if need be without the groups that
// the policy does not name.
func (c *Cookies) encodeToFit(version uint64, s Session) ([]byte, Session, error) {
	compressed, err := c.codec.encode(version, s)
	fits := err == nil && c.fits(base64.RawURLEncoding.EncodedLen(aeadOverhead+len(compressed)))
	if fits || err != nil && !errors.Is(err, ErrTooLarge) {
		return compressed, s, err
	}
	if c.o.PolicyNames == nil {
		return nil, s, ErrTooLarge
	}
	reduced := s
	reduced.Principal.Groups = slices.DeleteFunc(slices.Clone(s.Principal.Groups), func(g string) bool { return !c.o.PolicyNames(g) })
	reduced.DroppedGroups += len(s.Principal.Groups) - len(reduced.Principal.Groups)
	if compressed, err = c.codec.encode(version, reduced); err != nil {
		return nil, s, err
	}
	if !c.fits(base64.RawURLEncoding.EncodedLen(aeadOverhead + len(compressed))) {
		return nil, s, ErrTooLarge
	}
	return compressed, reduced, nil
}

var errNoKey = errors.New("there is no session key")

func (c *Cookies) setCookie(w http.ResponseWriter, h http.Header, compressed []byte, expires time.Time, secure bool) error {
	sealed := c.aead.Seal(compressed, c.Name(secure))
	if len(sealed) == 0 {
		return errNoKey
	}
	return c.Write(w, h, base64.RawURLEncoding.EncodeToString(sealed), expires, secure)
}

// cookieWriteInterval keeps responses that go out together from each giving the browser its
// cookie: pieces of two could be mixed.
const cookieWriteInterval = 2 * time.Second

// WriteCookie is of [Store]. It also replaces cookies that are sealed with a key that will
// go.
func (c *Cookies) WriteCookie(w http.ResponseWriter, h http.Header, s Session, secure bool) {
	state := s.cookie.state
	if state == nil || state.replaced.Load() { // begun with this response; or another was
		return
	}
	now := c.o.Now()
	due := c.o.IdleTimeout > 0 && absDiff(now.UnixNano(), s.cookie.sentLastUsed.UnixNano()) >= int64(lastUsedInterval(c.o.IdleTimeout))
	if v := state.newest.Load(); !due && !s.cookie.duplicate && c.aead.isPrimary(s.cookie.key) && (v == nil || v.number <= s.cookie.sentVersion) && s.cookie.version <= s.cookie.sentVersion {
		return
	}
	s, err := c.newestVersion(state, &s, now)
	if err != nil || !state.mayWriteCookie(s.cookie.version, now) {
		return
	}
	s.LastUsed = now
	if compressed, s, err := c.encodeToFit(s.cookie.version, s); err == nil {
		_ = c.setCookie(w, h, compressed, s.Expires, secure) // it goes on from memory
	}
}

func (state *sessionState) mayWriteCookie(version uint64, now time.Time) bool {
	last := state.writtenAt.Load()
	if state.writtenVersion.Load() == version && absDiff(now.UnixNano(), last) < int64(cookieWriteInterval) {
		return false
	}
	if !state.writtenAt.CompareAndSwap(last, now.UnixNano()) {
		return false
	}
	state.writtenVersion.Store(version)
	return true
}

// ClearCookie is of [Store].
func (c *Cookies) ClearCookie(w http.ResponseWriter, h http.Header, secure bool) {
	c.Clear(w, h, secure)
}

// Current is of [Store]. It is no use of the session: a stream that is merely open
// does not keep its session from becoming idle.
func (c *Cookies) Current(s Session) (Session, error) {
	now := c.o.Now()
	state := c.stateOf(&s, now)
	if s.cookie.state != nil && !c.aead.canDecrypt(s.cookie.key) {
		return Session{}, ErrExpired // its cookie does not open any more either
	}
	return c.newestVersion(state, &s, now)
}

// stateOf is for sessions that have opened before, or have just begun.
func (c *Cookies) stateOf(s *Session, now time.Time) *sessionState {
	s.cookie.version = max(s.cookie.version, firstVersion)
	if state := s.cookie.state; state != nil && !state.evicted.Load() {
		return state
	}
	return c.states.get(s, now)
}

// Refresh is of [Store].
func (c *Cookies) Refresh(ctx context.Context, s Session, refresh RefreshFunc) (Session, error) {
	now := c.o.Now()
	s, err := c.newestVersion(c.stateOf(&s, now), &s, now)
	if err != nil {
		return Session{}, err
	}
	got, err := refresh(ctx, s.TokenSet)
	var refused *identity.RefreshRefusedError
	var mismatch *identity.SubjectMismatchError
	switch {
	case err == nil:
		s.DroppedGroups = 0
		return c.storeGrant(s, got)
	case errors.As(err, &mismatch):
		c.states.endVersions(&s, allVersions, now)
		return s, err
	case errors.As(err, &refused):
		c.states.endVersions(&s, s.cookie.version, now)
		return s, err
	}
	var unverified *identity.UnverifiedError
	if errors.As(err, &unverified) { // the groups stay old; the refresh token before this one is used up
		if s, failed := c.storeGrant(s, unverified.Tokens); failed != nil {
			return s, failed
		}
	}
	return s, err
}

// storeGrant keeps what the issuer gave until the browser has it. What is too large
// for cookies lasts as long as it is remembered, and the next login says so.
func (c *Cookies) storeGrant(s Session, g identity.TokenSet) (Session, error) {
	if g.SessionID == "" {
		g.SessionID = s.SessionID
	}
	s.TokenSet = g
	if g.RefreshToken == "" && g.Principal.Expiry.Before(s.Expires) { // as at a login
		s.Expires = g.Principal.Expiry
	}
	found, now := s.cookie, c.o.Now()
	found.version++
	if _, reduced, err := c.encodeToFit(found.version, s); err == nil {
		s = reduced
	}
	s.cookie = cookieState{}
	state, ok := c.states.setVersion(s, found.version, now)
	if !ok {
		return Session{}, ErrExpired
	}
	found.state = state
	s.cookie = found
	return s, nil
}

// RefreshKey is of [Store].
func (c *Cookies) RefreshKey(s Session) string { return s.ID }

// Revoke is of [Store]. It reaches the sessions that have begun by now, in this
// process, and counts those that it knows.
func (c *Cookies) Revoke(_ context.Context, filter Filter) (int, error) {
	now := c.o.Now()
	for _, k := range denyKeysOf(filter, c.states.list(filter)) { // first: nobody comes back meanwhile
		c.denylist.revoke(k, now)
	}
	return c.states.revoke(filter, now), nil
}

// CheckBearer is of [Store]: what this process was told.
func (c *Cookies) CheckBearer(t *identity.Token) error { return c.denylist.check(t) }

// DenyBearer is of [Store].
func (c *Cookies) DenyBearer(_ context.Context, digest [sha256.Size]byte, until time.Time) error {
	if !c.denylist.denyToken(digest, until, c.o.Now()) {
		return ErrTooManyTokens
	}
	return nil
}

// List is of [Store].
func (c *Cookies) List(context.Context, Filter) ([]Session, error) { return nil, ErrNotListable }

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
			c.states.prune(c.o.Now())
			c.denylist.prune(c.o.Now())
		}
	}
}
