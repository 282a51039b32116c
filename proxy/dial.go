package proxy

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"
	"time"

	"github.com/example-org/authgate/config"
)

// dialer makes the connections to one upstream. While a dashboard is rolled out
// its address refuses for a moment, or leads to a pod that is gone and answers
// nothing. Nothing has been sent yet, so that trying again is safe for any request.
type dialer struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	limit time.Duration // for all of it

	retryRefusedFor time.Duration // how long a refusal is not believed
	fallbackDelay   time.Duration // when another attempt begins beside one that is not answered
}

func newDialer(c *config.Upstream, timeouts config.Timeouts, by net.Dialer) *dialer {
	limit := c.Timeouts.Dial(timeouts)
	by.Timeout = limit
	d := &dialer{dial: by.DialContext, limit: limit, retryRefusedFor: 2 * time.Second, fallbackDelay: time.Second}
	if c.URL.Scheme == config.SchemeUnix {
		d.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return by.DialContext(ctx, "unix", c.URL.Path)
		}
	}
	return d
}

// DialContext is for [net/http.Transport.DialContext].
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	deadline := time.Now().Add(d.retryRefusedFor)
	for pause := 25 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		conn, err := d.race(ctx, network, address)
		if err == nil || !isRefused(err) || time.Now().Add(pause).After(deadline) {
			return conn, err
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, err
		}
	}
}

// isRefused tells that nobody listens, at this moment.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) // a Unix socket that is not there
}

type dialResult struct {
	conn net.Conn
	err  error
}

// race dials, and once more beside it when there is no answer. The first
// connection is used, the other one closed.
func (d *dialer) race(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialResult) // whoever comes late closes what it has
	done := make(chan struct{})
	defer close(done)
	attempt := func() {
		conn, err := d.dial(ctx, network, address)
		select {
		case results <- dialResult{conn, err}:
		case <-done:
			if err == nil {
				_ = conn.Close() // nobody has seen it
			}
		}
	}
	go attempt()
	attempts := 1
	fallback := time.NewTimer(d.fallbackDelay)
	defer fallback.Stop()
	for {
		select {
		case <-fallback.C:
			attempts++
			go attempt()
		case r := <-results:
			if attempts--; r.err == nil || attempts == 0 {
				return r.conn, r.err
			}
		}
	}
}
