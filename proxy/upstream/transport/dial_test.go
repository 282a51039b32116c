package transport

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

func dialerBy(dial func(ctx context.Context, attempt int) (net.Conn, error)) *dialer {
	var attempts atomic.Int32
	return &dialer{
		dial:  func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, int(attempts.Add(1))) },
		limit: 5 * time.Second, retryRefusedFor: 2 * time.Second, fallbackDelay: time.Second,
	}
}

func TestRefusedDialsAreTriedAgainForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		d := dialerBy(func(_ context.Context, attempt int) (net.Conn, error) {
			if attempt < 5 {
				return nil, errRefused
			}
			return a, nil
		})
		begun := time.Now()
		if conn, err := d.DialContext(t.Context(), "tcp", ""); conn != a || err != nil || time.Since(begun) > time.Second {
			t.Errorf("%v %v after %s", conn, err, time.Since(begun))
		}
		d = dialerBy(func(context.Context, int) (net.Conn, error) { return nil, errRefused })
		begun = time.Now()
		if _, err := d.DialContext(t.Context(), "tcp", ""); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(begun) > 2*time.Second || time.Since(begun) < 1500*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		other := errors.New("no such host")
		d = dialerBy(func(context.Context, int) (net.Conn, error) { return nil, other })
		begun = time.Now()
		if _, err := d.DialContext(t.Context(), "tcp", ""); !errors.Is(err, other) || time.Since(begun) > 0 {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

func TestADialWithoutAnAnswerGetsASecondInParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		d := dialerBy(func(ctx context.Context, attempt int) (net.Conn, error) {
			if attempt == 1 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return a, nil
		})
		begun := time.Now()
		if conn, err := d.DialContext(t.Context(), "tcp", ""); conn != a || err != nil || time.Since(begun) != time.Second {
			t.Errorf("%v %v after %s", conn, err, time.Since(begun))
		}
		d = dialerBy(func(ctx context.Context, _ int) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() })
		begun = time.Now()
		if _, err := d.DialContext(t.Context(), "tcp", ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

// The one that comes late is closed.
func TestConnectionThatLosesTheRaceIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		late, far := net.Pipe()
		defer a.Close()
		defer b.Close()
		d := dialerBy(func(_ context.Context, attempt int) (net.Conn, error) {
			if attempt == 1 {
				time.Sleep(3 * time.Second)
				return late, nil
			}
			return a, nil
		})
		if conn, err := d.DialContext(t.Context(), "tcp", ""); conn != a || err != nil {
			t.Errorf("%v %v", conn, err)
		}
		if _, err := far.Read(make([]byte, 1)); err == nil {
			t.Error("it stays open")
		}
	})
}
