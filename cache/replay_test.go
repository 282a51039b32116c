package cache_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/cache"
)

const keepSpent = 15 * time.Minute

func TestValueIsUsedOnce(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := cache.NewReplay(10, func() time.Time { return now })
	spend := func(secret string, made time.Time) bool {
		t.Helper()
		first, err := s.Use(t.Context(), secret, made, keepSpent)
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	if !spend("a", now) || spend("a", now) || !spend("b", now) || spend("b", now) {
		t.Error("each may be spent exactly once")
	}
	now = now.Add(keepSpent - 1)
	if spend("a", now.Add(-keepSpent)) {
		t.Error("it was forgotten before it had expired")
	}
}

func TestOneOfManyConcurrentUsesIsTheFirst(t *testing.T) {
	t.Parallel()
	s := cache.NewReplay(10, nil)
	var first atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if ok, err := s.Use(t.Context(), "the same", time.Now(), keepSpent); ok && err == nil {
				first.Add(1)
			}
		})
	}
	all.Wait()
	if first.Load() != 1 {
		t.Errorf("%d were the first", first.Load())
	}
}

func TestFullReplayCacheRefusesInDoubt(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	now := begun
	s := cache.NewReplay(100, func() time.Time { return now })
	made := func(n int) time.Time { return begun.Add(time.Duration(n) * time.Second) }
	spend := func(n int) bool {
		first, _ := s.Use(t.Context(), strconv.Itoa(n), made(n), keepSpent)
		return first
	}
	for n := range 500 {
		now = made(n)
		if !spend(n) {
			t.Fatalf("%d: refused although it was never spent", n)
		}
	}
	for n := range 500 {
		if spend(n) {
			t.Errorf("%d is spent a second time", n)
		}
	}
	if first, _ := s.Use(t.Context(), "old", made(300), keepSpent); first {
		t.Error("what is as old as what was forgotten may have been spent")
	}
	if first, _ := s.Use(t.Context(), "young", made(450), keepSpent); !first {
		t.Error("what is younger than all that was forgotten is refused")
	}
	now = now.Add(keepSpent)
	for n := 1000; n < 1100; n++ {
		if !spend(n) {
			t.Fatalf("%d: there is room again", n)
		}
	}
}
