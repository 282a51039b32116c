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

	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/text"
)

// clientBody is what a client sends behind its header, as the upstream reads it:
// not for longer than timeouts.body without a byte, and, when it takes its time,
// watched like a stream. A transport reads it in a goroutine of its own, which may
// outlast the answer.
type clientBody struct {
	io.ReadCloser // net/http's; an error from it also cancels the request's context

	f           *forwarding
	http1       bool
	idleTimeout time.Duration // for the next byte; 0: none
	timer       *time.Timer   // of HTTP/2, whose streams keep a deadline when nothing is read

	complete atomic.Bool           // its end was read
	stopped  atomic.Bool           // no more is read: from here on there are errors, never an end
	failure  atomic.Pointer[error] // how reading it failed: what came of it upstream says less

	readMu sync.Mutex // held while net/http's is read

	mu          sync.Mutex
	handlerDone bool           // the handler is done
	stream      *stream.Stream // while it takes its time
}

const (
	// slowReadAfter is how long a read may wait before the whole is watched.
	slowReadAfter = time.Second
	// drainTimeout is how long the rest of a body is read and dropped when its answer has
	// been sent: a connection that is closed before takes the answer with it.
	drainTimeout = 2 * time.Second

	codeBodyTimeout = "body_timeout"
	errBodyTimeout  = text.SafeError("no byte of the request's body came for timeouts.body")
	errBodyStopped  = text.SafeError("the request's body is not read any more")
)

func (f *forwarding) newClientBody(limit int64) *clientBody {
	x := f.x
	b := &clientBody{ReadCloser: x.r.Body, f: f, http1: x.r.ProtoMajor == 1, idleTimeout: time.Duration(f.p.config.Timeouts.Body)}
	if limit > 0 {
		// It looks for the server's own writer, which then gives up the connection.
		b.ReadCloser = http.MaxBytesReader(x.w.ResponseWriter, x.r.Body, limit)
	}
	if !b.http1 && respond.IsGRPC(x.r) {
		b.idleTimeout = 0 // such a call is quiet as long as nobody has anything to say, and watched from its beginning
	}
	return b
}

func (b *clientBody) Read(to []byte) (int, error) {
	if b.complete.Load() {
		return 0, io.EOF
	}
	start := time.Now()
	n, err := b.readNext(to, start)
	switch {
	case b.stopped.Load():
		return 0, b.keepError(errBodyStopped)
	case err == io.EOF:
		b.complete.Store(true)
	case errors.Is(err, os.ErrDeadlineExceeded),
		err != nil && b.idleTimeout > 0 && time.Since(start) >= b.idleTimeout: // behind the last chunk net/http says less
		return n, b.keepError(errBodyTimeout)
	case err != nil:
		return n, b.keepError(err)
	}
	if b.idleTimeout > 0 && (err == nil || time.Since(start) > slowReadAfter) {
		if cut := b.trackStream(); cut != nil {
			return 0, b.keepError(cut) // what has just come is not passed on
		}
	}
	return n, err
}

func (b *clientBody) readNext(to []byte, now time.Time) (int, error) {
	b.readMu.Lock()
	defer b.readMu.Unlock()
	if b.stopped.Load() {
		return 0, errBodyStopped
	}
	b.setReadDeadline(now)
	n, err := b.ReadCloser.Read(to)
	if b.timer != nil {
		b.timer.Stop()
	}
	return n, err
}

// setReadDeadline sets the time until which the next byte has to come.
func (b *clientBody) setReadDeadline(now time.Time) {
	switch {
	case b.idleTimeout == 0:
	case b.http1:
		_ = b.controller().SetReadDeadline(now.Add(b.idleTimeout)) // net/http takes it back at the end of the body
		if b.stopped.Load() {
			b.interruptRead()
		}
	case b.timer == nil:
		b.timer = time.AfterFunc(b.idleTimeout, func() {
			_ = b.keepError(errBodyTimeout)
			b.interruptRead()
		})
	default:
		b.timer.Reset(b.idleTimeout)
	}
}

func (b *clientBody) controller() *http.ResponseController {
	return http.NewResponseController(b.f.x.w.ResponseWriter)
}

// keepError keeps the first failure, and gives it.
func (b *clientBody) keepError(err error) error {
	b.failure.CompareAndSwap(nil, &err)
	return *b.failure.Load()
}

// readError is nil where the body, if any, was read without an error.
func (b *clientBody) readError() error {
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
	b.interruptRead()
}

// interruptRead ends a read that waits.
func (b *clientBody) interruptRead() {
	if b.http1 {
		_ = b.controller().SetReadDeadline(time.Unix(1, 0))
		return
	}
	_ = b.ReadCloser.Close()
}

// trackStream enters it among the streams, once, and has it judged as they are: it may
// be that nobody would let it begin any more.
func (b *clientBody) trackStream() error {
	p, x := b.f.p, b.f.x
	b.mu.Lock()
	if b.stream != nil || b.handlerDone {
		b.mu.Unlock()
		return nil
	}
	x.authorize()
	s := p.streams.Open(x, stream.Upload, b.f.cancel, b.stop)
	b.stream = s
	b.mu.Unlock()
	return p.streams.Reauthorize(s)
}

// finish is called by the handler when nothing more is to be read. What is left of the
// body must not keep the connection from being closed.
func (b *clientBody) finish() {
	x := b.f.x
	b.mu.Lock()
	b.handlerDone = true
	watched := b.stream
	b.mu.Unlock()
	if reason := b.f.p.streams.Close(watched); reason != "" {
		x.reason = reason
	}
	if x.reason == "" && errors.Is(b.readError(), errBodyTimeout) {
		x.reason = codeBodyTimeout // an answer had begun
	}
	if !b.unread() {
		return
	}
	mayDrain := b.readError() == nil // for what is on its way
	b.stop()
	if b.http1 {
		b.readMu.Lock() // a new deadline would make a read that wakes go on waiting
		defer b.readMu.Unlock()
		if mayDrain {
			_ = b.controller().SetReadDeadline(time.Now().Add(drainTimeout))
		} else {
			b.interruptRead() // an answer to it may have set another time
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
