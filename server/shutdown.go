package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/example-org/authgate/proxy"
)

// shutDown stops accepting requests without losing one. First, /readyz fails while all
// requests are still served, so that load balancers stop sending new ones. Then the port
// closes, requests in flight end, and streams are cut gradually. The admin port closes
// last, so that the shutdown can be observed. It does not touch keep-alives:
// SetKeepAlivesEnabled(false) cuts idle connections at once, amid a request that is
// under way on one.
func (p *listeners) shutDown(ctx context.Context, reverseProxy *proxy.Proxy, delay, limit time.Duration,
	log *slog.Logger,
) {
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
	p.awaitAuditRecords(reverseProxy)
	_ = p.admin.Shutdown(ctx)
	log.Info("stopped")
}

// cutStreams cuts streams gradually, in half of the remaining time, until the port is
// closed: a request in flight may still become a stream.
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

// awaitAuditRecords waits for the requests that were cut: each still has to write its
// record. They have no client any more, so this takes moments.
func (p *listeners) awaitAuditRecords(reverseProxy *proxy.Proxy) {
	const limit, pause = 2 * time.Second, 5 * time.Millisecond
	for range limit / pause {
		if p.requests.Load()+reverseProxy.Detached() == 0 {
			return
		}
		time.Sleep(pause)
	}
}
