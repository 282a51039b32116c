// Package cache remembers a bounded number of things in memory.
package cache

import (
	"hash/maphash"
	"sync/atomic"
)

// ways is how many slots one key may use.
const ways = 4

// Clock is a set-associative cache that evicts by the CLOCK algorithm. Reads take no
// lock, wait for nothing and allocate nothing. It is safe for concurrent use.
type Clock[K comparable, V any] struct {
	seed     maphash.Seed // of this process: no client can aim at a slot
	slots    []atomic.Pointer[Entry[K, V]]
	maxBytes int64
	bytes    atomic.Int64
	hand     atomic.Uint64 // the slot that is swept next
}

// Entry is a key and its value. It holds the whole key: a hash alone would let one
// key pass for another.
type Entry[K comparable, V any] struct {
	Key   K
	Value V

	hash       uint64
	bytes      int64
	referenced atomic.Bool // since the hand passed
}

// NewClock makes a cache of so many slots, a multiple of four. What Put says of the size
// of its entries stays below maxBytes.
func NewClock[K comparable, V any](slots int, maxBytes int64) *Clock[K, V] {
	return &Clock[K, V]{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[Entry[K, V]], slots), maxBytes: maxBytes}
}

// Get finds the entry of a key; nil: there is none. hashed is a part of the key that a
// client cannot guess, such as a nonce or a signature. Get compares its hash first, so
// that the time of a miss says nothing about the rest of the key.
func (c *Clock[K, V]) Get(hashed string, key K) *Entry[K, V] {
	hash := maphash.String(c.seed, hashed)
	bucket := c.bucket(hash)
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
	c.bytes.Add(bytes)
	if old := c.victim(entry).Swap(entry); old != nil {
		c.bytes.Add(-old.bytes)
	}
	for range c.slots {
		if c.bytes.Load() <= c.maxBytes {
			break
		}
		slot := &c.slots[c.hand.Add(1)%uint64(len(c.slots))]
		if swept := slot.Load(); swept != nil && !swept.referenced.Swap(false) {
			c.clear(slot, swept)
		}
	}
	return entry
}

// Remove forgets an entry.
func (c *Clock[K, V]) Remove(entry *Entry[K, V]) {
	bucket := c.bucket(entry.hash)
	for i := range bucket {
		c.clear(&bucket[i], entry)
	}
}

func (c *Clock[K, V]) clear(slot *atomic.Pointer[Entry[K, V]], entry *Entry[K, V]) {
	if slot.CompareAndSwap(entry, nil) {
		c.bytes.Add(-entry.bytes)
	}
}

func (c *Clock[K, V]) bucket(hash uint64) []atomic.Pointer[Entry[K, V]] {
	at := hash % uint64(len(c.slots)/ways) * ways
	return c.slots[at : at+ways]
}

// victim is the slot for an entry: that of the same key, an empty one, one that was not
// used since the last look, or the first.
func (c *Clock[K, V]) victim(entry *Entry[K, V]) *atomic.Pointer[Entry[K, V]] {
	bucket := c.bucket(entry.hash)
	var empty *atomic.Pointer[Entry[K, V]]
	for i := range bucket {
		old := bucket[i].Load()
		if old == nil {
			empty = &bucket[i]
		} else if old.hash == entry.hash && old.Key == entry.Key {
			return &bucket[i]
		}
	}
	if empty != nil {
		return empty
	}
	for i := range bucket {
		if old := bucket[i].Load(); old == nil || !old.referenced.Swap(false) {
			return &bucket[i]
		}
	}
	return &bucket[0]
}
