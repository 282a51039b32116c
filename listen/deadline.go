package listen

import (
	"net"
	"sync"
	"time"
)

// readDeadline is the deadline for reads of a connection. net/http changes it seven times per
// request, and mostly to a later time. Changing the socket's costs more than the rest of such a
// read, so that the socket keeps an earlier deadline, which is corrected when it expires. It is
// safe for concurrent use.
type readDeadline struct {
	socket net.Conn

	mu          sync.Mutex
	wanted      time.Time // zero: none
	armed       time.Time // the socket's; zero: none
	cleared     bool      // removed by the last call, and nothing was read since
	interrupted bool
}

// set is SetReadDeadline of [net.Conn].
func (d *readDeadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted, d.cleared = t, t.IsZero()
	if t.IsZero() || !d.armed.IsZero() && !t.Before(d.armed) || d.interrupted {
		return nil
	}
	return d.arm(t)
}

func (d *readDeadline) arm(t time.Time) error {
	d.armed = t
	return d.socket.SetReadDeadline(t)
}

// takeCleared reports whether the deadline was removed immediately before this read.
func (d *readDeadline) takeCleared() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	cleared := d.cleared
	d.cleared = false
	return cleared
}

// extend corrects the socket's deadline after it has ended a read, and reports whether the read
// may continue.
func (d *readDeadline) extend() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.interrupted || !d.wanted.IsZero() && !time.Now().Before(d.wanted) {
		return false
	}
	return d.arm(d.wanted) == nil
}

// interrupt ends the current read, and every other before resume.
func (d *readDeadline) interrupt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.interrupted = true
	_ = d.arm(time.Unix(1, 0)) // fails on a closed connection only, and so does the read
}

// resume ends interrupt.
func (d *readDeadline) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.interrupted = false
	_ = d.arm(d.wanted)
}
