package text

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
)

// SafeError is an error whose text is authgate's own from its first byte to its last.
type SafeError string

func (w SafeError) Error() string { return string(w) }

// RedactError puts a failed round trip into words. Of the texts of errors only those
// are quoted that are made of addresses and times: net/http, and what reads
// certificates, repeat in others what the other side sent.
func RedactError(err error) string {
	var (
		safe      SafeError
		timeout   interface{ Timeout() bool }
		cert      *tls.CertificateVerificationError
		op        *net.OpError
		plainHTTP tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &safe):
		return safe.Error()
	case errors.Is(err, context.Canceled):
		return "canceled: the client no longer waits for the answer"
	case errors.As(err, &cert):
		return "tls: failed to verify certificate: " + describeCertificateError(cert.Err)
	case errors.As(err, &op):
		return op.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &plainHTTP):
		return "it does not speak TLS, although https was asked for"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection without an answer"
	default:
		return describeTransportError(err.Error())
	}
}

// describeCertificateError leaves out the names that a certificate holds.
func describeCertificateError(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return "x509: certificate signed by unknown authority"
	case errors.As(err, &host):
		return "x509: certificate is not valid for " + Sanitize(host.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Sanitize(invalid.Error()) // times
	default:
		return "x509: certificate cannot be used"
	}
}

// knownTransportErrors are marks in the texts of net/http, and what each says of an answer.
var knownTransportErrors = []struct{ substring, message string }{
	{"response headers exceeded", "its header is too large"},
	{"header list too large", "its header is too large"},
	{"server closed idle connection", "it closed the connection without an answer"},
	{"malformed HTTP", "what it answers is not HTTP"},
	{"malformed MIME header", "its header is malformed"},
	{"Content-Length", "its Content-Length is malformed, or said twice"},
	{"ransfer encoding", "its Transfer-Encoding is not understood"},
	{"chunk", "its chunks are malformed"},
	{"trailer", "its trailers are malformed"},
	{"GOAWAY", "it ended the HTTP/2 connection"},
	{"stream error", "it gave the HTTP/2 stream up, or broke the rules of HTTP/2"},
	{"http2: ", "it broke the rules of HTTP/2"},
	{"PROTOCOL_ERROR", "it broke the rules of HTTP/2"},
	{"tls: ", "the TLS handshake failed"},
	{"x509: ", "its certificate cannot be used"},
}

// describeTransportError puts into fixed words why what came is no answer. The other side may
// choose among them, and can add nothing.
func describeTransportError(text string) string {
	for _, known := range knownTransportErrors {
		if strings.Contains(text, known.substring) {
			return known.message
		}
	}
	return "what it answers is not HTTP, or a proxy on the way refused"
}

// RedactBodyError is RedactError for a response whose header has arrived, and whose body broke off.
func RedactBodyError(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return "an answer was canceled: the client no longer waits for it"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "an answer broke off: it closed the connection before the end"
	case errors.As(err, &op):
		return "an answer broke off: " + op.Error()
	default:
		return "an answer broke off: " + describeTransportError(err.Error())
	}
}

// RedactLogLine is for what libraries write into a log by themselves: fixed words for what
// is known of it, and that there was something for all else.
func RedactLogLine(line string) string {
	const (
		unsolicited = "Unsolicited response received on idle HTTP channel"
		protocol    = "protocol error: received "
	)
	switch {
	case strings.HasPrefix(line, unsolicited), strings.Contains(line, "unsolicited DATA frame"):
		return "a server sent bytes without a request; the connection is closed"
	case strings.HasPrefix(line, protocol):
		return "a server broke the rules of HTTP/2; the connection is closed"
	default:
		return "a library reports a fault of another program, in words that may be that program's own"
	}
}
