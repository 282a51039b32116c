package http1

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// conn is a connection to a server. One exchange uses it at a time; only limit and abort may be
// called by other goroutines meanwhile.
type conn struct {
	net.Conn // TCP, Unix or TLS
	key      hostKey
	socket   net.Conn // below TLS
	tls      *tls.Conn
	state    *tls.ConnectionState
	records  *recordConn // below TLS
	raw      syscall.RawConn
	peek     func(fd uintptr) // made once, so that a request allocates nothing
	pending  bool             // result of peek
	abort    func()           // closes the socket, so that all reads and writes end

	buffer     []byte // nil while the connection is idle
	start, end int    // of what was read from the connection and not yet used
	readErr    error  // arrived together with bytes

	idleSince time.Time
	one       [1]byte

	wait headerWait
}

// headerWait limits how long the response header may take. Changing the deadline of a socket
// costs more than the rest of a read, so that a deadline stays although it is not needed any
// more, and is corrected when it expires.
type headerWait struct {
	mu      sync.Mutex
	waiting bool      // the header has not yet arrived
	until   time.Time // zero: no limit
	cause   error     // at until
	armed   time.Time // deadline of the socket; zero: none
}

func newConn(c net.Conn, key hostKey) *conn {
	own := &conn{Conn: c, socket: c, key: key}
	own.abort = func() { _ = own.socket.Close() }
	if system, ok := c.(syscall.Conn); ok {
		own.raw, _ = system.SyscallConn()
		own.peek = func(fd uintptr) { own.pending = hasPending(fd) }
	}
	return own
}

// await says that a response header is expected from now on.
func (c *conn) await() {
	c.wait.mu.Lock()
	c.wait.waiting, c.wait.until = true, time.Time{}
	c.wait.mu.Unlock()
}

// arrived says that the response header is complete.
func (c *conn) arrived() {
	c.wait.mu.Lock()
	c.wait.waiting = false
	c.wait.mu.Unlock()
}

// limit makes reading fail with an error if the response header has not arrived after a time.
func (c *conn) limit(after time.Duration, cause error) {
	c.wait.mu.Lock()
	defer c.wait.mu.Unlock()
	if !c.wait.waiting {
		return
	}
	c.wait.until, c.wait.cause = time.Now().Add(after), cause
	if c.wait.armed.IsZero() || c.wait.armed.After(c.wait.until) {
		c.setDeadline(c.wait.until)
	}
}

// unlimit takes back limit.
func (c *conn) unlimit() {
	c.wait.mu.Lock()
	c.wait.until = time.Time{}
	c.wait.mu.Unlock()
}

func (c *conn) setDeadline(at time.Time) {
	c.wait.armed = at
	_ = c.SetReadDeadline(at) // fails on a closed connection only, and so does the read
}

// expired corrects the deadline after a read that it ended. It returns nil if the read may
// continue.
func (c *conn) expired() error {
	c.wait.mu.Lock()
	defer c.wait.mu.Unlock()
	if !c.wait.waiting || c.wait.until.IsZero() {
		c.setDeadline(time.Time{})
		return nil
	}
	if time.Now().Before(c.wait.until) {
		c.setDeadline(c.wait.until)
		return nil
	}
	c.setDeadline(time.Time{})
	return c.wait.cause
}

// Read reads from the connection itself; what is buffered comes first, by take.
func (c *conn) Read(to []byte) (int, error) {
	for empty := 0; ; {
		if c.readErr != nil {
			return 0, c.readErr
		}
		n, err := c.Conn.Read(to)
		switch {
		case n > 0:
			c.readErr = err
			return n, nil
		case err == nil:
			if empty++; empty > 100 {
				return 0, io.ErrNoProgress
			}
		case isTimeout(err) && !errors.Is(err, net.ErrClosed):
			if err := c.expired(); err != nil {
				return 0, err
			}
		default:
			return 0, err
		}
	}
}

// buffered is what was read and not yet used.
func (c *conn) buffered() []byte { return c.buffer[c.start:c.end] }

// fill reads more into the buffer, which grows if it is full.
func (c *conn) fill() error {
	switch {
	case c.start == c.end:
		c.start, c.end = 0, 0
	case c.end == len(c.buffer) && c.start > 0:
		c.end = copy(c.buffer, c.buffered())
		c.start = 0
	}
	if c.end == len(c.buffer) {
		larger := make([]byte, max(2*len(c.buffer), readBufferSize))
		copy(larger, c.buffer)
		c.buffer = larger
	}
	n, err := c.Read(c.buffer[c.end:])
	c.end += n
	return err
}

// take moves buffered bytes to a reader.
func (c *conn) take(to []byte) int {
	n := copy(to, c.buffered())
	c.start += n
	return n
}

// isStale reports that an idle connection cannot be used, because the server has closed it or
// has sent bytes without a request. It consumes nothing that could be a response.
func (c *conn) isStale() bool {
	if c.start != c.end || c.readErr != nil {
		return true
	}
	if c.raw != nil {
		c.pending = false
		if c.raw.Control(c.peek) != nil || c.pending {
			return true
		}
	}
	return c.tls != nil && c.hasTLSBytes()
}

// hasTLSBytes reports whether package tls holds bytes of the connection: of a record that it has
// not decrypted, or not delivered. With a deadline that has passed, nothing is read.
func (c *conn) hasTLSBytes() bool {
	if !c.records.atBoundary() {
		return true
	}
	_ = c.SetReadDeadline(time.Unix(1, 0))
	n, err := c.tls.Read(c.one[:])
	c.wait.mu.Lock()
	c.setDeadline(time.Time{})
	c.wait.mu.Unlock()
	return n > 0 || !isTimeout(err)
}

// recordConn is a socket below TLS. It follows the records that are read (RFC 8446, 5.1), to know
// whether one is incomplete.
type recordConn struct {
	net.Conn
	header [5]byte
	have   int // bytes of the header
	left   int // bytes of the record to come
}

// Read is for package tls.
func (c *recordConn) Read(to []byte) (int, error) {
	n, err := c.Conn.Read(to)
	for b := to[:n]; len(b) > 0; {
		if c.left > 0 {
			skip := min(c.left, len(b))
			c.left -= skip
			b = b[skip:]
			continue
		}
		copied := copy(c.header[c.have:], b)
		c.have += copied
		b = b[copied:]
		if c.have == len(c.header) {
			c.left, c.have = int(c.header[3])<<8|int(c.header[4]), 0
		}
	}
	return n, err
}

func (c *recordConn) atBoundary() bool { return c.have == 0 && c.left == 0 }
