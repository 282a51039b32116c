// Package text prepares foreign text for a log, a page or an error: one line, printable,
// quoted where it is a value, and without secrets. It imports nothing of authgate.
package text

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// maxRunes limits how many characters of foreign text are repeated.
const maxRunes = 200

// Sanitize makes foreign text one printable line of at most 200 characters.
func Sanitize(s string) string { return SanitizeMax(s, maxRunes) }

// SanitizeMax is [Sanitize] with another limit: an address that a user has to open needs its end.
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

// RedactRequest names a request, and URL an address: without query and userinfo, where
// secrets travel.
func RedactRequest(r *http.Request) string { return r.Method + " " + RedactURL(r.URL) }

// RedactURL is of Request.
func RedactURL(u *url.URL) string {
	return Sanitize((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String())
}
