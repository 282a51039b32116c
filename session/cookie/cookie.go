// Package cookie reads and writes authgate's session cookie in a browser. A value that is
// too long for one cookie is split over three. The package does not know what the value
// means.
package cookie

import (
	"iter"
	"net/http"
	"slices"
	"strings"
)

// Chunked is authgate's session cookie in a browser: its name, its chunks, and what an
// upstream must not see of it. It is safe for concurrent use.
type Chunked struct {
	name     string
	domain   string
	sameSite http.SameSite

	unprefixed, hostPrefixed chunkNames // bound to the host by the prefix __Host-
}

// New is for cookies with that name. A domain that is not empty shares them with all its
// subdomains.
func New(name, domain string, sameSite http.SameSite) *Chunked {
	return &Chunked{
		name: name, domain: domain, sameSite: sameSite,
		unprefixed: newChunkNames(name), hostPrefixed: newChunkNames("__Host-" + name),
	}
}

// Name is the session cookie's name. On https it begins with __Host-, so that no sibling
// host can plant one (RFC 6265bis, 4.1.3.2). Browsers refuse that prefix on plain http and
// together with a domain.
func (j *Chunked) Name(secure bool) string { return j.names(secure)[0] }

func (j *Chunked) names(secure bool) *chunkNames {
	if secure && j.domain == "" {
		return &j.hostPrefixed
	}
	return &j.unprefixed
}

// Find gives the value of the one cookie with exactly that name. The error is
// [ErrNone] or [ErrDuplicate].
func Find(h http.Header, name string) (string, error) {
	value, found := "", 0
	for n, v := range cookies(h) {
		if n == name {
			value = v
			found++
		}
	}
	switch found {
	case 0:
		return "", ErrNone
	case 1:
		return value, nil
	default:
		return "", ErrDuplicate
	}
}

// Names gives the names of all cookies, duplicates included.
func Names(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range cookies(h) {
			if !yield(name) {
				return
			}
		}
	}
}

// cookies reads the header itself, because r.Cookies returns nothing beyond 3,000 parts and
// trims names that browsers keep apart (net/http, readCookies).
func cookies(h http.Header) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, line := range h["Cookie"] {
			for part := range strings.SplitSeq(line, ";") {
				name, value, ok := strings.Cut(strings.TrimLeft(part, " \t"), "=")
				if ok && !yield(name, strings.TrimRight(value, " \t")) {
					return
				}
			}
		}
	}
}

// Strip removes all of authgate's cookies from request headers that go to an upstream, and
// keeps the rest byte for byte. It removes more than [Chunked.Read] accepts: whatever a
// server might read as authgate's cookie.
func (j *Chunked) Strip(h http.Header) {
	lines := h["Cookie"]
	if !slices.ContainsFunc(lines, j.ownsAnyOf) {
		return
	}
	remaining := make([]string, 0, len(lines)) // the client's own header may share the lines
	for _, line := range lines {
		if rest := j.stripLine(line); rest != "" {
			remaining = append(remaining, rest)
		}
	}
	if len(remaining) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = remaining
}

func (j *Chunked) ownsAnyOf(line string) bool {
	for part := range strings.SplitSeq(line, ";") {
		if j.Owns(part) {
			return true
		}
	}
	return false
}

// stripLine gives the parts of a line that are not authgate's. While they are adjacent, and
// browsers mostly send the session first or last, they are a substring of the line and
// nothing is copied.
func (j *Chunked) stripLine(line string) string {
	var copied strings.Builder // all that is kept, from the first gap on
	begin, end := -1, -1
	at := 0
	for part := range strings.SplitSeq(line, ";") {
		here := at
		at += len(part) + len(";")
		switch {
		case j.Owns(part):
			continue
		case copied.Len() > 0:
			copied.WriteByte(';')
			copied.WriteString(part)
		case begin < 0:
			begin, end = here, here+len(part)
		case here == end+len(";"):
			end = here + len(part)
		default:
			copied.Grow(len(line))
			copied.WriteString(line[begin:end])
			copied.WriteByte(';')
			copied.WriteString(part)
		}
	}
	switch {
	case copied.Len() > 0:
		return strings.Trim(copied.String(), " \t")
	case begin < 0:
		return ""
	default:
		return strings.Trim(line[begin:end], " \t")
	}
}

// Owns reports whether any server could read a cookie, as NAME=VALUE with or without
// attributes, as one of authgate's: it ignores case, and spaces, quotes and bytes that some
// servers trim, and reads a value without a name as a name.
func (j *Chunked) Owns(cookie string) bool {
	cookie, _, _ = strings.Cut(cookie, ";") // a name alone may have attributes
	name, value, _ := strings.Cut(cookie, "=")
	name = strings.TrimFunc(name, isNotTokenRune)
	if name == "" {
		name, _, _ = strings.Cut(value, "=")
		name = strings.TrimFunc(name, isNotTokenRune)
	}
	name = trimPrefixFold(trimPrefixFold(name, "__Host-"), "__Secure-")
	if len(name) < len(j.name) || !strings.EqualFold(name[:len(j.name)], j.name) {
		return false
	}
	rest := name[len(j.name):]
	return rest == "" || rest[0] == '-'
}

func isNotTokenRune(r rune) bool {
	return r <= ' ' || r >= 0x7f || r == '"' || r == '\''
}

func trimPrefixFold(s, prefix string) string {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):]
	}
	return s
}
