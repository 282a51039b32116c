package transport

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"
	"time"
)

// dialer makes the connections to one upstream. During a rollout the address of a dashboard
// refuses connections for a moment, or routes to a deleted pod that does not answer. Nothing
// has been sent yet, so a retry is safe for every request.
type dialer struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	limit time.Duration // for all attempts together

	retryRefusedFor time.Duration // how long refused connections are retried
	fallbackDelay   time.Duration // after which a second, parallel attempt starts
}

func newDialer(o Options, by net.Dialer) *dialer {
	by.Timeout = o.DialTimeout
	d := &dialer{dial: by.DialContext, limit: o.DialTimeout, retryRefusedFor: 2 * time.Second, fallbackDelay: time.Second}
	if o.Socket != "" {
		d.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return by.DialContext(ctx, "unix", o.Socket)
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

// isRefused reports that no server listens at the moment.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) // a missing Unix socket
}

type dialResult struct {
	conn net.Conn
	err  error
}

// race dials, and starts a second attempt if the first does not answer. It returns the first
// connection and closes the other.
func (d *dialer) race(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialResult) // the slower attempt closes its connection
	done := make(chan struct{})
	defer close(done)
	attempt := func() {
		conn, err := d.dial(ctx, network, address)
		select {
		case results <- dialResult{conn, err}:
		case <-done:
			if err == nil {
				_ = conn.Close()
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
