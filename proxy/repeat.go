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

// repeating sends a request again where no part of it can have been processed: not
// a byte of it was written; or a kept connection ended before the answer began,
// the method is idempotent (RFC 9110, 9.2.2) and all of the body is still there.
// A request is written at most twice, by net/http's own repetitions too.
type repeating struct{ *http.Transport }

const (
	mostKept   = 64 << 10 // bytes of a body
	mostDials  = 3        // of which nothing was written
	mostWrites = 2
)

func (t repeating) RoundTrip(r *http.Request) (*http.Response, error) {
	if !idempotent(r.Method) {
		hideKeys(r.Header)
	}
	var kept *keptBody
	if r.Body != nil && r.Body != http.NoBody {
		kept = &keptBody{from: r.Body}
	}
	a := &attempt{}
	r = a.follow(r)
	for dials := 1; ; dials++ {
		sent := r
		if kept != nil {
			again := *r
			again.Body = kept.body()
			sent = &again
		}
		res, err := t.Transport.RoundTrip(sent)
		if err == nil || r.Context().Err() != nil || dials == mostDials || !a.mayRepeat(r, kept, err) {
			return res, err
		}
		if !a.wrote() {
			t.CloseIdleConnections() // the others have waited as long
		}
	}
}

// hideKeys spells headers so that net/http does not see them, which would repeat a
// POST that has one. On the way they are what they were: names have no case.
func hideKeys(h http.Header) {
	for _, name := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, there := h[name]; there {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// attempt is what becomes of a request on its connections.
type attempt struct {
	conn   *upstreamConn
	begun  int64 // what was written to conn before
	reused bool
	writes int         // connections on which something of the request was written, but for conn
	heard  atomic.Bool // the answer has begun
}

// follow has a told of the connections that a request gets. ReverseProxy has made
// a trace for this very request; to put another around it would cost more than
// the rest of this.
func (a *attempt) follow(r *http.Request) *http.Request {
	trace := httptrace.ContextClientTrace(r.Context())
	if trace == nil {
		trace = new(httptrace.ClientTrace)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	}
	trace.GotConn, trace.GotFirstResponseByte = a.got, func() { a.heard.Store(true) }
	return r
}

func (a *attempt) got(info httptrace.GotConnInfo) {
	if a.wrote() {
		a.writes++
	}
	a.conn, a.reused = behind(info.Conn), info.Reused
	if a.conn == nil {
		return
	}
	a.begun = a.conn.written.Load()
	if a.reused && a.conn.over() || a.writes >= mostWrites {
		a.conn.spoilt.Store(true)
	}
}

func (a *attempt) wrote() bool { return a.conn != nil && a.conn.written.Load() > a.begun }

func (a *attempt) mayRepeat(r *http.Request, kept *keptBody, err error) bool {
	switch {
	case a.conn == nil || !isEnd(err): // no connection was had, or it is not why
		return false
	case a.writes == 0 && !a.wrote():
		return kept.canBegin()
	default:
		return a.writes == 0 && a.reused && !a.heard.Load() && idempotent(r.Method) && kept.canBegin() && r.ContentLength <= mostKept
	}
}

// isEnd tells the end of a connection from all else that can go wrong with one.
// net/http closes a connection whose end it reads while a request is given to it.
func isEnd(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errSpoilt) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "server closed idle connection") // net/http has no name for it
}

func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// keptBody keeps the beginning of a body, so that all of it is there: this, and
// what the client has yet to send. A nil one is of a request without.
type keptBody struct {
	from  io.Reader
	bytes []byte
	more  bool // than is kept
	whole bool
}

func (k *keptBody) canBegin() bool { return k == nil || !k.more }

// body is all of it, from its beginning. Closing it is for whoever it came from:
// what was read of it may be needed once more.
func (k *keptBody) body() io.ReadCloser { return &keptReader{k: k} }

type keptReader struct {
	k    *keptBody
	read int // of what is kept
}

func (r *keptReader) Read(to []byte) (int, error) {
	k := r.k
	if r.read < len(k.bytes) {
		n := copy(to, k.bytes[r.read:])
		r.read += n
		return n, nil
	}
	if k.whole {
		return 0, io.EOF
	}
	n, err := k.from.Read(to)
	if k.more = k.more || len(k.bytes)+n > mostKept; k.more {
		k.bytes, r.read = nil, 0
	} else {
		k.bytes = append(k.bytes, to[:n]...)
		r.read = len(k.bytes)
	}
	k.whole = err == io.EOF
	return n, err
}

func (r *keptReader) Close() error { return nil }
