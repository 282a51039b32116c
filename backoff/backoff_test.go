package backoff_test

import (
	"testing"
	"time"

	"github.com/example-org/authgate/backoff"
)

func TestDelayDoublesAndStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	const first, limit = 5 * time.Second, time.Minute
	for failures, want := range map[int]time.Duration{
		-1: first, 0: first, 1: first, 2: 2 * first, 3: 4 * first, 4: 8 * first, 5: limit, 63: limit, 64: limit, 65: limit, 1 << 40: limit,
	} {
		if d := backoff.Delay(first, limit, failures); d <= want*3/4-1 || d > want {
			t.Errorf("after %d failures it is %s, want at most a quarter less than %s", failures, d, want)
		}
	}
}
