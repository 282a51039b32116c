package listen

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// conn is an accepted connection. A write to it, even by net/http itself, ends when its peer
// reads nothing (stall.go). A first request is read as soon as it has arrived (preface.go).
// It counts against the limit (connection_limit.go).
type conn struct {
	net.Conn

	stalls        *stallTracker
	peerAddr      netip.Addr // without port; zero for a Unix socket
	writeDeadline atomic.Int64
	preface       prefaceTracker
	hasRead       atomic.Bool // a byte was read

	limit       *limitListener // nil: no limit
	overLimit   bool           // the limit
	releaseOnce sync.Once
}

// Read is Read of [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	if c.preface.isAbandonedRead(len(p)) {
		return 0, nil
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.preface.observe(p[:n])
		if !c.hasRead.Load() {
			c.hasRead.Store(true)
		}
	}
	return n, err
}

// Write is Write of [net.Conn], but it fails if its peer reads nothing for a while.
func (c *conn) Write(p []byte) (int, error) {
	written, stalled := 0, time.Duration(0)
	for {
		step := c.stalls.nextStep(stalled)
		c.setStepDeadline(step)
		n, err := c.Conn.Write(p[written:])
		written += n
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.deadlinePassed() {
			c.stalls.remove(c, stalled)
			return written, err
		}
		if n > 0 {
			c.stalls.remove(c, stalled)
			stalled = 0
			continue
		}
		if stalled += step; stalled >= c.stalls.timeout {
			c.stalls.remove(c, stalled)
			return written, err
		}
		c.stalls.add(c)
	}
}

// setStepDeadline sets the deadline of a write. It keeps a deadline that the server has set,
// even concurrently.
func (c *conn) setStepDeadline(step time.Duration) {
	for {
		due := c.writeDeadline.Load()
		deadline := time.Now().Add(step)
		if due != 0 && due < deadline.UnixNano() {
			deadline = time.Unix(0, due)
		}
		_ = c.Conn.SetWriteDeadline(deadline) // the write reports the error
		if c.writeDeadline.Load() == due {
			return
		}
	}
}

// deadlinePassed reports whether the server's own deadline has passed.
func (c *conn) deadlinePassed() bool {
	due := c.writeDeadline.Load()
	return due != 0 && time.Now().UnixNano() >= due
}

// SetWriteDeadline is SetWriteDeadline of [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		c.writeDeadline.Store(0)
	} else {
		c.writeDeadline.Store(t.UnixNano())
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is SetDeadline of [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.Conn.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite ends the sent data before net/http closes the connection.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close frees the slot, once.
func (c *conn) Close() error {
	if c.limit != nil {
		defer c.releaseOnce.Do(func() { c.limit.release(c) })
	}
	return c.Conn.Close()
}

func (c *conn) overloaded() bool { return c.overLimit }

// stallListener is a listener of such connections.
type stallListener struct {
	net.Listener

	stalls *stallTracker
}

// Accept waits for a connection.
func (p *stallListener) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, stalls: p.stalls, peerAddr: addressOf(c)}, nil
}

func addressOf(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
