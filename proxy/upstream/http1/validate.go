package http1

import (
	"encoding/binary"
	"strings"
)

// byteSet is a set of bytes.
type byteSet [256]bool

func setOf(chars string) (s byteSet) {
	for i := range len(chars) {
		s[chars[i]] = true
	}
	return s
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var (
	tokenBytes = setOf(alphanumeric + "!#$%&'*+-.^_`|~") // RFC 9110, 5.6.2
	hostBytes  = setOf(alphanumeric + "!$%&'()*+,-.:;=[]_~")
)

func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// hasControl reports whether a field value has bytes that it must not have (RFC 9110, 5.5):
// control characters except the tab. It looks at eight bytes at a time.
func hasControl(b []byte) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		word := binary.LittleEndian.Uint64(b)
		del := word ^ each*0x7f
		if ((word-each*0x20)&^word|(del-each)&^del)&top != 0 && hasControlByte(b[:8]) {
			return true
		}
		b = b[8:]
	}
	return hasControlByte(b)
}

func hasControlByte(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// trimSpace removes the whitespace around a field value.
func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// hasToken reports whether comma-separated values contain a token.
func hasToken(values []string, token string) bool {
	for _, line := range values {
		for line != "" {
			var element string
			element, line, _ = strings.Cut(line, ",")
			if strings.EqualFold(trimSpace(element), token) {
				return true
			}
		}
	}
	return false
}
