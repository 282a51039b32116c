// Package cache remembers a bounded number of things in memory.
package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

const (
	ways       = 8  // slots that one key may use
	firstSlots = 64 // of an empty cache
)

// Clock is a set-associative cache that evicts by the CLOCK algorithm. Its table grows with its
// contents. Reads take no lock, wait for nothing and allocate nothing. It is safe for concurrent
// use.
type Clock[K comparable, V any] struct {
	seed     maphash.Seed // of this process: no client can aim at a slot
	table    atomic.Pointer[table[K, V]]
	maxSlots int
	maxBytes int64

	mu    sync.Mutex // for writes
	bytes int64
	hand  int // the slot that is swept next
}

// table has a power of two slots.
type table[K comparable, V any] []slot[K, V]

type slot[K comparable, V any] = atomic.Pointer[Entry[K, V]]

// Entry is a key and its value. It holds the whole key: a hash alone would let one
// key pass for another.
type Entry[K comparable, V any] struct {
	Key   K
	Value V

	hash       uint64
	bytes      int64
	referenced atomic.Bool // since the hand passed
}

// NewClock makes a cache of at most so many slots, a power of two from eight on. What Put says of
// the size of its entries stays below maxBytes. With four times as many slots as entries, less than
// one in a hundred finds no slot.
func NewClock[K comparable, V any](maxSlots int, maxBytes int64) *Clock[K, V] {
	c := &Clock[K, V]{seed: maphash.MakeSeed(), maxSlots: maxSlots, maxBytes: maxBytes}
	first := make(table[K, V], min(firstSlots, maxSlots))
	c.table.Store(&first)
	return c
}

// Get finds the entry of a key; nil: there is none. hashed is a part of the key that a
// client cannot guess, such as a nonce or a signature. Get compares its hash first, so
// that the time of a miss says nothing about the rest of the key.
func (c *Clock[K, V]) Get(hashed string, key K) *Entry[K, V] {
	hash := maphash.String(c.seed, hashed)
	bucket := c.table.Load().bucket(hash)
	for i := range bucket {
		if entry := bucket[i].Load(); entry != nil && entry.hash == hash && entry.Key == key {
			if !entry.referenced.Load() {
				entry.referenced.Store(true)
			}
			return entry
		}
	}
	return nil
}

// Put stores a value of about so many bytes. The key must not share memory with anything
// that is larger.
func (c *Clock[K, V]) Put(hashed string, key K, value V, bytes int64) *Entry[K, V] {
	entry := &Entry[K, V]{Key: key, Value: value, hash: maphash.String(c.seed, hashed), bytes: bytes}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replace(c.slotFor(entry), entry)
	c.sweep()
	return entry
}

// Remove forgets an entry.
func (c *Clock[K, V]) Remove(entry *Entry[K, V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bucket := c.table.Load().bucket(entry.hash)
	for i := range bucket {
		if bucket[i].Load() == entry {
			c.replace(&bucket[i], nil)
		}
	}
}

func (c *Clock[K, V]) replace(at *slot[K, V], entry *Entry[K, V]) {
	if entry != nil {
		c.bytes += entry.bytes
	}
	if old := at.Swap(entry); old != nil {
		c.bytes -= old.bytes
	}
}

// sweep evicts entries that were not used since the last look, until the others fit.
func (c *Clock[K, V]) sweep() {
	slots := *c.table.Load()
	for range slots {
		if c.bytes <= c.maxBytes {
			return
		}
		c.hand = (c.hand + 1) % len(slots)
		if swept := slots[c.hand].Load(); swept != nil && !swept.referenced.Swap(false) {
			c.replace(&slots[c.hand], nil)
		}
	}
}

// slotFor is the slot for an entry: that of the same key, an empty one, one that was not
// used since the last look, or the first.
func (c *Clock[K, V]) slotFor(entry *Entry[K, V]) *slot[K, V] {
	bucket := c.table.Load().bucket(entry.hash)
	var empty *slot[K, V]
	for i := range bucket {
		old := bucket[i].Load()
		if old == nil {
			empty = &bucket[i]
		} else if old.hash == entry.hash && old.Key == entry.Key {
			return &bucket[i]
		}
	}
	switch {
	case empty != nil:
		return empty
	case c.grow():
		return c.slotFor(entry)
	}
	for i := range bucket {
		if !bucket[i].Load().referenced.Swap(false) {
			return &bucket[i]
		}
	}
	return &bucket[0]
}

// grow doubles the table, unless it is as large as it may be. The entries of a bucket go to two.
func (c *Clock[K, V]) grow() bool {
	old := *c.table.Load()
	if len(old) >= c.maxSlots {
		return false
	}
	larger := make(table[K, V], 2*len(old))
	for i := range old {
		entry := old[i].Load()
		if entry == nil {
			continue
		}
		bucket := larger.bucket(entry.hash)
		for j := range bucket {
			if bucket[j].CompareAndSwap(nil, entry) {
				break
			}
		}
	}
	c.table.Store(&larger)
	return true
}

func (t table[K, V]) bucket(hash uint64) []slot[K, V] {
	at := hash & uint64(len(t)/ways-1) * ways
	return t[at : at+ways]
}
