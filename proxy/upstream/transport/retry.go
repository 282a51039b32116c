package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
)

// retryTransport sends a request again in two cases. Either no byte of it was written, or an
// idle connection ended before the response began, the method is idempotent (RFC 9110,
// 9.2.2) and the whole body is still available. A request is written at most twice,
// net/http's own retries included.
type retryTransport struct{ *http.Transport }

const (
	maxReplayBytes = 64 << 10 // of a body
	maxDials       = 3        // connections on which nothing was written
	maxWrites      = 2
)

func (t retryTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !isIdempotent(r.Method) {
		hideIdempotencyKeys(r.Header)
	}
	var replay *replayBody
	if r.Body != nil && r.Body != http.NoBody {
		replay = &replayBody{from: r.Body}
	}
	a := &attempt{}
	r = a.trace(r)
	for dials := 1; ; dials++ {
		sent := r
		if replay != nil {
			again := *r
			again.Body = replay.body()
			sent = &again
		}
		res, err := t.Transport.RoundTrip(sent)
		if err == nil || r.Context().Err() != nil || dials == maxDials || !a.mayRetry(r, replay, err) {
			return res, err
		}
		if !a.wrote() {
			t.CloseIdleConnections() // the others have been idle as long
		}
	}
}

// hideIdempotencyKeys writes two headers in lower case, so that net/http does not find them: it
// would retry a POST that has one. Upstreams see no difference, because names have no case.
func hideIdempotencyKeys(h http.Header) {
	for _, name := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// attempt records what happens to a request on its connections.
type attempt struct {
	conn            *upstreamConn
	writtenBefore   int64 // bytes written to conn before
	reused          bool
	writes          int         // other connections on which a part of the request was written
	responseStarted atomic.Bool // the response has begun
}

// trace reports the connections of a request to a. ReverseProxy has made a trace for this
// request; wrapping it in another would cost more than the rest of this file.
func (a *attempt) trace(r *http.Request) *http.Request {
	trace := httptrace.ContextClientTrace(r.Context())
	if trace == nil {
		trace = new(httptrace.ClientTrace)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	}
	trace.GotConn, trace.GotFirstResponseByte = a.gotConn, func() { a.responseStarted.Store(true) }
	return r
}

func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	if a.wrote() {
		a.writes++
	}
	a.conn, a.reused = unwrapConn(info.Conn), info.Reused
	if a.conn == nil {
		return
	}
	a.writtenBefore = a.conn.written.Load()
	if a.reused && a.conn.isStale() || a.writes >= maxWrites {
		a.conn.unusable.Store(true)
	}
}

func (a *attempt) wrote() bool { return a.conn != nil && a.conn.written.Load() > a.writtenBefore }

func (a *attempt) mayRetry(r *http.Request, replay *replayBody, err error) bool {
	switch {
	case a.conn == nil || !IsConnectionClosed(err): // there was no connection, or it is not the cause
		return false
	case a.writes == 0 && !a.wrote():
		return replay.canReplay()
	default:
		return a.writes == 0 && a.reused && !a.responseStarted.Load() && isIdempotent(r.Method) && replay.canReplay() &&
			r.ContentLength <= maxReplayBytes
	}
}

// IsConnectionClosed reports whether a connection ended, as opposed to any other failure.
// net/http closes a connection if it reads its end while it assigns a request to it.
func IsConnectionClosed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, errConnUnusable) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "server closed idle connection") // net/http does not export this error
}

func isIdempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// replayBody keeps the part of a body that was read, so that it can be sent again together
// with what the client has yet to send. It is nil for a request without a body.
type replayBody struct {
	from       io.Reader
	bytes      []byte
	overflowed bool // more was read than is kept
	complete   bool
}

func (k *replayBody) canReplay() bool { return k == nil || !k.overflowed }

// body is the whole body from its beginning. Closing it has no effect, because what was read
// may be needed again.
func (k *replayBody) body() io.ReadCloser { return &replayReader{k: k} }

type replayReader struct {
	k    *replayBody
	read int // position in k.bytes
}

func (r *replayReader) Read(to []byte) (int, error) {
	k := r.k
	if r.read < len(k.bytes) {
		n := copy(to, k.bytes[r.read:])
		r.read += n
		return n, nil
	}
	if k.complete {
		return 0, io.EOF
	}
	n, err := k.from.Read(to)
	if k.overflowed = k.overflowed || len(k.bytes)+n > maxReplayBytes; k.overflowed {
		k.bytes, r.read = nil, 0
	} else {
		k.bytes = append(k.bytes, to[:n]...)
		r.read = len(k.bytes)
	}
	k.complete = err == io.EOF
	return n, err
}

func (r *replayReader) Close() error { return nil }
