// Package redact puts into words what other programs answered, for a log or a page:
// in one line, and without what may be secret. It imports nothing of authgate.
package redact

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// maxLine is how many characters of foreign words are repeated.
const maxLine = 200

// Line makes foreign words fit for one line.
func Line(s string) string { return Within(s, maxLine) }

// Within is Line for what may have most characters: an address that somebody has to
// open is of no use without its end.
func Within(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// Quoted is Line in quotation marks, for values of claims and metadata.
func Quoted(s string) string { return strconv.Quote(Line(s)) }

// UnknownError is what [ErrorCode] makes of anything else.
const UnknownError = "unknown_error"

// ErrorCode passes an OAuth error code on (RFC 6749, 5.2), and nothing that only
// claims to be one.
func ErrorCode(s string) string {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		return UnknownError
	}
	return s
}

// Request names a request, and URL an address: without query and userinfo, where
// secrets travel.
func Request(r *http.Request) string { return r.Method + " " + URL(r.URL) }

// URL is of Request.
func URL(u *url.URL) string {
	return Line((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String())
}

// Failure puts a failed round trip into words. Only errors whose text is made of
// addresses and certificates are quoted: net/http also has some that repeat what
// the other side sent.
func Failure(err error) string {
	var (
		timeout interface{ Timeout() bool }
		cert    *tls.CertificateVerificationError
		op      *net.OpError
		noTLS   tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "given up, since nobody waits for the answer any more"
	case errors.As(err, &cert):
		return cert.Error()
	case errors.As(err, &op):
		return op.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &noTLS):
		return "it does not speak TLS, although https was asked for"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection without an answer"
	default:
		return "what it answers is not HTTP, or a proxy on the way refused"
	}
}
