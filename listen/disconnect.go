package listen

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// net/http reads one byte of a plain HTTP/1.1 connection while a handler runs, to learn that the
// client has left. Parking that read and interrupting it again costs a twelfth of a short
// request. Here it ends at once, with nothing, and only a request that is still being handled
// after one to two intervals is watched: by the same read of one byte.

// disconnectInterval is how often the running requests are looked at.
const disconnectInterval = 20 * time.Millisecond

// disconnectWatcher knows the connections of a port whose requests are being handled and not yet
// watched. It is safe for concurrent use.
type disconnectWatcher struct {
	interval time.Duration

	mu    sync.Mutex
	conns []*conn
	timer *time.Timer // nil: there are none
}

func (w *disconnectWatcher) add(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	if w.timer == nil {
		w.timer = time.AfterFunc(w.interval, w.check)
	}
}

// check starts to watch the requests that ran at the last check. It forgets these, and the
// connections without a request.
func (w *disconnectWatcher) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.conns[:0]
	for _, c := range w.conns {
		if c.presence.remains(c) {
			kept = append(kept, c)
		}
	}
	clear(w.conns[len(kept):])
	w.conns = kept
	if len(kept) > 0 {
		w.timer.Reset(w.interval)
	} else {
		w.timer = nil
	}
}

// presence is what is known of a client while its request is being handled.
type presence struct {
	watcher *disconnectWatcher
	cancel  context.CancelFunc // ends the requests of the connection; nil: net/http watches

	mu       sync.Mutex
	handling bool       // net/http has begun its read, and nothing else was read since
	seen     bool       // by the last check
	listed   bool       // in the watcher's list
	read     *watchRead // nil: not watched
}

// watchRead is a read of one byte in a goroutine.
type watchRead struct {
	done chan struct{}
	b    [1]byte
	n    int
	err  error
}

// begin records that a request is being handled.
func (p *presence) begin(c *conn) {
	p.mu.Lock()
	p.handling, p.seen = true, false
	isNew := !p.listed
	p.listed = true
	p.mu.Unlock()
	if isNew {
		p.watcher.add(c)
	}
}

// remains reports whether the connection stays in the list.
func (p *presence) remains(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handling && !p.seen {
		p.seen = true
		return true
	}
	p.listed = false
	if p.handling && p.read == nil { // pipelined requests need no read, and leave the first watch
		p.read = &watchRead{done: make(chan struct{})}
		go p.read.run(c)
	}
	return false
}

// run waits for a byte of the next request, or for the end of the connection.
func (r *watchRead) run(c *conn) {
	defer close(r.done)
	if r.n, r.err = c.readSocket(r.b[:]); r.err != nil && !errors.Is(r.err, os.ErrDeadlineExceeded) {
		c.presence.cancel()
	}
}

// end records that the connection is read again, and returns the read that watched it. It is
// over: what it has read comes before everything else.
func (p *presence) end(d *readDeadline) *watchRead {
	p.mu.Lock()
	read := p.read
	p.handling, p.read = false, nil
	p.mu.Unlock()
	if read == nil {
		return nil
	}
	d.interrupt()
	<-read.done
	d.resume()
	return read
}

// isBackgroundRead recognises net/http's read. It removes the deadline immediately before. A read
// that is taken for one although it is not returns nothing, and is repeated.
func (c *conn) isBackgroundRead(n int) bool {
	cleared := c.deadline.takeCleared()
	return cleared && n == 1 && c.presence.cancel != nil
}
