package session

import (
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"
)

func TestRefreshFailuresAreBounded(t *testing.T) {
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
