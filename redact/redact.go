// Package redact puts into words what other programs answered, for a log or a page:
// in one line, and without what may be secret. It imports nothing of authgate.
package redact

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// maxLength is how many characters of foreign words are repeated.
const maxLength = 200

// Sanitize makes foreign words fit for one line.
func Sanitize(s string) string { return SanitizeMax(s, maxLength) }

// SanitizeMax is Line for what may have most characters: an address that somebody has to
// open is of no use without its end.
func SanitizeMax(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
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
func Quoted(s string) string { return strconv.Quote(Sanitize(s)) }

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
	return Sanitize((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String())
}
