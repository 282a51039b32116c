package cache_test

import (
	"fmt"
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
