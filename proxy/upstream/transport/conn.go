package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/example-org/authgate/text"
)

// upstreamConn is an HTTP/1.1 connection to an upstream. It counts the bytes written to it. It
// also detects, before the next request is written, that its peer has closed it or has sent
// unsolicited bytes.
type upstreamConn struct {
	net.Conn

	written  atomic.Int64
	reading  atomic.Bool // the transport waits for bytes and has none buffered
	closed   atomic.Bool
	unusable atomic.Bool // writes fail

	raw        syscall.RawConn  // nil: the connection has no socket to inspect
	peek       func(fd uintptr) // made once, so that a request allocates nothing
	peerClosed bool             // result of peek
}

// errConnUnusable is the error of a write that has written nothing.
const errConnUnusable = text.SafeError("the upstream had closed the kept connection")

// trackConns makes a transport use such connections.
func trackConns(t *http.Transport) *http.Transport {
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
		c.peek = func(fd uintptr) { c.peerClosed = peerClosedOrSent(fd) }
	}
	return c
}

func (c *upstreamConn) Read(b []byte) (int, error) {
	c.reading.Store(true)
	n, err := c.Conn.Read(b)
	c.reading.Store(false)
	return n, err
}

func (c *upstreamConn) Write(b []byte) (int, error) {
	if c.unusable.Load() {
		return 0, errConnUnusable
	}
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// Close is Close of [net.Conn].
func (c *upstreamConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// CloseWrite ends one direction of a tunnel.
func (c *upstreamConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// isStale reports that an idle connection cannot be used, because its peer has closed it or has
// sent unsolicited bytes. Only the goroutine that is about to write a request may call it. It
// checks the socket first: hasNoBufferedBytes finds bytes that are read after that.
func (c *upstreamConn) isStale() bool {
	c.peerClosed = false
	if c.raw != nil && (c.raw.Control(c.peek) != nil || c.peerClosed) {
		return true
	}
	return !c.hasNoBufferedBytes()
}

// maxYields is far more than a transport needs between the end of one response and the read
// that waits for the next. Giving up costs a new connection.
const maxYields = 1000

// hasNoBufferedBytes reports that the transport has no buffered bytes of this connection.
// net/http offers a connection for the next request before it reads what follows a response,
// so a second response in the same packet could answer that request. Before the request is
// written, net/http detects it and closes the connection.
func (c *upstreamConn) hasNoBufferedBytes() bool {
	for range maxYields {
		switch {
		case c.reading.Load():
			return true
		case c.closed.Load():
			return false
		}
		runtime.Gosched()
	}
	return false
}

// unwrapConn finds the upstreamConn inside the connection that a transport uses.
func unwrapConn(conn net.Conn) *upstreamConn {
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
