package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"

	"github.com/example-org/authgate/redact"
)

// upstreamConn is a connection to an upstream of HTTP/1.1. It knows how much was
// written to it, and can be asked whether its peer has closed it, or sent what
// nobody asked for, before the next request is written.
type upstreamConn struct {
	net.Conn

	written atomic.Int64
	spoilt  atomic.Bool // nothing is to be written any more

	raw   syscall.RawConn  // nil: it cannot be asked
	look  func(fd uintptr) // made once: a request allocates nothing for it
	ended bool             // what look found
}

// errSpoilt is of a write that has written nothing.
const errSpoilt = redact.Words("the upstream had closed the kept connection")

// counting has a transport use such connections.
func counting(t *http.Transport) *http.Transport {
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newUpstreamConn(conn), nil
	}
	return t
}

func newUpstreamConn(conn net.Conn) *upstreamConn {
	c := &upstreamConn{Conn: conn}
	if system, ok := conn.(syscall.Conn); ok {
		c.raw, _ = system.SyscallConn()
		c.look = func(fd uintptr) { c.ended = hasEnded(fd) }
	}
	return c
}

func (c *upstreamConn) Write(b []byte) (int, error) {
	if c.spoilt.Load() {
		return 0, errSpoilt
	}
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// CloseWrite ends one direction of a tunnel.
func (c *upstreamConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// over reports that a kept connection is of no use any more. Only whoever is about
// to write a request asks.
func (c *upstreamConn) over() bool {
	if c.raw == nil {
		return false
	}
	c.ended = false
	return c.raw.Control(c.look) != nil || c.ended
}

// behind finds it in what a transport uses.
func behind(conn net.Conn) *upstreamConn {
	for {
		switch c := conn.(type) {
		case *upstreamConn:
			return c
		case interface{ NetConn() net.Conn }: // TLS
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
