package listen

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// headroom is how many connections beyond the limit are still accepted: only to be refused
// with a reason, and to answer health checks of load balancers. A limit that closes the port
// looks like a dead process.
const headroom = 64

// limitListener counts the connections of a port from Accept to Close, even if they are
// hijacked: a WebSocket counts until it ends.
type limitListener struct {
	net.Listener
	maxConns int64
	open     atomic.Int64

	mu        sync.Mutex
	overLimit []*conn // those beyond the limit, the oldest first
}

func newLimitListener(l net.Listener, maxConns int) net.Listener {
	return &limitListener{Listener: l, maxConns: int64(maxConns)}
}

// Accept waits for a connection. If the headroom is full, it closes another connection of
// it: in the queue of the kernel this one would wait without a response, and silent
// connections would block the load balancer.
func (l *limitListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c, ok := accepted.(*conn)
	if !ok {
		return accepted, nil
	}
	c.limit = l
	if now := l.open.Add(1); now > l.maxConns {
		c.overLimit = true
		if evicted := l.admitOverLimit(c, now > l.maxConns+headroom); evicted != nil {
			_ = evicted.Close() // it has no request yet
		}
	}
	return c, nil
}

// admitOverLimit adds a connection beyond the limit, and gives the one to close for it: the
// oldest silent one, or the oldest of all.
func (l *limitListener) admitOverLimit(c *conn, full bool) (evicted *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if full && len(l.overLimit) > 0 {
		i := max(0, slices.IndexFunc(l.overLimit, func(c *conn) bool { return !c.hasRead.Load() }))
		evicted = l.overLimit[i]
		l.overLimit = slices.Delete(l.overLimit, i, i+1)
	}
	l.overLimit = append(l.overLimit, c)
	return evicted
}

func (l *limitListener) release(c *conn) {
	l.open.Add(-1)
	if !c.overLimit {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.overLimit, c); i >= 0 {
		l.overLimit = slices.Delete(l.overLimit, i, i+1)
	}
}

type overLimitKey struct{}

// ConnContext is for [net/http.Server.ConnContext]: it records the connection of a request
// for [Overloaded], and ends the context when the client of a connection without TLS leaves.
func ConnContext(ctx context.Context, accepted net.Conn) context.Context {
	own, plain := accepted.(*conn)
	if secure, ok := accepted.(interface{ NetConn() net.Conn }); ok { // TLS
		own, _ = secure.NetConn().(*conn)
	}
	if own == nil {
		return ctx
	}
	if own.overLimit {
		ctx = context.WithValue(ctx, overLimitKey{}, true)
	}
	if plain {
		ctx, own.presence.cancel = context.WithCancel(ctx)
	}
	return ctx
}

// Overloaded reports whether the connection of a request is beyond the limit of its port.
func Overloaded(ctx context.Context) bool { return ctx.Value(overLimitKey{}) != nil }
