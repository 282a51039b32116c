// Package cookiestore keeps sessions in the browser, in encrypted cookies.
package cookiestore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/seal"
)

// Store keeps sessions in the browser. It is safe for concurrent use.
//
// The browser's cookie may be older than the session: groups are refreshed in the
// background, and the issuer accepts a refresh token once. So the store remembers the newest
// version until the browser has it, and longer while there is room. It also remembers which
// sessions have ended, because a copied cookie would be valid until it expires. Only this
// process knows that: several replicas need session/redisstore.
type Store struct {
	*cookie.Chunked

	o         Options
	aead      *seal.AEAD
	codec     codec
	states    *sessionStates
	decrypted atomic.Pointer[decryptCache]

	denylist session.BearerDenylist
}

// Options say how sessions are kept in the browser.
type Options struct {
	Cookie  *cookie.Chunked
	Keyring *seal.Keyring

	IdleTimeout time.Duration // 0: none

	// PolicyNames reports whether the policy names a group. If a session is too large, only
	// those groups are kept. Nil: all are.
	PolicyNames func(group string) bool

	Now func() time.Time // nil: time.Now
}

// maxID bounds the ID of a session.
const maxID = 64

var _ session.Store = (*Store)(nil)

// New keeps sessions in the cookies of o.Cookie.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{Chunked: o.Cookie, o: o, aead: o.Keyring.AEAD("session cookie"), states: newSessionStates()}
}

// Open implements [session.Store]. Requests share what the Session points to: callers must
// not write to its groups.
func (c *Store) Open(_ context.Context, h http.Header, secure bool) (session.Session, error) {
	p, err := c.ReadChunks(h, secure)
	if errors.Is(err, session.ErrAmbiguous) {
		return c.resolveDuplicates(h, secure)
	}
	if err != nil {
		return session.Session{}, err
	}
	now, name, opened := c.o.Now(), c.Name(secure), c.decryptedCache()
	entry := opened.get(name, &p)
	if entry == nil {
		s, err := c.decrypt(name, &p)
		if err != nil {
			return session.Session{}, err
		}
		if s.Expired(now) {
			return session.Session{}, session.ErrExpired
		}
		entry = opened.put(name, &p, s, c.states.get(&s, now))
	}
	state := entry.Value.state.Load()
	if state.evicted.Load() {
		state = c.states.get(&entry.Value.session, now)
		entry.Value.state.Store(state)
	}
	if v := state.newest.Load(); v != nil && v.number <= entry.Value.session.Cookie.Version && !state.acked.Load() {
		c.states.ack(state, entry.Value.session.Cookie.Version)
	}
	s, err := c.newestVersion(state, &entry.Value.session, now)
	if err != nil {
		opened.entries.Remove(entry)
		return session.Session{}, err
	}
	if c.o.IdleTimeout > 0 {
		if lastUsed := state.lastUsed.Load(); absDiff(now.UnixNano(), lastUsed) >= int64(time.Second) {
			state.lastUsed.Store(now.UnixNano())
		}
		s.LastUsed = now
	}
	return s, nil
}

// resolveDuplicates is Open for a browser with several cookies of one name.
func (c *Store) resolveDuplicates(h http.Header, secure bool) (session.Session, error) {
	sets, err := c.Candidates(h, secure)
	if err != nil {
		return session.Session{}, err
	}
	name := c.Name(secure)
	s, _, err := session.PickLatest(sets, func(p *cookie.Chunks) (session.Session, bool, error) {
		s, err := c.decrypt(name, p)
		return s, err == nil, nil
	})
	if err != nil {
		return session.Session{}, err
	}
	now := c.o.Now()
	if s.Expired(now) {
		return session.Session{}, session.ErrExpired
	}
	s.Cookie.Duplicate = true
	return c.newestVersion(c.states.get(&s, now), &s, now)
}

// decryptedCache is the cache for the current keys. It is looked up before decryption, so
// that what an older key decrypted never gets into a newer cache.
func (c *Store) decryptedCache() *decryptCache {
	for {
		cached, keys := c.decrypted.Load(), c.o.Keyring.Current()
		if cached != nil && cached.keys == keys {
			return cached
		}
		if fresh := newDecryptCache(keys); c.decrypted.CompareAndSwap(cached, fresh) {
			return fresh
		}
	}
}

