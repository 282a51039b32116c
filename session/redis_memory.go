package session

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// mostOpened bounds the sessions that one replica remembers having opened. What
// is forgotten is read again.
const mostOpened = 20000

// held is a session as this replica last read it. What it says changes whole.
type held struct {
	digest digest // zero: not known yet
	id     string

	view     atomic.Pointer[view]
	verified atomic.Int64 // when Redis last confirmed it, since the store was made
	seen     atomic.Int64 // last use, Unix nanoseconds
	written  atomic.Int64 // the use that Redis knows of, likewise
	queued   atomic.Bool  // it is on the list of what to look after
}

// view is immutable.
type view struct {
	session Session
	record  record // zero where only the ID is known
	owner   owner
	fence   uint64
	birth   uint64
	epoch   uint64 // 0: to be read again before it is believed
	ended   bool
}

// mark is a point in the change feed: what was read at one, and is put into memory
// at another, may have changed in between.
type mark struct{ epoch, changes uint64 }

// memory is what a replica remembers of the sessions it opened. A session is found
// by its digest under the lock of one shard out of many, and everything else
// under the one lock of the whole.
type memory struct {
	epoch   atomic.Uint64 // rises where changes may have been missed
	changes atomic.Uint64 // rises with every change that was heard of

	shards [64]shard

	mu    sync.RWMutex
	byID  map[string]*held
	owned map[owner]map[*held]struct{}
}

type shard struct {
	sync.RWMutex
	opened map[digest]*held
	_      [32]byte // apart from its neighbours' cache lines
}

func newMemory() *memory {
	m := &memory{byID: map[string]*held{}, owned: map[owner]map[*held]struct{}{}}
	m.epoch.Store(1)
	for i := range m.shards {
		m.shards[i].opened = map[digest]*held{}
	}
	return m
}

func (m *memory) shard(d digest) *shard { return &m.shards[int(d[0])%len(m.shards)] }

func (m *memory) mark() mark { return mark{m.epoch.Load(), m.changes.Load()} }

func (m *memory) find(d digest) *held {
	s := m.shard(d)
	s.RLock()
	defer s.RUnlock()
	return s.opened[d]
}

func (m *memory) findID(id string) *held {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byID[id]
}

// put remembers what was read since a mark. A zero digest remembers a session of
// which only the ID is known.
func (m *memory) put(d digest, v view, since mark, verified time.Duration) *held {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.byID[v.session.ID]
	if o != nil && (o.digest != d || o.view.Load().owner != v.owner) {
		m.remove(o)
		o = nil
	}
	v.epoch = since.epoch
	if m.changes.Load() != since.changes {
		v.epoch = 0
	}
	if o == nil {
		for len(m.byID) >= mostOpened {
			m.evict()
		}
		o = &held{digest: d, id: v.session.ID}
		o.view.Store(&v)
		o.seen.Store(v.session.Seen.UnixNano())
		o.written.Store(v.session.Seen.UnixNano())
		o.verified.Store(int64(verified))
		m.add(o, v.owner)
		return o
	}
	old := o.view.Load()
	if old.ended || old.fence > v.fence && old.epoch == m.epoch.Load() { // heard of meanwhile, and newer
		return o
	}
	later(&o.seen, v.session.Seen.UnixNano())
	o.written.Store(v.session.Seen.UnixNano())
	later(&o.verified, int64(verified))
	o.view.Store(&v)
	return o
}

func (m *memory) add(o *held, by owner) {
	m.byID[o.id] = o
	of := m.owned[by]
	if of == nil {
		of = map[*held]struct{}{}
		m.owned[by] = of
	}
	of[o] = struct{}{}
	if o.digest != (digest{}) {
		s := m.shard(o.digest)
		s.Lock()
		s.opened[o.digest] = o
		s.Unlock()
	}
}

func (m *memory) remove(o *held) {
	by := o.view.Load().owner
	delete(m.byID, o.id)
	delete(m.owned[by], o)
	if len(m.owned[by]) == 0 {
		delete(m.owned, by)
	}
	s := m.shard(o.digest)
	s.Lock()
	if s.opened[o.digest] == o {
		delete(s.opened, o.digest)
	}
	s.Unlock()
}

// evict forgets the longest unused of a few, which a map gives in no order.
func (m *memory) evict() {
	var oldest *held
	n := 0
	for _, o := range m.byID {
		if oldest == nil || o.view.Load().ended && !oldest.view.Load().ended || o.seen.Load() < oldest.seen.Load() {
			oldest = o
		}
		if n++; n == 8 {
			break
		}
	}
	if oldest != nil {
		m.remove(oldest)
	}
}

// change is something that happened to sessions: one ended, or a user's grant of
// a birth and all before it.
type change struct {
	id    string
	owner owner
	birth uint64 // with owner: ended up to here
	fence uint64 // with owner: a grant of this fence is in Redis

	// Of bearer tokens: a revocation, or a token that is none, and a time in
	// milliseconds since 1970; 0: it is about neither.
	revoked, token tag
	at             int64
}

// hear takes in changes, and gives the users whose grants are to be read again.
func (m *memory) hear(changes []change) []owner {
	if len(changes) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes.Add(1)
	stale := map[owner]struct{}{}
	for _, c := range changes {
		if c.id != "" {
			m.end(m.byID[c.id])
		}
		for o := range m.owned[c.owner] {
			v := o.view.Load()
			switch {
			case v.ended || v.birth == 0: // what is not known is read again before it is believed
			case v.birth <= c.birth:
				m.end(o)
			case v.fence < c.fence:
				stale[c.owner] = struct{}{}
			}
		}
	}
	return slices.Collect(maps.Keys(stale))
}

// end remembers that a session has ended, for streams that ask, and keeps no
// token of it.
func (m *memory) end(o *held) {
	if o == nil {
		return
	}
	v := *o.view.Load()
	v.ended, v.session, v.record = true, Session{ID: v.session.ID}, record{}
	o.view.Store(&v)
}

// forget is end for who does not hold the lock.
func (m *memory) forget(o *held) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end(o)
}

// renew gives a newer grant to all sessions of its user.
func (m *memory) renew(by owner, g grantState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for o := range m.owned[by] {
		v := *o.view.Load()
		switch {
		case v.ended || v.fence >= g.fence:
			continue
		case v.birth != g.birth:
			if v.birth != 0 {
				m.end(o)
			}
			continue
		}
		v.session, v.fence = v.record.join(g), g.fence
		o.view.Store(&v)
	}
}

// distrust makes the sessions of a user be read again.
func (m *memory) distrust(by owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for o := range m.owned[by] {
		v := *o.view.Load()
		v.epoch = 0
		o.view.Store(&v)
	}
}

// doubt makes everything be read again; until when it was good is kept.
func (m *memory) doubt(good time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.epoch.Load()
	for _, o := range m.byID {
		if o.view.Load().epoch == was {
			later(&o.verified, int64(good))
		}
	}
	m.epoch.Add(1)
}

// later raises a time that others may be raising too.
func later(at *atomic.Int64, to int64) {
	for {
		was := at.Load()
		if was >= to || at.CompareAndSwap(was, to) {
			return
		}
	}
}
