package cache_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/example-org/authgate/cache"
)

func TestKeysWithTheSameHashAreDistinguished(t *testing.T) {
	t.Parallel()
	c := cache.NewClock[string, int](8, 1<<20)
	c.Put("nonce", "another's", 1, 1)
	c.Put("nonce", "mine, and more", 2, 1)
	if entry := c.Get("nonce", "mine"); entry != nil {
		t.Errorf("found %q", entry.Key)
	}
	c.Put("nonce", "mine", 3, 1)
	if entry := c.Get("nonce", "mine"); entry == nil || entry.Value != 3 {
		t.Errorf("found %+v", entry)
	}
	c.Put("nonce", "mine", 4, 1)
	if entry := c.Get("nonce", "mine"); entry == nil || entry.Value != 4 {
		t.Errorf("after it was replaced: %+v", entry)
	}
	c.Remove(c.Get("nonce", "mine"))
	if entry := c.Get("nonce", "mine"); entry != nil {
		t.Errorf("after it was removed: %+v", entry)
	}
}

func TestEntriesInUseStayAndTheOthersMakeRoom(t *testing.T) {
	t.Parallel()
	const slots, entryBytes, maxBytes = 1024, 10, 2000
	c := cache.NewClock[string, int](slots, maxBytes)
	c.Put("used", "used", 0, entryBytes)
	for i := range 10 * slots {
		c.Get("used", "used")
		key := fmt.Sprint(i)
		c.Put(key, key, i, entryBytes)
	}
	if c.Get("used", "used") == nil {
		t.Error("an entry in use was evicted")
	}
	n := 0
	for i := range 10 * slots {
		if key := fmt.Sprint(i); c.Get(key, key) != nil {
			n++
		}
	}
	if n == 0 || n > maxBytes/entryBytes {
		t.Errorf("%d entries of %d bytes are left, want at most %d bytes", n, entryBytes, maxBytes)
	}
}

func TestATurnOfTenThousandStays(t *testing.T) {
	t.Parallel()
	const entries = 10_000
	c := cache.NewClock[string, int](1<<16, entries)
	for i := range entries {
		key := fmt.Sprint(i)
		c.Put(key, key, i, 1)
	}
	missing := 0
	for i := range entries {
		if entry := c.Get(fmt.Sprint(i), fmt.Sprint(i)); entry == nil {
			missing++
		} else if entry.Value != i {
			t.Fatalf("%d has the value %d", i, entry.Value)
		}
	}
	if missing > entries/100 {
		t.Errorf("%d of %d entries are missing", missing, entries)
	}
}

func TestReadersAndWritersMeet(t *testing.T) {
	t.Parallel()
	c := cache.NewClock[string, int](256, 200)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 5000 {
				n := (i*7 + worker) % 400
				key := fmt.Sprint(n)
				if entry := c.Get(key, key); entry == nil {
					c.Put(key, key, n, 1)
				} else if entry.Value != n {
					t.Errorf("%d has the value %d", n, entry.Value)
				} else if n%50 == 0 {
					c.Remove(entry)
				}
			}
		})
	}
	all.Wait()
	left := 0
	for n := range 400 {
		if c.Get(fmt.Sprint(n), fmt.Sprint(n)) != nil {
			left++
		}
	}
	if left == 0 || left > 200 {
		t.Errorf("%d entries are left, want at most 200", left)
	}
}
