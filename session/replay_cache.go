package session

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// ReplayCache remembers what may be used once, until it has expired anyway. Its memory is
// bounded, and it refuses in doubt: where it has to forget something too early,
// everything that is as old counts as used from then on.
//
// It is known to one process alone; several replicas use the Redis store. It is safe for
// concurrent use.
type ReplayCache struct {
	mu      sync.Mutex
	used    map[ReplayID]struct{}
	queue   []replayEntry // a ring, in the order of use
	head    int           // of the queue
	horizon time.Time     // what was made up to here counts as used
	limit   int
	now     func() time.Time
}

type ReplayID [16]byte

type replayEntry struct {
	id               ReplayID
	createdAt, until time.Time
}

// NewReplayCache remembers up to limit uses. A nil clock is time.Now.
func NewReplayCache(limit int, now func() time.Time) *ReplayCache {
	if now == nil {
		now = time.Now
	}
	return &ReplayCache{used: map[ReplayID]struct{}{}, limit: limit, now: now}
}

// Use uses something up that was made at a time and can be used for keep. It
// reports whether this was the first use.
func (s *ReplayCache) Use(_ context.Context, secret string, createdAt time.Time, ttl time.Duration) (first bool, err error) {
	id := NewReplayID(secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for s.len() > 0 && !now.Before(s.queue[s.head].until) {
		s.evictOldest()
	}
	if _, used := s.used[id]; used || !createdAt.After(s.horizon) {
		return false, nil
	}
	if s.len() == s.limit {
		if oldest := s.queue[s.head]; oldest.createdAt.After(s.horizon) {
			s.horizon = oldest.createdAt
		}
		s.evictOldest()
		if !createdAt.After(s.horizon) {
			return false, nil
		}
	}
	s.used[id] = struct{}{}
	s.queue = append(s.queue, replayEntry{id: id, createdAt: createdAt, until: now.Add(ttl)})
	return true, nil
}

func (s *ReplayCache) len() int { return len(s.used) }

func (s *ReplayCache) evictOldest() {
	delete(s.used, s.queue[s.head].id)
	s.head++
	if s.head > len(s.queue)/2 { // half of it is behind: make the room free
		s.queue = append([]replayEntry(nil), s.queue[s.head:]...)
		s.head = 0
	}
}

// NewReplayID takes what is to be used once for a name of it: 128 bits are as good as
// the whole, and memory holds no secret.
func NewReplayID(secret string) ReplayID {
	sum := sha256.Sum256([]byte(secret))
	return ReplayID(sum[:len(ReplayID{})])
}
