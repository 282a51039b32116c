package http1

import (
	"net/http"
	"net/textproto"
	"strings"
)

// framing says where the body of a response ends.
type framing struct {
	encoded    bool // the header says that the response comes in chunks, also where it has no body
	chunked    bool
	left       int64 // bytes of a body whose length is known, or of a chunk
	untilClose bool  // the body ends with the connection
	close      bool  // no other response can follow
}

func (f framing) empty() bool { return !f.chunked && !f.untilClose && f.left == 0 }

// frame determines where the body of a response ends (RFC 9112, 6.3), and completes the fields
// of the response as net/http does. What does not say it in exactly one way is an error.
func frame(r *http.Response, method string) (f framing, err error) {
	r.Close = wantsClose(r)
	f.close = r.Close || r.ProtoMajor > 1 // which no server sends in this form
	if f.encoded, err = isChunked(r); err != nil {
		return f, err
	}
	f.chunked = f.encoded
	length, err := contentLength(r.Header)
	if err != nil {
		return f, err
	}
	if f.chunked {
		if err := announceTrailer(r); err != nil {
			return f, err
		}
	}
	switch status := r.StatusCode; {
	case method == http.MethodHead:
		f.chunked, r.ContentLength = false, length
	case status < 200 || status == http.StatusNoContent || status == http.StatusNotModified:
		f.close = f.close || status == http.StatusNoContent && (f.chunked || length > 0) // a body may follow
		f.chunked, r.ContentLength = false, 0
	case f.chunked:
		r.ContentLength = -1
	case length >= 0:
		f.left, r.ContentLength = length, length
	default:
		f.untilClose, f.close, r.ContentLength, r.Close = true, true, -1, true
	}
	return f, nil
}

// wantsClose says whether the server closes the connection after the response.
func wantsClose(r *http.Response) bool {
	isHTTP10 := !r.ProtoAtLeast(1, 1)
	values := r.Header["Connection"]
	if len(values) == 0 {
		return isHTTP10
	}
	if hasToken(values, "close") {
		if !isHTTP10 {
			delete(r.Header, "Connection") // as net/http does
		}
		return true
	}
	return isHTTP10 && !hasToken(values, "keep-alive")
}

// isChunked reads Transfer-Encoding. No other encoding is supported.
func isChunked(r *http.Response) (bool, error) {
	values, ok := r.Header["Transfer-Encoding"]
	if !ok {
		return false, nil
	}
	delete(r.Header, "Transfer-Encoding")
	_, hasLength := r.Header["Content-Length"]
	switch {
	case hasLength:
		return false, errBothFramings
	case len(values) != 1 || !strings.EqualFold(values[0], "chunked") || !r.ProtoAtLeast(1, 1): // RFC 9112, 6.1
		return false, errEncoding
	}
	return true, nil
}

// contentLength is -1 if there is none. Equal ones become one (RFC 9112, 6.3).
func contentLength(h http.Header) (int64, error) {
	values, ok := h["Content-Length"]
	if !ok {
		return -1, nil
	}
	for _, other := range values[1:] {
		if other != values[0] {
			return 0, errLength
		}
	}
	h["Content-Length"] = values[:1]
	const maxDigits = 18 // so that the number cannot overflow
	if values[0] == "" || len(values[0]) > maxDigits {
		return 0, errLength
	}
	var n int64
	for _, digit := range []byte(values[0]) {
		if digit < '0' || digit > '9' {
			return 0, errLength
		}
		n = 10*n + int64(digit-'0')
	}
	return n, nil
}

// announceTrailer moves the names in Trailer to the response's field.
func announceTrailer(r *http.Response) error {
	lines, ok := r.Header["Trailer"]
	if !ok {
		return nil
	}
	delete(r.Header, "Trailer")
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			name := trimSpace(element)
			if name == "" {
				continue
			}
			if !isToken(name) || isFraming(name) {
				return errTrailer
			}
			if r.Trailer == nil {
				r.Trailer = make(http.Header)
			}
			r.Trailer[textproto.CanonicalMIMEHeaderKey(name)] = nil
		}
	}
	return nil
}
