package upstream

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

// clientBody is the body of a client's request, as the upstream reads it. Reading fails after
// timeouts.body without a byte. A slow body is watched like a stream. A transport reads it in
// a goroutine of its own, which may outlast the response.
type clientBody struct {
	io.ReadCloser // net/http's; its errors also cancel the request's context

	f           *forwarding
	http1       bool
	idleTimeout time.Duration // for the next byte; 0: none
	timer       *time.Timer   // for HTTP/2, whose streams keep a deadline while nothing is read

	complete atomic.Bool           // its end was read
	stopped  atomic.Bool           // reads fail from now on, and never report the end
	failure  atomic.Pointer[error] // how reading it failed; the error of the transport says less

	readMu sync.Mutex // held while net/http's body is read

	mu          sync.Mutex
	handlerDone bool           // the handler has returned
	stream      *stream.Stream // while it is watched
}

const (
	// slowReadAfter is how long a read may wait before the body is watched.
	slowReadAfter = time.Second
	// drainTimeout is how long the rest of a body is read and dropped after the response:
	// closing the connection earlier could lose the response.
	drainTimeout = 2 * time.Second

	codeBodyTimeout = "body_timeout"
	errBodyTimeout  = text.SafeError("no byte of the request's body came for timeouts.body")
	errBodyStopped  = text.SafeError("the request's body is not read any more")
)

func (f *forwarding) newClientBody() *clientBody {
	b := &clientBody{ReadCloser: f.R.Body, f: f, http1: f.R.ProtoMajor == 1, idleTimeout: f.BodyTimeout}
	if f.BodyLimit > 0 {
		// It needs the server's own writer, which then closes the connection.
		b.ReadCloser = http.MaxBytesReader(f.Recorder.ResponseWriter, f.R.Body, f.BodyLimit)
	}
	if !b.http1 && respond.IsGRPC(f.R) {
		b.idleTimeout = 0 // a call may be silent for long, and is watched from its beginning
	}
	return b
}

func (b *clientBody) Read(to []byte) (int, error) {
	if b.complete.Load() {
		return 0, io.EOF
	}
	start := time.Now()
	n, err := b.readNext(to, start)
	if err != nil && err != io.EOF {
		return n, err
	}
	if b.idleTimeout > 0 && (err == nil || time.Since(start) > slowReadAfter) {
		if cut := b.openStream(); cut != nil {
			return 0, b.keepError(cut) // what was just read is not forwarded
		}
	}
	return n, err
}

// Close is for transports, which close a body that they do not need any more. net/http's own Close
// would wait for the rest of it; finish ends the reading.
func (b *clientBody) Close() error { return nil }

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
	switch {
	case b.stopped.Load():
		return 0, b.keepError(errBodyStopped)
	case err == nil:
		return n, nil
	case err == io.EOF:
		b.complete.Store(true)
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded),
		// after the last chunk, net/http has a less specific error
		b.idleTimeout > 0 && time.Since(now) >= b.idleTimeout:
		err = errBodyTimeout
	}
	return n, b.keepError(err)
}

// setReadDeadline sets the time by which the next byte must arrive.
func (b *clientBody) setReadDeadline(now time.Time) {
	switch {
	case b.idleTimeout == 0:
	case b.http1:
		_ = b.controller().SetReadDeadline(now.Add(b.idleTimeout)) // net/http clears it at the end of the body
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
	return http.NewResponseController(b.f.Recorder.ResponseWriter)
}

// keepError keeps the first error, and returns it.
func (b *clientBody) keepError(err error) error {
	b.failure.CompareAndSwap(nil, &err)
	return *b.failure.Load()
}

// readError is nil if the body, if any, was read without an error.
func (b *clientBody) readError() error {
	if b == nil {
		return nil
	}
	if err := b.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// settledError is readError after the current read, if that has failed: net/http cancels the
// request's context before the read returns, so that the transport may end first.
func (b *clientBody) settledError() error {
	if b != nil && b.http1 && b.f.R.Context().Err() != nil {
		b.readMu.Lock()
		defer b.readMu.Unlock()
	}
	return b.readError()
}

// unread reports whether there may be more of the body than was read.
func (b *clientBody) unread() bool { return b != nil && !b.complete.Load() }

// stop ends reading for good, for example because the upload was cut.
func (b *clientBody) stop() {
	b.stopped.Store(true)
	b.interruptRead()
}

// interruptRead ends a waiting read.
func (b *clientBody) interruptRead() {
	if b.http1 {
		_ = b.controller().SetReadDeadline(time.Unix(1, 0))
		return
	}
	_ = b.ReadCloser.Close()
}

// openStream registers the body as a stream, once, and has it reauthorized like all streams: the
// request might be refused if it began now.
func (b *clientBody) openStream() error {
	b.mu.Lock()
	if b.stream != nil || b.handlerDone {
		b.mu.Unlock()
		return nil
	}
	s := b.f.Streams.Open(b.f.Exchange, stream.Upload, b.f.cancel, b.stop)
	b.stream = s
	b.mu.Unlock()
	return b.f.Streams.Reauthorize(s)
}

// finish is called by the handler when no more of the body is read. The rest of the body must not
// keep the connection open.
func (b *clientBody) finish() {
	result := b.f.Result
	b.mu.Lock()
	b.handlerDone = true
	watched := b.stream
	b.mu.Unlock()
	if reason := b.f.Streams.Close(watched); reason != "" {
		result.Reason = reason
	}
	if result.Reason == "" && errors.Is(b.readError(), errBodyTimeout) {
		result.Reason = codeBodyTimeout // a response had begun
	}
	if !b.unread() {
		return
	}
	mayDrain := b.readError() == nil // what is still arriving
	b.stop()
	if b.http1 {
		b.readMu.Lock() // with a new deadline, a read that wakes would continue to wait
		defer b.readMu.Unlock()
		if mayDrain {
			_ = b.controller().SetReadDeadline(time.Now().Add(drainTimeout))
		} else {
			b.interruptRead() // a refusal may have set another deadline
		}
		linger(b.f.Recorder.ResponseWriter)
	}
}

// linger makes net/http end its side of the connection a moment before it closes the connection,
// as it does after a body that is too large. With unread bytes, closing resets the connection,
// and the response may be lost.
func linger(w http.ResponseWriter) {
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader(" ")), 0).Read(make([]byte, 1))
}
