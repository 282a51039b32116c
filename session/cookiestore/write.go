package cookiestore

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/seal"
)

// Create implements [session.Store]. It marks the session that the browser has as replaced:
// a late response must not write its cookie over the new one.
func (c *Store) Create(
	ctx context.Context, w http.ResponseWriter, h http.Header, s session.Session, secure bool,
) (session.Session, error) {
	compressed, s, err := c.encodeToFit(firstVersion, s)
	if err != nil {
		return session.Session{}, err
	}
	if err := c.setCookie(w, h, compressed, s.Expires, secure); err != nil {
		return session.Session{}, err
	}
	if before, err := c.Open(ctx, h, secure); err == nil {
		localState(&before).replaced.Store(true)
	}
	return s, nil
}

// firstVersion is the version of a login.
const firstVersion = 1

// encodeToFit makes a session small enough for cookies, if necessary without the groups that
// the policy does not name.
func (c *Store) encodeToFit(version uint64, s session.Session) ([]byte, session.Session, error) {
	compressed, err := c.codec.encode(version, s)
	fits := err == nil && c.Fits(base64.RawURLEncoding.EncodedLen(seal.Overhead+len(compressed)))
	if fits || err != nil && !errors.Is(err, session.ErrTooLarge) {
		return compressed, s, err
	}
	if c.o.PolicyNames == nil {
		return nil, s, session.ErrTooLarge
	}
	reduced := s
	reduced.Principal.Groups = slices.DeleteFunc(slices.Clone(s.Principal.Groups), func(g string) bool {
		return !c.o.PolicyNames(g)
	})
	reduced.DroppedGroups += len(s.Principal.Groups) - len(reduced.Principal.Groups)
	if compressed, err = c.codec.encode(version, reduced); err != nil {
		return nil, s, err
	}
	if !c.Fits(base64.RawURLEncoding.EncodedLen(seal.Overhead + len(compressed))) {
		return nil, s, session.ErrTooLarge
	}
	return compressed, reduced, nil
}

var errNoKey = errors.New("there is no session key")

func (c *Store) setCookie(
	w http.ResponseWriter, h http.Header, compressed []byte, expires time.Time, secure bool,
) error {
	sealed := c.aead.Seal(compressed, c.Name(secure))
	if len(sealed) == 0 {
		return errNoKey
	}
	return c.Write(w, h, base64.RawURLEncoding.EncodeToString(sealed), expires, secure)
}

// cookieWriteInterval keeps concurrent responses from each writing the cookie: the browser
// could mix their chunks.
const cookieWriteInterval = 2 * time.Second

// WriteCookie implements [session.Store]. It also replaces cookies that were encrypted with
// an older key.
func (c *Store) WriteCookie(w http.ResponseWriter, h http.Header, s session.Session, secure bool) {
	state := localState(&s)
	if state == nil || state.replaced.Load() { // created with this response, or replaced
		return
	}
	now := c.o.Now()
	unsent := absDiff(now.UnixNano(), s.Cookie.SentLastUsed.UnixNano())
	due := c.o.IdleTimeout > 0 && unsent >= int64(session.LastUsedInterval(c.o.IdleTimeout))
	v := state.newest.Load()
	newest := (v == nil || v.number <= s.Cookie.SentVersion) && s.Cookie.Version <= s.Cookie.SentVersion
	if newest && !due && !s.Cookie.Duplicate && c.aead.IsPrimary(s.Cookie.Key) {
		return
	}
	s, err := c.newestVersion(state, &s, now)
	if err != nil || !state.mayWriteCookie(s.Cookie.Version, now) {
		return
	}
	s.LastUsed = now
	if compressed, s, err := c.encodeToFit(s.Cookie.Version, s); err == nil {
		_ = c.setCookie(w, h, compressed, s.Expires, secure) // the session continues in memory
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

// ClearCookie implements [session.Store].
func (c *Store) ClearCookie(w http.ResponseWriter, h http.Header, secure bool) {
	c.Clear(w, h, secure)
}
