package session

import (
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"
)

func TestTroublesOfAllThePeopleInTheWorldStayBounded(t *testing.T) {
	t.Parallel()
	many, now, why := newRefreshFailures(slog.New(slog.DiscardHandler)), time.Now(), errors.New("bad gateway")
	for i := range maxRefreshFailures + 100 {
		many.failed(strconv.Itoa(i), "p", why, now)
	}
	if n := len(many.byKey); n != maxRefreshFailures {
		t.Errorf("it remembers %d, want %d", n, maxRefreshFailures)
	}
	if _, got := many.get(strconv.Itoa(maxRefreshFailures+99), now, now); !errors.Is(got, why) {
		t.Errorf("the last is forgotten: %v", got)
	}
}

func TestBackoffStaysWithinItsBoundsForEver(t *testing.T) {
	t.Parallel()
	for _, failed := range []int{-1, 0, 1, 2, 5, 63, 64, 65, 1 << 40} {
		if d := backoff(failed); d < firstBackoff*3/4 || d > maxBackoff {
			t.Errorf("after %d failures it waits %s", failed, d)
		}
	}
}
