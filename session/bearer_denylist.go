package session

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/identity"
)

// Why a bearer token is refused although its issuer made it for authgate.
var (
	// ErrLoginToken is for a token that a browser login or its refresh obtained, and that
	// does not say so itself ([identity.TokenSet].IDTokenMarked).
	ErrLoginToken = errors.New("a browser login or its refresh obtained the token")
	// ErrTokenRevoked is for a token issued before its user's sessions were revoked.
	ErrTokenRevoked = errors.New("the sessions of the token's user were revoked after it was issued")
	// ErrTooManyTokens is for a token that does not fit into the denylist.
	ErrTooManyTokens = errors.New("the list of login tokens is full")
)

const (
	// RevocationTTL is how long a revocation applies to bearer tokens.
	RevocationTTL = 30 * 24 * time.Hour

	// MaxDenyKeys bounds the revocations, and the denied tokens.
	MaxDenyKeys = 1 << 16
)

// DenyKey names a user, an e-mail address, a session of the issuer, or a token.
type DenyKey [sha256.Size]byte

func (k DenyKey) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

func denyKeyOf(kind string, parts ...string) DenyKey {
	return sha256.Sum256([]byte(kind + "\x00" + strings.Join(parts, "\x00"))) // no part holds a NUL
}

// AllUsers is the tag of a revocation of all sessions.
var AllUsers DenyKey

// The keys of revocations. Not every issuer says in a token to which of its sessions it
// belongs: such a token may belong to any.
func userDenyKey(issuer, subject string) DenyKey { return denyKeyOf("user", issuer, subject) }

func emailDenyKey(email string) DenyKey               { return denyKeyOf("email", strings.ToLower(email)) }
func issuerSessionDenyKey(issuer, sid string) DenyKey { return denyKeyOf("sid", issuer, sid) }
func anySessionDenyKey(issuer, subject string) DenyKey {
	return denyKeyOf("any sid", issuer, subject)
}

// DenyKeys gives the keys of a revocation: of whole users, or of one session of the issuer.
// One session of authgate has none, because a token belongs to another login.
func DenyKeys(filter Filter, found []Session) []DenyKey {
	switch {
	case filter.ID != "":
		return nil
	case filter == (Filter{All: true}):
		return []DenyKey{AllUsers}
	case filter.IssuerSession != "":
		tags := []DenyKey{issuerSessionDenyKey(filter.Issuer, filter.IssuerSession)}
		if filter.Subject != "" {
			return append(tags, anySessionDenyKey(filter.Issuer, filter.Subject))
		}
		for _, s := range found {
			tags = append(tags, anySessionDenyKey(s.Principal.Issuer, s.Principal.Subject))
		}
		return tags
	case filter.Issuer != "" && filter.Subject != "":
		return []DenyKey{userDenyKey(filter.Issuer, filter.Subject)}
	case filter.Email != "":
		tags := []DenyKey{emailDenyKey(filter.Email)}
		for _, s := range found { // their tokens may lack the address
			tags = append(tags, userDenyKey(s.Principal.Issuer, s.Principal.Subject))
		}
		return tags
	default:
		return nil
	}
}

// BearerDenylist is what a store knows about bearer tokens. It is safe for concurrent use;
// Check takes no lock.
type BearerDenylist struct {
	revokedUpTo atomic.Int64 // tokens issued up to then are refused, Unix nanoseconds
	revoked     denySet      // by time of revocation
	loginTokens denySet      // by expiry
}

// denySet is a set of keys with a time each, in Unix nanoseconds. It is not a cache.Replay:
// requests read it without a lock, and what it forgets early must deny more, not less.
type denySet struct {
	times sync.Map // DenyKey → int64
	count atomic.Int64
	write sync.Mutex
}

func (m *denySet) get(k DenyKey) (int64, bool) {
	if m.count.Load() == 0 {
		return 0, false
	}
	at, ok := m.times.Load(k)
	if !ok {
		return 0, false
	}
	return at.(int64), true //nolint:forcetypeassert // nothing else is put in
}

