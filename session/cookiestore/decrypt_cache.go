package cookiestore

import (
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/example-org/authgate/cache"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/seal"
)

// What a process remembers of cookies: more than 10,000 users with 20 groups. A session that it
// does not remember is decrypted again, which costs some 30 µs.
const (
	decryptCacheSlots    = 1 << 16
	maxDecryptCacheBytes = 48 << 20 // a fifth of the memory that the chart gives a pod
)

// decryptCache remembers the sessions of authentic cookies, so that the hundredth request of
// a browser costs no cryptography. Only decrypted cookies get in: a client without a
// session can neither grow it nor evict others.
//
// It belongs to one set of session keys. When they change, all that they decrypted goes.
type decryptCache struct {
	keys    *seal.Keys
	entries *cache.Clock[cookieKey, *decrypted]
}

type decryptEntry = cache.Entry[cookieKey, *decrypted]

// cookieKey is a session cookie, whole: with a hash alone one user could pass for another.
type cookieKey struct {
	name   string
	chunks cookie.Chunks
}

type decrypted struct {
	session session.Session
	state   atomic.Pointer[sessionState]
}

func newDecryptCache(keys *seal.Keys) *decryptCache {
	return &decryptCache{keys, cache.NewClock[cookieKey, *decrypted](decryptCacheSlots, maxDecryptCacheBytes)}
}

// noncePrefix is the beginning of a cookie, which holds a random nonce. Two cookies share
// it only by design, and then only one of them can be authentic.
func noncePrefix(p *cookie.Chunks) string { return p[0][:min(len(p[0]), 64)] }

func (d *decryptCache) get(name string, p *cookie.Chunks) *decryptEntry {
	return d.entries.Get(noncePrefix(p), cookieKey{name, *p})
}

// put copies the strings: they are parts of the whole header of a request.
func (d *decryptCache) put(name string, p *cookie.Chunks, s session.Session, state *sessionState) *decryptEntry {
	key, value := cookieKey{name: strings.Clone(name)}, &decrypted{session: s}
	bytes := int(unsafe.Sizeof(decryptEntry{})+unsafe.Sizeof(*value)-unsafe.Sizeof(s)) + len(name)
	for i := range p {
		key.chunks[i] = strings.Clone(p[i])
		bytes += len(p[i])
	}
	value.state.Store(state)
	return d.entries.Put(noncePrefix(p), key, value, int64(bytes)+memorySize(&s))
}

// memorySize is about how much memory a session holds.
func memorySize(s *session.Session) int64 {
	const slot = 16 // what the allocator rounds a string up by, about
	p := &s.Principal
	size := int(unsafe.Sizeof(*s)) + len(s.ID) +
		len(s.RefreshToken) + len(s.IDToken) + len(s.AccessToken) + len(s.SessionID) +
		len(p.Issuer) + len(p.Subject) + len(p.Email) + len(p.Name) + len(p.Username)
	for _, group := range p.Groups {
		size += int(unsafe.Sizeof(group)) + len(group) + slot
	}
	return int64(size)
}
