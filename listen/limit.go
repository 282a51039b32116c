package listen

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// reserve is how many connections beyond the limit are still accepted: only to be
// told that there are too many, and to let a balancer ask whether authgate lives.
// A limit that is a closed door looks like a dead process.
const reserve = 64

// limited counts the connections of a listener from Accept to Close, whoever has
// them by then: a WebSocket counts until it ends.
type limited struct {
	net.Listener
	most int64
	open *atomic.Int64
}

func limit(l net.Listener, most int) net.Listener {
	return &limited{l, int64(most), new(atomic.Int64)}
}

// Accept waits for a connection. One beyond the reserve is closed at once: left
// in the queue of the kernel it would wait with nobody to tell it.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		now := l.open.Add(1)
		if now <= l.most+reserve {
			return counted(conn, &place{open: l.open, beyond: now > l.most}), nil
		}
		l.open.Add(-1)
		_ = conn.Close() // nothing was promised to it
	}
}

// place is what one connection takes up.
type place struct {
	open   *atomic.Int64
	beyond bool // the limit
	once   sync.Once
}

func (p *place) leave() { p.once.Do(func() { p.open.Add(-1) }) }

func (p *place) overloaded() bool { return p.beyond }

// counted keeps the methods by which net/http copies without a buffer (ReadFrom)
// and says goodbye before it closes (CloseWrite).
func counted(conn net.Conn, p *place) net.Conn {
	switch c := conn.(type) {
	case *net.TCPConn:
		return &countedTCP{c, p}
	case *net.UnixConn:
		return &countedUnix{c, p}
	default:
		return &countedConn{conn, p}
	}
}

type countedTCP struct {
	*net.TCPConn
	*place
}

type countedUnix struct {
	*net.UnixConn
	*place
}

type countedConn struct {
	net.Conn
	*place
}

func (c *countedTCP) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

func (c *countedUnix) Close() error {
	defer c.leave()
	return c.UnixConn.Close()
}

func (c *countedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
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