// full reports whether there is no room for another key.
func (m *denySet) full() bool { return m.count.Load() >= MaxDenyKeys }

// put keeps the later of two times.
func (m *denySet) put(k DenyKey, at int64) {
	m.write.Lock()
	defer m.write.Unlock()
	if prev, ok := m.get(k); ok && prev >= at {
		return
	} else if !ok {
		m.count.Add(1)
	}
	m.times.Store(k, at)
}

// removeUpTo removes the keys up to a time, and gives the latest time of them.
func (m *denySet) removeUpTo(notAfter int64) (latest int64) {
	m.write.Lock()
	defer m.write.Unlock()
	m.times.Range(func(k, v any) bool {
		if at := v.(int64); at <= notAfter { //nolint:forcetypeassert // nothing else is put in
			latest = max(latest, at)
			m.times.Delete(k)
			m.count.Add(-1)
		}
		return true
	})
	return latest
}

// medianTime is about the median: that of a sample.
func (m *denySet) medianTime() int64 {
	var some []int64
	m.times.Range(func(_, v any) bool {
		some = append(some, v.(int64)) //nolint:forcetypeassert // nothing else is put in
		return len(some) < 1<<10
	})
	slices.Sort(some)
	return some[len(some)/2]
}

// Revoke records that the sessions of users were revoked. If there is no room, tokens as old
// as the forgotten revocations are refused, of every user.
func (b *BearerDenylist) Revoke(k DenyKey, at time.Time) {
	if k == AllUsers {
		RaiseTime(&b.revokedUpTo, at.UnixNano())
		return
	}
	b.revoked.put(k, at.UnixNano())
	if b.revoked.count.Load() > MaxDenyKeys {
		RaiseTime(&b.revokedUpTo, b.revoked.removeUpTo(b.revoked.medianTime()))
	}
}

// DenyToken records that an upstream will see a token. It reports whether there was room.
func (b *BearerDenylist) DenyToken(k DenyKey, until, now time.Time) bool {
	if b.loginTokens.full() {
		if b.loginTokens.removeUpTo(now.UnixNano()); b.loginTokens.full() {
			return false
		}
	}
	b.loginTokens.put(k, until.UnixNano())
	return true
}

// DeniedUntil gives until when a token is denied.
func (b *BearerDenylist) DeniedUntil(k DenyKey) (until time.Time, denied bool) {
	at, denied := b.loginTokens.get(k)
	return time.Unix(0, at), denied
}

// Full reports whether there is no room for another token after expired ones are removed.
func (b *BearerDenylist) Full(now time.Time) bool {
	if b.loginTokens.full() {
		b.Prune(now)
	}
	return b.loginTokens.full()
}

// Check is nil for a token that may authenticate a request: ErrLoginToken, ErrTokenRevoked.
func (b *BearerDenylist) Check(t *identity.Token) error {
	if _, denied := b.loginTokens.get(t.Digest); denied {
		return ErrLoginToken
	}
	issued := t.IssuedAt.UnixNano() // of whole seconds: in doubt before the revocation
	if revokedUpTo := b.revokedUpTo.Load(); revokedUpTo != 0 && issued <= revokedUpTo {
		return ErrTokenRevoked
	}
	if b.revoked.count.Load() == 0 {
		return nil
	}
	tags := [...]DenyKey{
		userDenyKey(t.Issuer, t.Subject), emailDenyKey(t.Email), anySessionDenyKey(t.Issuer, t.Subject),
	}
	if t.SessionID != "" {
		tags[2] = issuerSessionDenyKey(t.Issuer, t.SessionID)
	}
	for _, k := range tags {
		if at, ok := b.revoked.get(k); ok && issued <= at {
			return ErrTokenRevoked
		}
	}
	return nil
}

// Prune removes what has expired.
func (b *BearerDenylist) Prune(now time.Time) {
	b.revoked.removeUpTo(now.Add(-RevocationTTL).UnixNano())
	b.loginTokens.removeUpTo(now.UnixNano())
}
