package cookiestore

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/seal"
)

// What a process remembers of cookies: about 4,000 people with 20 groups. Beyond
// it sessions are opened anew, which costs some 30 µs.
const (
	decryptCacheSlots    = 8192
	decryptCacheWays     = 4        // places where one cookie may stand
	maxDecryptCacheBytes = 16 << 20 // a quarter of the memory that a small pod has
)

// decryptCache remembers the sessions of cookies that were authentic, so that a browser's
// hundredth request costs no cryptography. Only what opened gets in: whoever is
// not signed in cannot grow it or push others out.
//
// It is for the keys of one moment: when they change, all that they opened goes
// with it. Reads take no lock and wait for nobody.
type decryptCache struct {
	keys      *seal.Keys
	seed      maphash.Seed // of this process: nobody can aim at a slot
	slots     [decryptCacheSlots]atomic.Pointer[decryptEntry]
	bytes     atomic.Int64
	clockHand atomic.Uint64 // where the next slot is freed
}

// decryptEntry is what one browser's cookies held. The whole of them is compared: a hash
// alone would let one person be taken for another.
type decryptEntry struct {
	hash       uint64
	name       string
	chunks     cookie.Chunks
	session    session.Session
	state      atomic.Pointer[sessionState]
	size       int64
	referenced atomic.Bool // since the hand came by
}

func newDecryptCache(keys *seal.Keys) *decryptCache {
	return &decryptCache{keys: keys, seed: maphash.MakeSeed()}
}

// hash is of the beginning, which holds a random nonce: no two cookies share it
// but by design, and then only one of them can have opened.
func (s *decryptCache) hash(p *cookie.Chunks) uint64 {
	const prefixLen = 64
	return maphash.String(s.seed, p[0][:min(len(p[0]), prefixLen)])
}

// get gives what cookies opened as before; nil: not remembered. The hash is
// looked at first, so that the time of a miss tells those who do not know the
// nonce nothing of a value that would have opened.
func (s *decryptCache) get(name string, p *cookie.Chunks) *decryptEntry {
	hash := s.hash(p)
	set := s.bucket(hash)
	for i := range set {
		if entry := set[i].Load(); entry != nil && entry.hash == hash && entry.chunks == *p && entry.name == name {
			if !entry.referenced.Load() {
				entry.referenced.Store(true)
			}
			return entry
		}
	}
	return nil
}

// put keeps what cookies opened as. The strings are copied: they are parts of
// a request's whole header.
func (s *decryptCache) put(name string, p *cookie.Chunks, session session.Session, state *sessionState) *decryptEntry {
	entry := &decryptEntry{hash: s.hash(p), name: strings.Clone(name), session: session}
	for i := range p {
		entry.chunks[i] = strings.Clone(p[i])
	}
	entry.state.Store(state)
	entry.size = entry.memorySize()
	s.addBytes(entry, s.victim(s.bucket(entry.hash)).Swap(entry))
	for range decryptCacheSlots {
		if s.bytes.Load() <= maxDecryptCacheBytes {
			break
		}
		s.sweepSlot(&s.slots[s.clockHand.Add(1)%decryptCacheSlots])
	}
	return entry
}

func (s *decryptCache) bucket(hash uint64) []atomic.Pointer[decryptEntry] {
	at := hash % (decryptCacheSlots / decryptCacheWays) * decryptCacheWays
	return s.slots[at : at+decryptCacheWays]
}

// victim is a slot to write to: an empty one, or one that was not used since the
// last look, or the first.
func (s *decryptCache) victim(set []atomic.Pointer[decryptEntry]) *atomic.Pointer[decryptEntry] {
	for i := range set {
		if set[i].Load() == nil {
			return &set[i]
		}
	}
	for i := range set {
		if entry := set[i].Load(); entry == nil || !entry.referenced.Swap(false) {
			return &set[i]
		}
	}
	return &set[0]
}

// sweepSlot empties a slot that was not used since the hand came by the last time.
func (s *decryptCache) sweepSlot(slot *atomic.Pointer[decryptEntry]) {
	if entry := slot.Load(); entry != nil && !entry.referenced.Swap(false) {
		s.clearSlot(slot, entry)
	}
}

// remove forgets a session, because it is over.
func (s *decryptCache) remove(entry *decryptEntry) {
	set := s.bucket(entry.hash)
	for i := range set {
		s.clearSlot(&set[i], entry)
	}
}

func (s *decryptCache) clearSlot(slot *atomic.Pointer[decryptEntry], entry *decryptEntry) {
	if slot.CompareAndSwap(entry, nil) {
		s.addBytes(nil, entry)
	}
}

func (s *decryptCache) addBytes(in, out *decryptEntry) {
	if in != nil {
		s.bytes.Add(in.size)
	}
	if out != nil {
		s.bytes.Add(-out.size)
	}
}

func (entry *decryptEntry) memorySize() int64 {
	size := int(unsafe.Sizeof(*entry)-unsafe.Sizeof(entry.session)) + len(entry.name)
	for _, piece := range entry.chunks {
		size += len(piece)
	}
	return int64(size) + memorySize(&entry.session)
}

// memorySize is about how much memory a session holds.
func memorySize(s *session.Session) int64 {
	const slot = 16 // what the allocator rounds a string up by, about
	p := &s.Principal
	size := int(unsafe.Sizeof(*s)) + len(s.ID) + len(s.RefreshToken) + len(s.IDToken) + len(s.AccessToken) + len(s.SessionID) +
		len(p.Issuer) + len(p.Subject) + len(p.Email) + len(p.Name) + len(p.Username)
	for _, group := range p.Groups {
		size += int(unsafe.Sizeof(group)) + len(group) + slot
	}
	return int64(size)
}
