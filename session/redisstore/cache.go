package redisstore

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/session"
)

// maxCacheEntries bounds the sessions that one replica caches. A session that was evicted is
// read again.
const maxCacheEntries = 20000

// cacheEntry is a session as this replica last read it. Its snapshot is replaced as a whole.
type cacheEntry struct {
	digest digest // zero: not known yet
	id     string

	snapshot       atomic.Pointer[entrySnapshot]
	verified       atomic.Int64 // when Redis last confirmed it, since the store was created
	lastUsed       atomic.Int64 // last use, Unix nanoseconds
	storedLastUsed atomic.Int64 // the use that Redis knows, Unix nanoseconds
	queued         atomic.Bool  // it is in the revalidation queue
}

// entrySnapshot is immutable.
type entrySnapshot struct {
	session    session.Session
	record     record // zero if only the ID is known
	user       userKey
	fence      uint64
	generation uint64
	epoch      uint64 // 0: read it again before using it
	ended      bool
}

// cachePosition is a point in the changelog. What was read at one position and is cached at
// another may have changed in between.
type cachePosition struct{ epoch, changes uint64 }

// sessionCache holds the sessions that a replica has read. Sessions are found by digest
// under the lock of one of many shards; everything else is under one lock.
type sessionCache struct {
	epoch   atomic.Uint64 // rises when changes may have been missed
	changes atomic.Uint64 // rises with every change that was read

	shards [64]cacheShard

	mu     sync.RWMutex
	byID   map[string]*cacheEntry
	byUser map[userKey]map[*cacheEntry]struct{}
}

type cacheShard struct {
	sync.RWMutex
	entries map[digest]*cacheEntry
	_       [32]byte // keeps neighbours on other cache lines
}

func newSessionCache() *sessionCache {
	m := &sessionCache{byID: map[string]*cacheEntry{}, byUser: map[userKey]map[*cacheEntry]struct{}{}}
	m.epoch.Store(1)
	for i := range m.shards {
		m.shards[i].entries = map[digest]*cacheEntry{}
	}
	return m
}

func (m *sessionCache) shard(d digest) *cacheShard { return &m.shards[int(d[0])%len(m.shards)] }

func (m *sessionCache) position() cachePosition {
	return cachePosition{m.epoch.Load(), m.changes.Load()}
}

func (m *sessionCache) get(d digest) *cacheEntry {
	s := m.shard(d)
	s.RLock()
	defer s.RUnlock()
	return s.entries[d]
}

func (m *sessionCache) getByID(id string) *cacheEntry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byID[id]
}

// put caches a session that was read since position. A zero digest stands for a session of
// which only the ID is known.
func (m *sessionCache) put(d digest, v entrySnapshot, position cachePosition, verified time.Duration) *cacheEntry {
	m.mu.Lock()
	defer m.mu.Unlock()
	entry := m.byID[v.session.ID]
	if entry != nil && (entry.digest != d || entry.snapshot.Load().user != v.user) {
		m.remove(entry)
		entry = nil
	}
	v.epoch = position.epoch
	if m.changes.Load() != position.changes {
		v.epoch = 0
	}
	if entry == nil {
		for len(m.byID) >= maxCacheEntries {
			m.evict()
		}
		entry = &cacheEntry{digest: d, id: v.session.ID}
		entry.snapshot.Store(&v)
		entry.lastUsed.Store(v.session.LastUsed.UnixNano())
		entry.storedLastUsed.Store(v.session.LastUsed.UnixNano())
		entry.verified.Store(int64(verified))
		m.add(entry, v.user)
		return entry
	}
	old := entry.snapshot.Load()
	if old.ended || old.fence > v.fence && old.epoch == m.epoch.Load() { // the changelog had a newer one
		return entry
	}
	session.RaiseTime(&entry.lastUsed, v.session.LastUsed.UnixNano())
	entry.storedLastUsed.Store(v.session.LastUsed.UnixNano())
	session.RaiseTime(&entry.verified, int64(verified))
	entry.snapshot.Store(&v)
	return entry
}

