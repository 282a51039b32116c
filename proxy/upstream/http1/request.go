package http1

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// prepare checks the request before anything of it is sent, and builds its header.
func (x *exchange) prepare() error {
	r := x.request
	switch {
	case r.URL == nil || r.URL.Scheme != "http" && r.URL.Scheme != "https":
		return errScheme
	case r.URL.Host == "":
		return errHost
	}
	x.key = hostKey{r.URL.Scheme, r.URL.Host}
	x.close = r.Close || hasToken(r.Header["Connection"], "close")
	x.upgrade = len(r.Header["Upgrade"]) > 0 && hasToken(r.Header["Connection"], "upgrade")
	if err := x.prepareBody(); err != nil {
		return err
	}
	x.head = headBuffers.Get().(*[]byte)
	b, err := x.appendHead((*x.head)[:0])
	*x.head = b
	return err
}

// prepareBody determines how the body is framed, as net/http does.
func (x *exchange) prepareBody() error {
	r := x.request
	if len(r.TransferEncoding) > 1 || len(r.TransferEncoding) == 1 && r.TransferEncoding[0] != "chunked" {
		return errRequestCoding
	}
	chunked := len(r.TransferEncoding) == 1
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		return nil
	case r.ContentLength > 0 && !chunked:
		x.upload = newUpload(r.Body, r.ContentLength, nil)
	default:
		x.upload = newUpload(r.Body, -1, r.Trailer)
	}
	x.expect = hasToken(r.Header["Expect"], "100-continue") && x.t.ExpectContinueTimeout > 0
	if x.upload.length < 0 && !chunked && !x.expect && usuallyLacksBody(r.Method) && x.upload.isEmpty(x) {
		x.upload = nil
	}
	return nil
}

// usuallyLacksBody is for methods with which a body of unknown length that turns out to be
// empty is sent as no body, because servers refuse chunks there.
func usuallyLacksBody(method string) bool {
	switch method {
	case "", "GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND", "SEARCH":
		return true
	}
	return false
}

// maxProbe is how long isEmpty waits for the first byte.
const maxProbe = 200 * time.Millisecond

// isEmpty begins to read the body, and reports whether there is none.
func (u *upload) isEmpty(x *exchange) bool {
	u.start()
	u.awaitFirst(x, maxProbe)
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.complete && u.n == 0
}

// appendHead appends request line and header.
func (x *exchange) appendHead(b []byte) ([]byte, error) {
	r := x.request
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	if !isToken(method) || method == http.MethodConnect {
		return b, errMethod
	}
	b = append(append(b, method...), ' ')
	b, err := appendTarget(b, r)
	if err != nil {
		return b, err
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if b, err = appendHost(b, r); err != nil {
		return b, err
	}
	b = append(b, "\r\n"...)
	if b, err = x.appendFraming(b, method); err != nil {
		return b, err
	}
	for name, values := range r.Header {
		if isFraming(name) {
			continue
		}
		for _, value := range values {
			if value == "" && name == "User-Agent" { // as ReverseProxy says that there is none
				continue
			}
			if b, err = appendField(b, name, value); err != nil {
				return b, err
			}
		}
	}
	return append(b, "\r\n"...), nil
}

// isFraming reports whether a header field is written by appendFraming or as Host, in any
// spelling.
func isFraming(name string) bool {
	switch len(name) {
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Trailer"):
		return strings.EqualFold(name, "Trailer")
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

func appendTarget(b []byte, r *http.Request) ([]byte, error) {
	begin := len(b)
	if u := r.URL; u.Opaque != "" {
		b = append(b, u.RequestURI()...)
	} else {
		path := u.EscapedPath()
		if path == "" {
			path = "/"
		}
		b = append(b, path...)
		if u.ForceQuery || u.RawQuery != "" {
			b = append(append(b, '?'), u.RawQuery...)
		}
	}
	for _, c := range b[begin:] {
		if c <= ' ' || c == 0x7f {
			return b, errTarget
		}
	}
	return b, nil
}

// appendHost appends the Host field, without the zone of an IPv6 address (RFC 6874).
func appendHost(b []byte, r *http.Request) ([]byte, error) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	for i := range len(host) {
		if !hostBytes[host[i]] {
			return b, errHost
		}
	}
	if zone := strings.IndexByte(host, '%'); zone >= 0 && host[0] == '[' {
		if end := strings.IndexByte(host, ']'); end > zone {
			return append(append(b, host[:zone]...), host[end:]...), nil
		}
	}
	return append(b, host...), nil
}

// appendFraming appends what says where the request ends, and whether another follows it.
func (x *exchange) appendFraming(b []byte, method string) ([]byte, error) {
	switch u := x.upload; {
	case u != nil && u.length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		if len(u.trailer) > 0 {
			return appendTrailerNames(b, u.trailer)
		}
	case u != nil:
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, u.length, 10), "\r\n"...)
	case method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch:
		b = append(b, "Content-Length: 0\r\n"...) // servers expect one with these methods
	}
	if x.close && !hasToken(x.request.Header["Connection"], "close") {
		b = append(b, "Connection: close\r\n"...)
	}
	return b, nil
}

func appendTrailerNames(b []byte, trailer http.Header) ([]byte, error) {
	names := make([]string, 0, len(trailer))
	for name := range trailer {
		if !isToken(name) || isFraming(name) {
			return b, errRequestTrailer
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return append(append(append(b, "Trailer: "...), strings.Join(names, ",")...), "\r\n"...), nil
}

// appendField appends one field, whose value it checks where it was copied to.
func appendField(b []byte, name, value string) ([]byte, error) {
	if !isToken(name) {
		return b, errRequestHeader
	}
	b = append(append(b, name...), ": "...)
	begin := len(b)
	b = append(b, trimSpace(value)...)
	if hasControl(b[begin:]) {
		return b, errRequestHeader
	}
	return append(b, "\r\n"...), nil
}
