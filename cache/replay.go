package cache

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Replay remembers values that may be used once, until they expire. Its memory is bounded,
// and it refuses in doubt: if it must forget a value early, every value created at that
// time or before counts as used. It is safe for concurrent use.
type Replay struct {
	mu      sync.Mutex
	used    map[replayID]struct{}
	queue   []replayEntry // a ring, in the order of use
	head    int           // of the queue
	horizon time.Time     // values created up to then count as used
	limit   int
	now     func() time.Time
}

type replayID [16]byte

type replayEntry struct {
	id               replayID
	createdAt, until time.Time
}

// NewReplay remembers up to limit uses. A nil clock is time.Now.
func NewReplay(limit int, now func() time.Time) *Replay {
	if now == nil {
		now = time.Now
	}
	return &Replay{used: map[replayID]struct{}{}, limit: limit, now: now}
}

// Use reports whether this is the first use of a value that was created at createdAt and
// expires in ttl. The context and the error are for stores outside the process.
func (r *Replay) Use(_ context.Context, secret string, createdAt time.Time, ttl time.Duration) (first bool, err error) {
	id := replayIDOf(secret)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for r.len() > 0 && !now.Before(r.queue[r.head].until) {
		r.evictOldest()
	}
	if _, used := r.used[id]; used || !createdAt.After(r.horizon) {
		return false, nil
	}
	if r.len() == r.limit {
		if oldest := r.queue[r.head]; oldest.createdAt.After(r.horizon) {
			r.horizon = oldest.createdAt
		}
		r.evictOldest()
		if !createdAt.After(r.horizon) {
			return false, nil
		}
	}
	r.used[id] = struct{}{}
	r.queue = append(r.queue, replayEntry{id: id, createdAt: createdAt, until: now.Add(ttl)})
	return true, nil
}

func (r *Replay) len() int { return len(r.used) }

func (r *Replay) evictOldest() {
	delete(r.used, r.queue[r.head].id)
	r.head++
	if r.head > len(r.queue)/2 { // half of it was evicted: free the memory
		r.queue = append([]replayEntry(nil), r.queue[r.head:]...)
		r.head = 0
	}
}

// replayIDOf names a value by 128 bits of its digest: memory holds no secret.
func replayIDOf(secret string) replayID {
	sum := sha256.Sum256([]byte(secret))
	return replayID(sum[:len(replayID{})])
}