func (m *sessionCache) add(entry *cacheEntry, user userKey) {
	m.byID[entry.id] = entry
	of := m.byUser[user]
	if of == nil {
		of = map[*cacheEntry]struct{}{}
		m.byUser[user] = of
	}
	of[entry] = struct{}{}
	if entry.digest != (digest{}) {
		s := m.shard(entry.digest)
		s.Lock()
		s.entries[entry.digest] = entry
		s.Unlock()
	}
}

func (m *sessionCache) remove(entry *cacheEntry) {
	user := entry.snapshot.Load().user
	delete(m.byID, entry.id)
	delete(m.byUser[user], entry)
	if len(m.byUser[user]) == 0 {
		delete(m.byUser, user)
	}
	s := m.shard(entry.digest)
	s.Lock()
	if s.entries[entry.digest] == entry {
		delete(s.entries, entry.digest)
	}
	s.Unlock()
}

// evict removes the least recently used of a few entries, which a map gives in random order.
func (m *sessionCache) evict() {
	var oldest *cacheEntry
	n := 0
	for _, entry := range m.byID {
		if oldest == nil || entry.snapshot.Load().ended && !oldest.snapshot.Load().ended ||
			entry.lastUsed.Load() < oldest.lastUsed.Load() {
			oldest = entry
		}
		if n++; n == 8 {
			break
		}
	}
	if oldest != nil {
		m.remove(oldest)
	}
}

// change is an event about sessions: one ended, or a user's grants up to a generation did.
type change struct {
	id         string
	user       userKey
	generation uint64 // with user: ended up to this one
	fence      uint64 // with user: a grant with this fence is in Redis

	// About bearer tokens: a revocation or a denied token, and a time in milliseconds since
	// 1970. 0: the change is about neither.
	revoked, token session.DenyKey
	at             int64
}

// apply applies changes, and gives the users whose grants must be read again.
func (m *sessionCache) apply(changes []change) []userKey {
	if len(changes) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes.Add(1)
	stale := map[userKey]struct{}{}
	for _, c := range changes {
		if c.id != "" {
			m.markEndedLocked(m.byID[c.id])
		}
		for entry := range m.byUser[c.user] {
			v := entry.snapshot.Load()
			switch {
			case v.ended || v.generation == 0: // what is not known is read again before it is used
			case v.generation <= c.generation:
				m.markEndedLocked(entry)
			case v.fence < c.fence:
				stale[c.user] = struct{}{}
			}
		}
	}
	return slices.Collect(maps.Keys(stale))
}

// markEndedLocked remembers that a session has ended, for streams that ask, and drops its
// tokens.
func (m *sessionCache) markEndedLocked(entry *cacheEntry) {
	if entry == nil {
		return
	}
	v := *entry.snapshot.Load()
	v.ended, v.session, v.record = true, session.Session{ID: v.session.ID}, record{}
	entry.snapshot.Store(&v)
}

// markEnded is markEndedLocked for callers that do not hold the lock.
func (m *sessionCache) markEnded(entry *cacheEntry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.markEndedLocked(entry)
}

// updateGrant gives a newer grant to all sessions of its user.
func (m *sessionCache) updateGrant(user userKey, g grantState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for entry := range m.byUser[user] {
		v := *entry.snapshot.Load()
		switch {
		case v.ended || v.fence >= g.fence:
			continue
		case v.generation != g.generation:
			if v.generation != 0 {
				m.markEndedLocked(entry)
			}
			continue
		}
		v.session, v.fence = v.record.join(g), g.fence
		entry.snapshot.Store(&v)
	}
}

// invalidateUser marks the sessions of a user to be read again.
func (m *sessionCache) invalidateUser(user userKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for entry := range m.byUser[user] {
		v := *entry.snapshot.Load()
		v.epoch = 0
		entry.snapshot.Store(&v)
	}
}

// invalidateAll marks every session to be read again, and keeps until when it was confirmed.
func (m *sessionCache) invalidateAll(good time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	prev := m.epoch.Load()
	for _, entry := range m.byID {
		if entry.snapshot.Load().epoch == prev {
			session.RaiseTime(&entry.verified, int64(good))
		}
	}
	m.epoch.Add(1)
}
