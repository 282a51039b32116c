package session

import (
	"crypto/sha256"
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
	// ErrLoginToken is for a token that a browser login or its refresh obtained, and
	// that does not say so itself ([identity.Grant].IDMarked).
	ErrLoginToken = errors.New("a browser login or its refresh obtained the token")
	// ErrTokenRevoked is for a token issued before its user's sessions were revoked.
	ErrTokenRevoked = errors.New("the sessions of the token's user were revoked after it was issued")
	// ErrTooManyTokens is for a token that there is no room to remember.
	ErrTooManyTokens = errors.New("as many tokens of logins are remembered as may be")
)

const (
	// revocationTTL is how long a revocation counts for bearer tokens.
	revocationTTL = 30 * 24 * time.Hour

	// maxDenyKeys bounds the revocations and the tokens that are remembered, each.
	maxDenyKeys = 1 << 16
)

// denyKey names a user, an e-mail address, a session of the issuer, or a token.
type denyKey [sha256.Size]byte

func denyKeyOf(kind string, parts ...string) denyKey {
	return sha256.Sum256([]byte(kind + "\x00" + strings.Join(parts, "\x00"))) // no part holds a NUL
}

// allUsers is the tag of a revocation of all sessions.
var allUsers denyKey

// What revocations are found by. Not every issuer says in a token to which of its
// sessions it belongs: such a token may belong to any.
func userDenyKey(issuer, subject string) denyKey { return denyKeyOf("user", issuer, subject) }

func emailDenyKey(email string) denyKey               { return denyKeyOf("email", strings.ToLower(email)) }
func issuerSessionDenyKey(issuer, sid string) denyKey { return denyKeyOf("sid", issuer, sid) }
func anySessionDenyKey(issuer, subject string) denyKey {
	return denyKeyOf("any sid", issuer, subject)
}

// denyKeysOf are what a revocation concerns: users whole, or one session of the
// issuer. One session of authgate is none: a token is another login than that.
func denyKeysOf(filter Filter, found []Session) []denyKey {
	switch {
	case filter.ID != "":
		return nil
	case filter == (Filter{All: true}):
		return []denyKey{allUsers}
	case filter.IssuerSession != "":
		tags := []denyKey{issuerSessionDenyKey(filter.Issuer, filter.IssuerSession)}
		if filter.Subject != "" {
			return append(tags, anySessionDenyKey(filter.Issuer, filter.Subject))
		}
		for _, s := range found {
			tags = append(tags, anySessionDenyKey(s.Principal.Issuer, s.Principal.Subject))
		}
		return tags
	case filter.Issuer != "" && filter.Subject != "":
		return []denyKey{userDenyKey(filter.Issuer, filter.Subject)}
	case filter.Email != "":
		tags := []denyKey{emailDenyKey(filter.Email)}
		for _, s := range found { // their tokens may not name the address
			tags = append(tags, userDenyKey(s.Principal.Issuer, s.Principal.Subject))
		}
		return tags
	default:
		return nil
	}
}

// bearerDenylist is what a store knows of bearer tokens. It is safe for concurrent use;
// who asks takes no lock.
type bearerDenylist struct {
	revokedUpTo atomic.Int64 // tokens issued up to then are refused, Unix nanoseconds
	revoked     denySet      // → when
	loginTokens denySet      // → until when it could be used
}

// denySet are tags with a time each, in Unix nanoseconds.
type denySet struct {
	times sync.Map // tag → int64
	count atomic.Int64
	write sync.Mutex
}

func (m *denySet) get(k denyKey) (int64, bool) {
	if m.count.Load() == 0 {
		return 0, false
	}
	at, ok := m.times.Load(k)
	if !ok {
		return 0, false
	}
	return at.(int64), true //nolint:forcetypeassert // nothing else is put in
}

// put keeps the later of two times.
func (m *denySet) put(k denyKey, at int64) {
	m.write.Lock()
	defer m.write.Unlock()
	if prev, ok := m.get(k); ok && prev >= at {
		return
	} else if !ok {
		m.count.Add(1)
	}
	m.times.Store(k, at)
}

// removeUpTo forgets what is not after a time, and gives the latest of it.
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

// medianTime is about the median of the times: that of some of them.
func (m *denySet) medianTime() int64 {
	var some []int64
	m.times.Range(func(_, v any) bool {
		some = append(some, v.(int64)) //nolint:forcetypeassert // nothing else is put in
		return len(some) < 1<<10
	})
	slices.Sort(some)
	return some[len(some)/2]
}

// revoke notes that the sessions of users were revoked. Where there is no room,
// tokens as old as what is forgotten are refused, whoever's they are.
func (b *bearerDenylist) revoke(k denyKey, at time.Time) {
	if k == allUsers {
		atomicMax(&b.revokedUpTo, at.UnixNano())
		return
	}
	b.revoked.put(k, at.UnixNano())
	if b.revoked.count.Load() > maxDenyKeys {
		atomicMax(&b.revokedUpTo, b.revoked.removeUpTo(b.revoked.medianTime()))
	}
}

// denyToken notes that an upstream will see a token. It reports whether there was
// room.
func (b *bearerDenylist) denyToken(k denyKey, until, now time.Time) bool {
	if b.loginTokens.count.Load() >= maxDenyKeys {
		if b.loginTokens.removeUpTo(now.UnixNano()); b.loginTokens.count.Load() >= maxDenyKeys {
			return false
		}
	}
	b.loginTokens.put(k, until.UnixNano())
	return true
}

// check is nil for a token that may say who asks: ErrLoginToken, ErrTokenRevoked.
func (b *bearerDenylist) check(t *identity.Token) error {
	if _, denied := b.loginTokens.get(t.Digest); denied {
		return ErrLoginToken
	}
	issued := t.IssuedAt.UnixNano() // of whole seconds: in doubt it was before
	if revokedUpTo := b.revokedUpTo.Load(); revokedUpTo != 0 && issued <= revokedUpTo {
		return ErrTokenRevoked
	}
	if b.revoked.count.Load() == 0 {
		return nil
	}
	tags := [...]denyKey{
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

// prune forgets what does not matter any more.
func (b *bearerDenylist) prune(now time.Time) {
	b.revoked.removeUpTo(now.Add(-revocationTTL).UnixNano())
	b.loginTokens.removeUpTo(now.UnixNano())
}
