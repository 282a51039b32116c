package http1

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
	"time"
)

// exchange is one request and its response.
type exchange struct {
	t       *Transport
	request *http.Request
	ctx     context.Context
	trace   *httptrace.ClientTrace // nil: none
	key     hostKey
	head    *[]byte // of the request; pooled
	close   bool    // the request asks the server to close the connection
	upgrade bool    // the request asks for another protocol
	expect  bool    // the body waits for 100 Continue
	upload  *upload // nil: the request has no body

	conn     *conn
	reused   bool        // conn was idle before
	stop     func() bool // ends the watch on ctx; nil: it cannot be cancelled
	wrote    bool        // a byte of the request was written to conn
	attempts int
	writes   int  // earlier connections to which a byte was written
	onlyNew  bool // the next attempt takes no idle connection

	responseBegun bool
	headBytes     int // of response headers, interim ones included
	response      http.Response
	coding        [1]string // of the response
	body          body
	ended         atomic.Bool // conn is given back, or closed
}

// attempt sends the request on a connection and reads the response header.
func (x *exchange) attempt() error {
	x.wrote, x.stop = false, nil
	if x.ctx.Done() != nil {
		x.stop = context.AfterFunc(x.ctx, x.conn.abort)
	}
	x.conn.buffer = getReadBuffer()
	x.conn.await()
	if err := x.send(); err != nil {
		return err
	}
	return x.receive()
}

// send writes the header of the request, and starts its body. If only the beginning could be
// written, there may still be a response that says why.
func (x *exchange) send() error {
	var err error
	if x.upload == nil {
		var n int
		n, err = x.conn.Write(*x.head)
		x.wrote = n > 0
	} else {
		err = x.upload.sendOn(x)
	}
	if x.trace != nil {
		if x.trace.WroteHeaders != nil {
			x.trace.WroteHeaders()
		}
		if x.trace.WroteRequest != nil && x.upload == nil {
			x.trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
		}
	}
	switch {
	case err == nil && x.upload == nil:
		x.limitHeader()
	case err != nil && x.wrote && x.upload.readError() == nil:
		x.conn.limit(time.Second, errWriteTimeout)
		return nil
	}
	return err
}

// limitHeader begins the time in which the response header must arrive.
func (x *exchange) limitHeader() {
	if x.t.ResponseHeaderTimeout > 0 {
		x.conn.limit(x.t.ResponseHeaderTimeout, errHeaderTimeout)
	}
}

// receive reads the response header, and interim responses before it.
func (x *exchange) receive() error {
	for {
		head, err := x.readHead()
		if err != nil {
			return err
		}
		if x.trace != nil && x.trace.GotFirstResponseByte != nil && len(head) == x.headBytes {
			x.trace.GotFirstResponseByte()
		}
		x.response = http.Response{Request: x.request, TLS: x.conn.state}
		if err := parseHead(&x.response, string(head)); err != nil {
			return err
		}
		if status := x.response.StatusCode; status >= 200 || status == http.StatusSwitchingProtocols {
			x.conn.arrived()
			return x.begin()
		}
		if err := x.interim(); err != nil {
			return err
		}
	}
}

// readHead reads a header. A body that waits for 100 Continue is sent after a while without it.
func (x *exchange) readHead() ([]byte, error) {
	if x.expect && !x.upload.started {
		x.conn.limit(x.t.ExpectContinueTimeout, errContinueTimeout)
	}
	head, err := x.conn.readHead(x.t.maxHeaderBytes() - x.headBytes)
	if errors.Is(err, errContinueTimeout) {
		x.conn.unlimit()
		x.upload.start()
		head, err = x.conn.readHead(x.t.maxHeaderBytes() - x.headBytes)
	}
	x.headBytes += len(head)
	x.responseBegun = x.responseBegun || err == nil || len(x.conn.buffered()) > 0
	return head, err
}

// interim takes a response with a status below 200.
func (x *exchange) interim() error {
	status := x.response.StatusCode
	if _, err := frame(&x.response, x.request.Method); err != nil {
		return err
	}
	if status == http.StatusContinue && x.expect && !x.upload.started {
		if x.trace != nil && x.trace.Got100Continue != nil {
			x.trace.Got100Continue()
		}
		x.conn.unlimit()
		x.upload.start()
	}
	if x.trace != nil && x.trace.Got1xxResponse != nil {
		if err := x.trace.Got1xxResponse(status, textproto.MIMEHeader(x.response.Header)); err != nil {
			return err
		}
	}
	return x.ctx.Err() // the hook may have cancelled the request
}

// begin prepares the body of the final response.
func (x *exchange) begin() error {
	f, err := frame(&x.response, x.request.Method)
	if err != nil {
		return err
	}
	if x.response.StatusCode == http.StatusSwitchingProtocols {
		return x.switchProtocols()
	}
	if f.encoded {
		x.response.TransferEncoding = x.coding[:]
		x.coding[0] = "chunked"
	}
	x.body = body{x: x, framing: f}
	if f.empty() {
		x.response.Body = http.NoBody
		x.finish(!f.close)
		return nil
	}
	x.response.Body = &x.body
	return nil
}

// finish ends an exchange whose response was read to its end. The connection is kept if it can
// be used again.
func (x *exchange) finish(reusable bool) {
	if !x.ended.CompareAndSwap(false, true) {
		return
	}
	c := x.conn
	reusable = x.upload.finish(x) && reusable && !x.close && c.start == c.end && c.readErr == nil
	if x.stop != nil && !x.stop() { // the context was cancelled, and the connection is being closed
		reusable = false
	}
	if reusable {
		c.buffer = putReadBuffer(c.buffer)
		c.start, c.end = 0, 0
		if x.t.keep(c) && x.trace != nil && x.trace.PutIdleConn != nil {
			x.trace.PutIdleConn(nil)
		}
		return
	}
	_ = c.Close()
}

// breakOff ends an exchange whose response was not read to its end.
func (x *exchange) breakOff() {
	if !x.ended.CompareAndSwap(false, true) {
		return
	}
	if x.stop != nil {
		x.stop()
	}
	x.conn.abort()
	x.upload.end()
}

// giveUp closes the connection of an attempt. What was read of the request's body is kept.
func (x *exchange) giveUp() {
	if x.stop != nil {
		x.stop()
	}
	x.conn.abort()
	x.upload.detach()
}

// explain prefers the reason why an exchange ended over what happened to its connection.
func (x *exchange) explain(err error) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	if cause := x.upload.readError(); cause != nil {
		return cause
	}
	return err
}

// closeBody ends the request's body after a failure.
func (x *exchange) closeBody() {
	if x.upload != nil {
		x.upload.end()
	} else if x.request.Body != nil {
		_ = x.request.Body.Close()
	}
}

func (t *Transport) maxIdlePerHost() int {
	if t.MaxIdleConnsPerHost > 0 {
		return t.MaxIdleConnsPerHost
	}
	return defaultMaxIdlePerHost
}
