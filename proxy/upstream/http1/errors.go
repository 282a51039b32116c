package http1

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// ProtocolError says how a message broke the rules of HTTP. Its text is fixed: it repeats
// nothing that the other side sent.
type ProtocolError string

func (e ProtocolError) Error() string { return "http1: " + string(e) }

// Errors of responses.
const (
	errNotHTTP       = ProtocolError("malformed HTTP response: it does not begin with HTTP/1")
	errStatusLine    = ProtocolError("malformed HTTP response: bad status line")
	errHeaderLine    = ProtocolError("malformed MIME header in the response")
	errFoldedLine    = ProtocolError("malformed MIME header in the response: folded line")
	errBareLF        = ProtocolError("malformed HTTP response: line without CR")
	errHeaderTooLong = ProtocolError("response headers exceeded the limit")
	errBothFramings  = ProtocolError("response with Content-Length and Transfer-Encoding")
	errLength        = ProtocolError("bad Content-Length in the response, or different ones")
	errEncoding      = ProtocolError("unsupported transfer encoding in the response")
	errTrailer       = ProtocolError("bad trailer in the response")
	errChunk         = ProtocolError("malformed chunk in the response")
	errNotAsked      = ProtocolError("malformed HTTP response: it switches protocols unasked")
)

// Errors of requests: nothing of them was sent.
const (
	errMethod         = ProtocolError("invalid method")
	errTarget         = ProtocolError("invalid request target")
	errHost           = ProtocolError("invalid or missing host")
	errScheme         = ProtocolError("unsupported scheme")
	errRequestHeader  = ProtocolError("invalid header field in the request")
	errRequestTrailer = ProtocolError("invalid trailer field in the request")
	errRequestCoding  = ProtocolError("unsupported transfer encoding of the request")
)

var (
	errBodyTooShort = errors.New("http1: the request's body is shorter than its Content-Length")
	errBodyTooLong  = errors.New("http1: the request's body is longer than its Content-Length")
	errStale        = errors.New("http1: the server had closed the idle connection")
)

// timeoutError is a net.Error.
type timeoutError string

func (e timeoutError) Error() string { return "http1: " + string(e) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

const (
	errHeaderTimeout    = timeoutError("timeout awaiting response headers")
	errContinueTimeout  = timeoutError("timeout awaiting 100 Continue")
	errHandshakeTimeout = timeoutError("TLS handshake timeout")
	errWriteTimeout     = timeoutError("the request cannot be written, and no response comes")
)

// unexpected makes the end of a connection in the middle of something an error.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isConnectionEnd reports that a connection ended, as opposed to any other failure.
func isConnectionEnd(err error) bool {
	return errors.Is(err, errStale) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
