package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/redact"
)

// clientBody is what a client sends behind its header, as the upstream reads it:
// not for longer than timeouts.body without a byte, and, when it takes its time,
// watched like a stream. A transport reads it in a goroutine of its own, which may
// outlast the answer.
type clientBody struct {
	io.ReadCloser // net/http's; an error from it also cancels the request's context

	f        *passage
	http1    bool
	patience time.Duration // for the next byte; 0: none
	timer    *time.Timer   // of HTTP/2, whose streams keep a deadline when nothing is read

	complete atomic.Bool           // its end was read
	stopped  atomic.Bool           // no more is read: from here on there are errors, never an end
	failure  atomic.Pointer[error] // how reading it failed: what came of it upstream says less

	reading sync.Mutex // held while net/http's is read

	mu      sync.Mutex
	over    bool    // the handler is done
	watched *stream // while it takes its time
}

const (
	// takesItsTime is how long a read may wait before the whole is watched.
	takesItsTime = time.Second
	// unreadBody is how long the rest of a body is read and dropped when its answer has
	// been sent: a connection that is closed before takes the answer with it.
	unreadBody = 2 * time.Second

	codeBodyTimeout = "body_timeout"
	errBodyTimeout  = redact.Words("no byte of the request's body came for timeouts.body")
	errBodyStopped  = redact.Words("the request's body is not read any more")
)

func (f *passage) newBody(limit int64) *clientBody {
	x := f.x
	b := &clientBody{ReadCloser: x.r.Body, f: f, http1: x.r.ProtoMajor == 1, patience: time.Duration(f.p.config.Timeouts.Body)}
	if limit > 0 {
		// It looks for the server's own writer, which then gives up the connection.
		b.ReadCloser = http.MaxBytesReader(x.w.ResponseWriter, x.r.Body, limit)
	}
	if !b.http1 && isGRPC(x.r) {
		b.patience = 0 // such a call is quiet as long as nobody has anything to say, and watched from its beginning
	}
	return b
}

func (b *clientBody) Read(to []byte) (int, error) {
	if b.complete.Load() {
		return 0, io.EOF
	}
	begun := time.Now()
	n, err := b.readNext(to, begun)
	switch {
	case b.stopped.Load():
		return 0, b.fail(errBodyStopped)
	case err == io.EOF:
		b.complete.Store(true)
	case errors.Is(err, os.ErrDeadlineExceeded),
		err != nil && b.patience > 0 && time.Since(begun) >= b.patience: // behind the last chunk net/http says less
		return n, b.fail(errBodyTimeout)
	case err != nil:
		return n, b.fail(err)
	}
	if b.patience > 0 && (err == nil || time.Since(begun) > takesItsTime) {
		if cut := b.watch(); cut != nil {
			return 0, b.fail(cut) // what has just come is not passed on
		}
	}
	return n, err
}

func (b *clientBody) readNext(to []byte, now time.Time) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.stopped.Load() {
		return 0, errBodyStopped
	}
	b.await(now)
	n, err := b.ReadCloser.Read(to)
	if b.timer != nil {
		b.timer.Stop()
	}
	return n, err
}

// await sets the time until which the next byte has to come.
func (b *clientBody) await(now time.Time) {
	switch {
	case b.patience == 0:
	case b.http1:
		_ = b.control().SetReadDeadline(now.Add(b.patience)) // net/http takes it back at the end of the body
		if b.stopped.Load() {
			b.wake()
		}
	case b.timer == nil:
		b.timer = time.AfterFunc(b.patience, func() {
			_ = b.fail(errBodyTimeout)
			b.wake()
		})
	default:
		b.timer.Reset(b.patience)
	}
}

func (b *clientBody) control() *http.ResponseController {
	return http.NewResponseController(b.f.x.w.ResponseWriter)
}

// fail keeps the first failure, and gives it.
func (b *clientBody) fail(err error) error {
	b.failure.CompareAndSwap(nil, &err)
	return *b.failure.Load()
}

// failed is nil where the body, if any, was read without an error.
func (b *clientBody) failed() error {
	if b == nil {
		return nil
	}
	if err := b.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// unread reports whether there may be more of it than was read.
func (b *clientBody) unread() bool { return b != nil && !b.complete.Load() }

// stop ends the reading of it, now and for ever: an upload that is cut.
func (b *clientBody) stop() {
	b.stopped.Store(true)
	b.wake()
}

// wake ends a read that waits.
func (b *clientBody) wake() {
	if b.http1 {
		_ = b.control().SetReadDeadline(time.Unix(1, 0))
		return
	}
	_ = b.ReadCloser.Close()
}

// watch enters it among the streams, once, and has it judged as they are: it may
// be that nobody would let it begin any more.
func (b *clientBody) watch() error {
	p, x := b.f.p, b.f.x
	b.mu.Lock()
	if b.watched != nil || b.over {
		b.mu.Unlock()
		return nil
	}
	s := p.newStream(x, upload, b.f.cancel, b.stop)
	b.watched = s
	p.streams.enter(s)
	b.mu.Unlock()
	p.review(s, p.state.Load())
	if reason := s.wasCut(); reason != "" {
		return &cutError{reason}
	}
	return nil
}

// end is called by the handler when nothing more is to be read. What is left of the
// body must not keep the connection from being closed.
func (b *clientBody) end() {
	x := b.f.x
	b.mu.Lock()
	b.over = true
	watched := b.watched
	b.mu.Unlock()
	if watched != nil {
		b.f.p.unwatchStream(watched)
	}
	if x.reason == "" && errors.Is(b.failed(), errBodyTimeout) {
		x.reason = codeBodyTimeout // an answer had begun
	}
	if !b.unread() {
		return
	}
	waits := b.failed() == nil // for what is on its way
	b.stop()
	if b.http1 {
		b.reading.Lock() // a new deadline would make a read that wakes go on waiting
		defer b.reading.Unlock()
		if waits {
			_ = b.control().SetReadDeadline(time.Now().Add(unreadBody))
		} else {
			b.wake() // an answer to it may have set another time
		}
		linger(x.w.ResponseWriter)
	}
}

// linger has net/http end its side of a connection a moment before it closes it
// all, as it does behind a body that is too large: with bytes unread, to close is
// to reset, and the answer may be lost.
func linger(w http.ResponseWriter) {
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader(" ")), 0).Read(make([]byte, 1))
}
