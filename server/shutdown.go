package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/example-org/authgate/proxy"
)

// shutDown stops taking requests without losing one: first the balancer is told, and
// has time to look away while everything is served as before; then the port
// closes, requests in flight end, and streams are cut bit by bit. The admin port
// goes last, so that all of this can be watched. It does not touch keep-alives:
// SetKeepAlivesEnabled(false) cuts idle connections at once, amid a request that is
// under way on one.
func (p *listeners) shutDown(ctx context.Context, reverseProxy *proxy.Proxy, delay, limit time.Duration, log *slog.Logger) {
	reverseProxy.Drain()
	log.Info("shutting down", "delay", delay, "limit", limit)
	time.Sleep(delay)

	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var cutting sync.WaitGroup
	portClosed := make(chan struct{})
	cutting.Go(func() { cutStreams(ctx, reverseProxy, portClosed) })
	if err := p.traffic.Shutdown(ctx); err != nil {
		log.Warn("requests still running at the end of timeouts.shutdown were cut", "requests", p.requests.Load())
	}
	close(portClosed)
	cutting.Wait()
	_ = p.traffic.Close()
	p.awaitAuditRecords()
	_ = p.admin.Shutdown(ctx)
	log.Info("stopped")
}

// cutStreams cuts streams bit by bit, in half of the time that is left, until the
// port is shut: a request that was in flight may yet become one.
func cutStreams(ctx context.Context, reverseProxy *proxy.Proxy, portClosed <-chan struct{}) {
	const pause = 20 * time.Millisecond
	limit, _ := ctx.Deadline()
	for last := false; ; {
		reverseProxy.CutStreams(ctx, time.Until(limit)/2)
		if last {
			return
		}
		select {
		case <-portClosed:
			last = true
		case <-time.After(pause):
		}
	}
}

// awaitAuditRecords waits for the requests that were cut: each has yet to write its
// record. They have nobody to talk to any more, so it is a matter of moments.
func (p *listeners) awaitAuditRecords() {
	const limit, pause = 2 * time.Second, 5 * time.Millisecond
	for range limit / pause {
		if p.requests.Load() == 0 {
			return
		}
		time.Sleep(pause)
	}
}
