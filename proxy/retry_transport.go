package proxy

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

// retryTransport sends a request again where no part of it can have been processed: not
// a byte of it was written; or a kept connection ended before the answer began,
// the method is idempotent (RFC 9110, 9.2.2) and all of the body is still there.
// A request is written at most twice, by net/http's own repetitions too.
type retryTransport struct{ *http.Transport }

const (
	maxReplayBytes = 64 << 10 // bytes of a body
	maxDials       = 3        // of which nothing was written
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
			t.CloseIdleConnections() // the others have waited as long
		}
	}
}

// hideIdempotencyKeys spells headers so that net/http does not see them, which would repeat a
// POST that has one. On the way they are what they were: names have no case.
func hideIdempotencyKeys(h http.Header) {
	for _, name := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// attempt is what becomes of a request on its connections.
type attempt struct {
	conn            *upstreamConn
	writtenBefore   int64 // what was written to conn before
	reused          bool
	writes          int         // connections on which something of the request was written, but for conn
	responseStarted atomic.Bool // the answer has begun
}

// trace has a told of the connections that a request gets. ReverseProxy has made
// a trace for this very request; to put another around it would cost more than
// the rest of this.
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
	case a.conn == nil || !isConnectionClosed(err): // no connection was had, or it is not why
		return false
	case a.writes == 0 && !a.wrote():
		return replay.canReplay()
	default:
		return a.writes == 0 && a.reused && !a.responseStarted.Load() && isIdempotent(r.Method) && replay.canReplay() && r.ContentLength <= maxReplayBytes
	}
}

// isConnectionClosed tells the end of a connection from all else that can go wrong with one.
// net/http closes a connection whose end it reads while a request is given to it.
func isConnectionClosed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errConnUnusable) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "server closed idle connection") // net/http has no name for it
}

func isIdempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// replayBody keeps the beginning of a body, so that all of it is there: this, and
// what the client has yet to send. A nil one is of a request without.
type replayBody struct {
	from       io.Reader
	bytes      []byte
	overflowed bool // than is kept
	complete   bool
}

func (k *replayBody) canReplay() bool { return k == nil || !k.overflowed }

// body is all of it, from its beginning. Closing it is for whoever it came from:
// what was read of it may be needed once more.
func (k *replayBody) body() io.ReadCloser { return &replayReader{k: k} }

type replayReader struct {
	k    *replayBody
	read int // of what is kept
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
