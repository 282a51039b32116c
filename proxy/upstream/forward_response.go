package upstream

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/text"
)

// This file forwards a response as httputil.ReverseProxy does, which copies each header and makes
// a dozen objects for each request.

// interim forwards interim (1xx) responses until the final one. net/http reports them from another
// goroutine.
type interim struct {
	httptrace.ClientTrace

	mu    sync.Mutex
	ended bool
}

// trace makes a transport report interim responses.
func (i *interim) trace(w http.ResponseWriter) *httptrace.ClientTrace {
	i.Got1xxResponse = func(status int, h textproto.MIMEHeader) error {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.ended {
			return nil
		}
		addHeader(w.Header(), http.Header(h))
		w.WriteHeader(status)
		clear(w.Header()) // net/http keeps it after an interim response
		return nil
	}
	return &i.ClientTrace
}

// end makes it ignore interim responses: the header is that of the final one.
func (i *interim) end() {
	i.mu.Lock()
	i.ended = true
	i.mu.Unlock()
}

// forwardResponse checks a response and forwards its header, body and trailers. It panics with
// http.ErrAbortHandler if the response breaks off, so that the client notices.
func (f *forwarding) forwardResponse(res *http.Response) {
	dropHopByHop(res.Header)
	if err := f.modifyResponse(res); err != nil {
		res.Body.Close()
		f.handleError(err)
		return
	}
	h := f.Recorder.Header()
	addHeader(h, res.Header)
	announced := len(res.Trailer)
	if announced > 0 {
		h.Add("Trailer", strings.Join(slices.Sorted(maps.Keys(res.Trailer)), ", "))
	}
	f.Recorder.WriteHeader(res.StatusCode)
	err := f.copyBody(res)
	res.Body.Close() // completes res.Trailer
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(res.Trailer) > 0 {
		f.addTrailers(res.Trailer, announced)
	}
}

// addHeader adds the fields of from, and shares their values.
func addHeader(to, from http.Header) {
	for name, values := range from {
		if before := to[name]; len(before) > 0 {
			values = slices.Concat(before, values)
		}
		to[name] = slices.Clip(values)
	}
}

// addTrailers adds the trailers of a response.
func (f *forwarding) addTrailers(trailers http.Header, announced int) {
	_ = f.Recorder.FlushError() // or net/http gives a short body a length, and it has no trailers
	h := f.Recorder.Header()
	if len(trailers) == announced {
		addHeader(h, trailers)
		return
	}
	for name, values := range trailers {
		h[http.TrailerPrefix+name] = values
	}
}

// copyBody copies the body of a response until its end, or until one side fails.
func (f *forwarding) copyBody(res *http.Response) error {
	if res.Body == http.NoBody {
		return nil
	}
	to, flushing := io.Writer(f.Recorder), (*flushWriter)(nil)
	if f.mustFlush(res) {
		flushing = newFlushWriter(f.Recorder)
		defer flushing.stop()
		to = flushing
	}
	buffer := f.buffers.get(res.ContentLength)
	defer func() { f.buffers.put(buffer) }()
	for total := int64(0); ; {
		n, err := res.Body.Read(buffer)
		if err == io.EOF && !f.body.unread() {
			flushing.stop() // these bytes are sent with the end
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return f.endOfBody(err)
		}
		if total += int64(n); total > largeBody && len(buffer) < largeBuffer {
			f.buffers.put(buffer)
			buffer = f.buffers.getLarge()
		}
	}
}

// endOfBody is nil at the end of a body. Why a body broke off is logged, unless authgate or the
// client ended it.
func (f *forwarding) endOfBody(err error) error {
	if err == io.EOF {
		return nil
	}
	var cut *stream.CutError
	if !errors.Is(err, context.Canceled) && f.R.Context().Err() == nil && !errors.As(context.Cause(f.ctx), &cut) {
		f.Upstream.log.Warn(text.RedactBodyError(err))
	}
	return err
}

// mustFlush reports whether the client gets every part of a response as it arrives.
func (f *forwarding) mustFlush(res *http.Response) bool {
	return res.ContentLength < 0 || isEventStream(res.Header.Get("Content-Type")) ||
		f.body.unread() // an early response: its client may wait for it before it sends more
}

// flushWriter sends each write at once, and the header soon if there is no write. It writes a short
// response that arrives as a whole together with its header.
type flushWriter struct {
	to *Recorder

	mu      sync.Mutex
	header  *time.Timer
	stopped bool
}

// headerDelay is how long a header waits for the first bytes of its body.
const headerDelay = time.Millisecond

func newFlushWriter(to *Recorder) *flushWriter {
	w := &flushWriter{to: to}
	w.header = time.AfterFunc(headerDelay, func() { w.flush() })
	return w
}

func (w *flushWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.to.Write(b)
	if err == nil && !w.stopped {
		w.header.Stop()
		_ = w.to.FlushError() // the next write fails as well
	}
	return n, err
}

func (w *flushWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		_ = w.to.FlushError()
	}
}

// stop ends flushing: nothing touches the connection any more when the handler returns. It ignores
// nil.
func (w *flushWriter) stop() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.header.Stop()
}
