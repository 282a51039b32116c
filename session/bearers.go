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
	// ErrRevoked is for a token issued before its user's sessions were revoked.
	ErrRevoked = errors.New("the sessions of the token's user were revoked after it was issued")
	// ErrTooManyTokens is for a token that there is no room to remember.
	ErrTooManyTokens = errors.New("as many tokens of logins are remembered as may be")
)

const (
	// revokedFor is how long a revocation counts for bearer tokens.
	revokedFor = 30 * 24 * time.Hour

	// mostTags bounds the revocations and the tokens that are remembered, each.
	mostTags = 1 << 16
)

// tag names a user, an e-mail address, a session of the issuer, or a token.
type tag [sha256.Size]byte

func tagOf(kind string, parts ...string) tag {
	return sha256.Sum256([]byte(kind + "\x00" + strings.Join(parts, "\x00"))) // no part holds a NUL
}

// everyone is the tag of a revocation of all sessions.
var everyone tag

// What revocations are found by. Not every issuer says in a token to which of its
// sessions it belongs: such a token may belong to any.
func ofUser(issuer, subject string) tag      { return tagOf("user", issuer, subject) }
func ofEmail(email string) tag               { return tagOf("email", strings.ToLower(email)) }
func ofIssuerSession(issuer, sid string) tag { return tagOf("sid", issuer, sid) }
func ofAnySession(issuer, subject string) tag {
	return tagOf("any sid", issuer, subject)
}

// tagsOf are what a revocation concerns: users whole, or one session of the
// issuer. One session of authgate is none: a token is another login than that.
func tagsOf(which Which, found []Session) []tag {
	switch {
	case which.ID != "":
		return nil
	case which == (Which{All: true}):
		return []tag{everyone}
	case which.IssuerSession != "":
		tags := []tag{ofIssuerSession(which.Issuer, which.IssuerSession)}
		if which.Subject != "" {
			return append(tags, ofAnySession(which.Issuer, which.Subject))
		}
		for _, s := range found {
			tags = append(tags, ofAnySession(s.Principal.Issuer, s.Principal.Subject))
		}
		return tags
	case which.Issuer != "" && which.Subject != "":
		return []tag{ofUser(which.Issuer, which.Subject)}
	case which.Email != "":
		tags := []tag{ofEmail(which.Email)}
		for _, s := range found { // their tokens may not name the address
			tags = append(tags, ofUser(s.Principal.Issuer, s.Principal.Subject))
		}
		return tags
	default:
		return nil
	}
}

// bearers is what a store knows of bearer tokens. It is safe for concurrent use;
// who asks takes no lock.
type bearers struct {
	all     atomic.Int64 // tokens issued up to then are refused, Unix nanoseconds
	revoked tags         // → when
	tokens  tags         // → until when it could be used
}

// tags are tags with a time each, in Unix nanoseconds.
type tags struct {
	at    sync.Map // tag → int64
	count atomic.Int64
	write sync.Mutex
}

func (m *tags) find(k tag) (int64, bool) {
	if m.count.Load() == 0 {
		return 0, false
	}
	at, ok := m.at.Load(k)
	if !ok {
		return 0, false
	}
	return at.(int64), true //nolint:forcetypeassert // nothing else is put in
}

// put keeps the later of two times.
func (m *tags) put(k tag, at int64) {
	m.write.Lock()
	defer m.write.Unlock()
	if was, ok := m.find(k); ok && was >= at {
		return
	} else if !ok {
		m.count.Add(1)
	}
	m.at.Store(k, at)
}

// drop forgets what is not after a time, and gives the latest of it.
func (m *tags) drop(notAfter int64) (latest int64) {
	m.write.Lock()
	defer m.write.Unlock()
	m.at.Range(func(k, v any) bool {
		if at := v.(int64); at <= notAfter { //nolint:forcetypeassert // nothing else is put in
			latest = max(latest, at)
			m.at.Delete(k)
			m.count.Add(-1)
		}
		return true
	})
	return latest
}

// middle is about the median of the times: that of some of them.
func (m *tags) middle() int64 {
	var some []int64
	m.at.Range(func(_, v any) bool {
		some = append(some, v.(int64)) //nolint:forcetypeassert // nothing else is put in
		return len(some) < 1<<10
	})
	slices.Sort(some)
	return some[len(some)/2]
}

// revoke notes that the sessions of users were revoked. Where there is no room,
// tokens as old as what is forgotten are refused, whoever's they are.
func (b *bearers) revoke(k tag, at time.Time) {
	if k == everyone {
		later(&b.all, at.UnixNano())
		return
	}
	b.revoked.put(k, at.UnixNano())
	if b.revoked.count.Load() > mostTags {
		later(&b.all, b.revoked.drop(b.revoked.middle()))
	}
}

// remember notes that an upstream will see a token. It reports whether there was
// room.
func (b *bearers) remember(k tag, until, now time.Time) bool {
	if b.tokens.count.Load() >= mostTags {
		if b.tokens.drop(now.UnixNano()); b.tokens.count.Load() >= mostTags {
			return false
		}
	}
	b.tokens.put(k, until.UnixNano())
	return true
}

// check is nil for a token that may say who asks: ErrLoginToken, ErrRevoked.
func (b *bearers) check(t *identity.Token) error {
	if _, ours := b.tokens.find(t.Digest); ours {
		return ErrLoginToken
	}
	issued := t.Issued.UnixNano() // of whole seconds: in doubt it was before
	if all := b.all.Load(); all != 0 && issued <= all {
		return ErrRevoked
	}
	if b.revoked.count.Load() == 0 {
		return nil
	}
	tags := [...]tag{
		ofUser(t.Issuer, t.Subject), ofEmail(t.Email), ofAnySession(t.Issuer, t.Subject),
	}
	if t.Session != "" {
		tags[2] = ofIssuerSession(t.Issuer, t.Session)
	}
	for _, k := range tags {
		if at, ok := b.revoked.find(k); ok && issued <= at {
			return ErrRevoked
		}
	}
	return nil
}

// prune forgets what does not matter any more.
func (b *bearers) prune(now time.Time) {
	b.revoked.drop(now.Add(-revokedFor).UnixNano())
	b.tokens.drop(now.UnixNano())
}
