// Package backoff says how long to wait after repeated failures.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Delay is first after one failure and doubles with each further one, up to limit. It is
// shortened by up to a quarter at random, so that those who failed together do not retry
// together.
func Delay(first, limit time.Duration, failures int) time.Duration {
	delay := first
	for range failures - 1 {
		if delay >= limit {
			break
		}
		delay *= 2
	}
	delay = min(delay, limit)
	return delay - rand.N(delay/4)
}
