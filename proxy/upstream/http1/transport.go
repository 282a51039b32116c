// Package http1 is a client of HTTP/1.1 for proxies: a [Transport] is an http.RoundTripper that
// writes a request and reads its response in the goroutine of the caller. net/http's own
// transport hands both over to two further goroutines per connection.
//
// It is strict: a response that two readers could understand differently is an error, and a
// connection is used again only if exactly one response was read from it, to its last byte.
// It adds nothing to a request but the framing. It has no proxies, redirects, cookies,
// compression or HTTP/2.
package http1

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// Transport sends requests with the schemes http and https. Fields have the names and meanings
// of [http.Transport]; for durations, 0 is no limit. It is safe for concurrent use, and its
// fields must not change after the first request.
type Transport struct {
	DialContext            func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
	TLSClientConfig        *tls.Config
	TLSHandshakeTimeout    time.Duration
	ResponseHeaderTimeout  time.Duration // from the end of the request
	ExpectContinueTimeout  time.Duration // until a body is sent although the server did not ask for it
	IdleConnTimeout        time.Duration
	MaxIdleConnsPerHost    int // 0: 2
	MaxResponseHeaderBytes int // interim responses included; 0: 256 KiB

	pool pool
}

const (
	defaultMaxIdlePerHost = 2
	defaultMaxHeaderBytes = 256 << 10

	maxDials  = 3 // connections on which nothing was written
	maxWrites = 2 // times that a part of one request is written
)

// RoundTrip is for [http.RoundTripper]. The body of a response with status 101 is an
// io.ReadWriteCloser.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x := &exchange{t: t, request: r, ctx: r.Context(), trace: httptrace.ContextClientTrace(r.Context())}
	if err := x.prepare(); err != nil {
		x.closeBody()
		return nil, err
	}
	err := x.run()
	x.freeHead()
	if err != nil {
		x.closeBody()
		return nil, x.explain(err)
	}
	return &x.response, nil
}

// run sends the request, and sends it again where that is safe, until it has a response.
func (x *exchange) run() error {
	for {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		if err := x.connect(); err != nil {
			return err
		}
		err := x.attempt()
		if err == nil {
			return nil
		}
		x.giveUp()
		if x.ctx.Err() != nil || !x.mayRepeat(err) {
			return err
		}
	}
}

// connect takes an idle connection, or makes one.
func (x *exchange) connect() error {
	if x.trace != nil && x.trace.GetConn != nil {
		x.trace.GetConn(x.key.address())
	}
	var err error
	x.conn, x.reused = nil, false
	if x.onlyNew {
		x.conn, err = x.t.dial(x.ctx, x.key, x.trace)
	} else if x.conn = x.t.pool.get(x.key, x.t.IdleConnTimeout); x.conn != nil {
		x.reused = true
	} else {
		x.conn, x.reused, err = x.t.dialOrWait(x.ctx, x.key, x.trace)
	}
	if err != nil {
		return err
	}
	if x.trace != nil && x.trace.GotConn != nil {
		x.trace.GotConn(httptrace.GotConnInfo{Conn: x.conn.Conn, Reused: x.reused, WasIdle: x.reused})
	}
	return nil
}

// mayRepeat says whether the request can be sent on another connection. Either no byte of it
// was written; or an idle connection ended before the response began, and the method is
// idempotent (RFC 9110, 9.2.2). In both cases the whole body must still be available.
func (x *exchange) mayRepeat(err error) bool {
	if !isConnectionEnd(err) || !x.upload.canRepeat() {
		return false
	}
	x.attempts++
	if !x.wrote {
		return x.attempts < maxDials
	}
	x.writes++
	if x.writes >= maxWrites || !x.reused || x.responseBegun || !isIdempotent(x.request.Method) || !x.upload.isShort() {
		return false
	}
	x.t.pool.drop(x.key) // the others have been idle as long
	x.onlyNew = true
	return true
}

// CloseIdleConnections closes the connections that no request uses. Those in use are closed when
// they become idle, unless another request is sent before.
func (t *Transport) CloseIdleConnections() { t.pool.closeAll() }

func isIdempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

func (t *Transport) maxHeaderBytes() int {
	if t.MaxResponseHeaderBytes > 0 {
		return t.MaxResponseHeaderBytes
	}
	return defaultMaxHeaderBytes
}
