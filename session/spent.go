package session

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Spent remembers what may be used once, until it has expired anyway. Its memory is
// bounded, and it refuses in doubt: where it has to forget something too early,
// everything that is as old counts as used from then on.
//
// It is known to one process alone; with several, use [Redis.Spend]. It is safe for
// concurrent use.
type Spent struct {
	mu      sync.Mutex
	used    map[spentID]struct{}
	queue   []spentEntry // a ring, in the order of use
	first   int          // of the queue
	horizon time.Time    // what was made up to here counts as used
	limit   int
	now     func() time.Time
}

type spentID [16]byte

type spentEntry struct {
	id          spentID
	made, until time.Time
}

// NewSpent remembers up to limit uses. A nil clock is time.Now.
func NewSpent(limit int, now func() time.Time) *Spent {
	if now == nil {
		now = time.Now
	}
	return &Spent{used: map[spentID]struct{}{}, limit: limit, now: now}
}

// Spend uses something up that was made at a time and can be used for keep. It
// reports whether this was the first use.
func (s *Spent) Spend(_ context.Context, secret string, made time.Time, keep time.Duration) (first bool, err error) {
	id := spentIDOf(secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for s.len() > 0 && !now.Before(s.queue[s.first].until) {
		s.forgetFirst()
	}
	if _, used := s.used[id]; used || !made.After(s.horizon) {
		return false, nil
	}
	if s.len() == s.limit {
		if oldest := s.queue[s.first]; oldest.made.After(s.horizon) {
			s.horizon = oldest.made
		}
		s.forgetFirst()
		if !made.After(s.horizon) {
			return false, nil
		}
	}
	s.used[id] = struct{}{}
	s.queue = append(s.queue, spentEntry{id: id, made: made, until: now.Add(keep)})
	return true, nil
}

func (s *Spent) len() int { return len(s.used) }

func (s *Spent) forgetFirst() {
	delete(s.used, s.queue[s.first].id)
	s.first++
	if s.first > len(s.queue)/2 { // half of it is behind: make the room free
		s.queue = append([]spentEntry(nil), s.queue[s.first:]...)
		s.first = 0
	}
}

// spentIDOf takes what is to be used once for a name of it: 128 bits are as good as
// the whole, and memory holds no secret.
func spentIDOf(secret string) spentID {
	sum := sha256.Sum256([]byte(secret))
	return spentID(sum[:len(spentID{})])
}

// Spend is [Spent.Spend] for every replica. Where Redis does not answer nothing is
// used up: the error is [ErrStoreDown].
func (r *Redis) Spend(ctx context.Context, secret string, _ time.Time, keep time.Duration) (first bool, err error) {
	if r.failing() {
		return false, r.downFor()
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	first, err = r.client().SetNX(ctx, spentKey(spentIDOf(secret)), 1, keep).Result()
	return first, r.answer(ctx, err)
}
