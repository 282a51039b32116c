package listen

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// reserve is how many connections beyond the limit are still accepted: only to be
// told that there are too many, and to let a balancer ask whether authgate lives.
// A limit that is a closed door looks like a dead process.
const reserve = 64

// limited counts the connections of a port from Accept to Close, whoever has them
// by then: a WebSocket counts until it ends.
type limited struct {
	net.Listener
	most int64
	open atomic.Int64

	mu      sync.Mutex
	crowded []*conn // those beyond the limit, the oldest first
}

func limit(l net.Listener, most int) net.Listener {
	return &limited{Listener: l, most: int64(most)}
}

// Accept waits for a connection. When the reserve is full, another one of it has
// to go: left in the queue of the kernel this one would wait with nobody to tell
// it, and connections that say nothing would keep the balancer out.
func (l *limited) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c, ok := accepted.(*conn)
	if !ok {
		return accepted, nil
	}
	c.limit = l
	if now := l.open.Add(1); now > l.most {
		c.beyond = true
		if worst := l.crowd(c, now > l.most+reserve); worst != nil {
			_ = worst.Close() // nothing was promised to it
		}
	}
	return c, nil
}

// crowd enters a connection beyond the limit, and gives the one that makes room
// for it: the oldest of those that have said nothing, or of all.
func (l *limited) crowd(c *conn, full bool) (worst *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if full && len(l.crowded) > 0 {
		i := max(0, slices.IndexFunc(l.crowded, func(c *conn) bool { return !c.heard.Load() }))
		worst = l.crowded[i]
		l.crowded = slices.Delete(l.crowded, i, i+1)
	}
	l.crowded = append(l.crowded, c)
	return worst
}

func (l *limited) left(c *conn) {
	l.open.Add(-1)
	if !c.beyond {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.crowded, c); i >= 0 {
		l.crowded = slices.Delete(l.crowded, i, i+1)
	}
}

type connKey struct{}

// ConnContext is for [net/http.Server.ConnContext]: it notes which connection a
// request comes on, where [Overloaded] looks.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	for {
		switch c := conn.(type) {
		case interface{ overloaded() bool }:
			if c.overloaded() {
				return context.WithValue(ctx, connKey{}, true)
			}
			return ctx
		case interface{ NetConn() net.Conn }: // TLS
			conn = c.NetConn()
		default:
			return ctx
		}
	}
}

// Overloaded reports whether a request, by its context, came on a connection
// beyond the limit of its port.
func Overloaded(ctx context.Context) bool { return ctx.Value(connKey{}) != nil }
