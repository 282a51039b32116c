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
// A client that leaves is noticed without a read for each request (disconnect.go). It counts
// against the limit (connection_limit.go).
type conn struct {
	net.Conn

	stalls        *stallTracker
	peerAddr      netip.Addr // without port; zero for a Unix socket
	writeDeadline atomic.Int64
	deadline      readDeadline
	presence      presence
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
	if c.isBackgroundRead(len(p)) {
		c.presence.begin(c)
		return 0, nil
	}
	if watched := c.presence.end(&c.deadline); watched != nil && (watched.n > 0 || !isDeadline(watched.err)) {
		return copy(p, watched.b[:watched.n]), watched.err
	}
	n, err := c.readSocket(p)
	if n > 0 {
		c.preface.observe(p[:n])
		if !c.hasRead.Load() {
			c.hasRead.Store(true)
		}
	}
	return n, err
}

// readSocket reads until the deadline that was set.
func (c *conn) readSocket(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || !isDeadline(err) || !c.deadline.extend() {
			return n, err
		}
	}
}

func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// Write is Write of [net.Conn], but it fails if its peer reads nothing for a while. Setting a
// deadline costs, so that a write begins with the one that the last write has left, and its time
// begins when that expires. It waits in short steps, so that none is left for long.
func (c *conn) Write(p []byte) (int, error) {
	written, step, stalled := 0, time.Duration(0), time.Duration(0)
	for {
		n, err := c.Conn.Write(p[written:])
		written += n
		if n > 0 {
			c.stalls.remove(c, stalled)
			step, stalled = 0, 0
		}
		isCounted := stalled > 0
		stalled += step
		if !isDeadline(err) || c.deadlinePassed() || stalled >= c.stalls.timeout {
			c.stalls.remove(c, stalled)
			return written, err
		}
		if stalled > 0 && !isCounted {
			c.stalls.add(c)
		}
		step = min(c.stalls.suspectAfter, c.stalls.timeout-stalled)
		_ = c.setStepDeadline(step) // the write reports the error
	}
}

// setStepDeadline sets the deadline of a write. It keeps a deadline that the server has set,
// even concurrently.
func (c *conn) setStepDeadline(step time.Duration) error {
	for {
		due := c.writeDeadline.Load()
		deadline := time.Now().Add(step)
		if due != 0 && due < deadline.UnixNano() {
			deadline = time.Unix(0, due)
		}
		err := c.Conn.SetWriteDeadline(deadline)
		if err != nil || c.writeDeadline.Load() == due {
			return err
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
	due := int64(0)
	if !t.IsZero() {
		due = t.UnixNano()
	}
	if c.writeDeadline.Swap(due) == 0 && due == 0 { // net/http removes it after each response
		return nil
	}
	return c.setStepDeadline(c.stalls.suspectAfter)
}

// SetReadDeadline is SetReadDeadline of [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error { return c.deadline.set(t) }

// SetDeadline is SetDeadline of [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
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
	if c.presence.cancel != nil {
		c.presence.cancel()
	}
	return c.Conn.Close()
}

// stallListener is a listener of such connections.
type stallListener struct {
	net.Listener

	stalls  *stallTracker
	clients *disconnectWatcher
}

// Accept waits for a connection.
func (p *stallListener) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	own := &conn{
		Conn: c, stalls: p.stalls, peerAddr: addressOf(c),
		deadline: readDeadline{socket: c}, presence: presence{watcher: p.clients},
	}
	_ = own.setStepDeadline(p.stalls.suspectAfter) // fails on a closed connection only
	return own, nil
}

func addressOf(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
