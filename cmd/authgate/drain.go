package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/example-org/authgate/proxy"
)

// drain stops taking requests without losing one: first the balancer is told, and
// has time to look away while everything is served as before; then the port
// closes, requests in flight end, and streams are cut bit by bit. The admin port
// goes last, so that all of this can be watched. It does not touch keep-alives:
// SetKeepAlivesEnabled(false) cuts idle connections at once, amid a request that is
// under way on one.
func (p *ports) drain(ctx context.Context, gate *proxy.Proxy, delay, limit time.Duration, log *slog.Logger) {
	gate.Drain()
	log.Info("shutting down", "delay", delay, "limit", limit)
	time.Sleep(delay)

	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var cutting sync.WaitGroup
	shut := make(chan struct{})
	cutting.Go(func() { cutStreams(ctx, gate, shut) })
	if err := p.traffic.Shutdown(ctx); err != nil {
		log.Warn("requests were still running at the end of timeouts.shutdown, and are cut", "requests", p.requests.Load())
	}
	close(shut)
	cutting.Wait()
	_ = p.traffic.Close()
	p.awaitRecords()
	_ = p.admin.Shutdown(ctx)
	log.Info("stopped")
}

// cutStreams cuts streams bit by bit, in half of the time that is left, until the
// port is shut: a request that was in flight may yet become one.
func cutStreams(ctx context.Context, gate *proxy.Proxy, shut <-chan struct{}) {
	const pause = 20 * time.Millisecond
	limit, _ := ctx.Deadline()
	for last := false; ; {
		gate.CutStreams(ctx, time.Until(limit)/2)
		if last {
			return
		}
		select {
		case <-shut:
			last = true
		case <-time.After(pause):
		}
	}
}

// awaitRecords waits for the requests that were cut: each has yet to write its
// record. They have nobody to talk to any more, so it is a matter of moments.
func (p *ports) awaitRecords() {
	const most, pause = 2 * time.Second, 5 * time.Millisecond
	for range most / pause {
		if p.requests.Load() == 0 {
			return
		}
		time.Sleep(pause)
	}
}
