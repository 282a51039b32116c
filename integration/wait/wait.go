// Package wait lets tests wait for a condition.
package wait

import (
	"context"
	"testing"
	"time"
)

// For asks until something holds, and ends the test where that is not so in time.
func For(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	if !Holds(t, within, holds) {
		t.Fatalf("waited in vain for %s", what)
	}
}

// Holds reports whether something holds in time. A cleanup may ask, too.
func Holds(t testing.TB, within time.Duration, holds func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