func (c *Store) decrypt(name string, p *cookie.Chunks) (session.Session, error) {
	text := p.Value()
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return session.Session{}, session.ErrInvalid
	}
	compressed, key, err := c.aead.OpenWithKey(sealed, name)
	if err != nil {
		return session.Session{}, err
	}
	version, s, err := c.codec.decode(compressed)
	if err != nil || len(s.ID) > maxID {
		return session.Session{}, session.ErrInvalid
	}
	s.Cookie = session.CookieState{Version: version, SentVersion: version, SentLastUsed: s.LastUsed, Key: key}
	return s, nil
}

// newestVersion gives the latest version of a session, unless it has ended.
func (c *Store) newestVersion(state *sessionState, s *session.Session, now time.Time) (session.Session, error) {
	got := *s
	got.Cookie.Local = state
	if v := state.newest.Load(); v != nil && v.number > got.Cookie.Version {
		got = v.session
		got.Cookie = s.Cookie
		got.Cookie.Local, got.Cookie.Version, got.LastUsed = state, v.number, s.LastUsed
	}
	if got.Cookie.Version <= state.endedVersion.Load() || got.Expired(now) || c.isIdle(state, now) {
		return session.Session{}, session.ErrExpired
	}
	return got, nil
}

// isIdle reports whether a session was not used for too long. A use in the future was
// recorded before a clock was set back: it counts from now on, once.
func (c *Store) isIdle(state *sessionState, now time.Time) bool {
	if c.o.IdleTimeout == 0 {
		return false
	}
	lastUsed := state.lastUsed.Load()
	if lastUsed > now.Add(session.MaxClockSkew).UnixNano() {
		state.lastUsed.CompareAndSwap(lastUsed, now.UnixNano())
		return false
	}
	return now.UnixNano()-lastUsed > int64(c.o.IdleTimeout)
}

func absDiff(a, b int64) int64 { return max(a-b, b-a) }

// Current implements [session.Store]. It is not a use of the session: an open stream does
// not keep its session from becoming idle.
func (c *Store) Current(s session.Session) (session.Session, error) {
	now := c.o.Now()
	state := c.stateOf(&s, now)
	if s.Cookie.Local != nil && !c.aead.CanDecrypt(s.Cookie.Key) {
		return session.Session{}, session.ErrExpired // its cookie does not decrypt any more either
	}
	return c.newestVersion(state, &s, now)
}

// stateOf is for valid sessions.
func (c *Store) stateOf(s *session.Session, now time.Time) *sessionState {
	s.Cookie.Version = max(s.Cookie.Version, firstVersion)
	if state := localState(s); state != nil && !state.evicted.Load() {
		return state
	}
	return c.states.get(s, now)
}

// RefreshKey implements [session.Store].
func (c *Store) RefreshKey(s session.Session) string { return s.ID }

// Revoke implements [session.Store]. It ends sessions that were created before, in this
// process, and counts those that it knows.
func (c *Store) Revoke(_ context.Context, filter session.Filter) (int, error) {
	now := c.o.Now()
	for _, k := range session.DenyKeys(filter, c.states.list(filter)) { // first, so that no token passes meanwhile
		c.denylist.Revoke(k, now)
	}
	return c.states.revoke(filter, now), nil
}

// CheckBearer implements [session.Store] with what this process knows.
func (c *Store) CheckBearer(t *identity.Token) error { return c.denylist.Check(t) }

// DenyBearer implements [session.Store].
func (c *Store) DenyBearer(_ context.Context, digest [sha256.Size]byte, until time.Time) error {
	if !c.denylist.DenyToken(digest, until, c.o.Now()) {
		return session.ErrTooManyTokens
	}
	return nil
}

// List implements [session.Store].
func (c *Store) List(context.Context, session.Filter) ([]session.Session, error) {
	return nil, session.ErrNotListable
}

// Down implements [session.Store].
func (c *Store) Down() error { return nil }

// Run implements [session.Store]: it forgets what has expired.
func (c *Store) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.states.prune(c.o.Now())
			c.denylist.Prune(c.o.Now())
		}
	}
}
