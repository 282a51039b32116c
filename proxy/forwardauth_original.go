package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// original is the request that an ingress asks about, as it tells of it. Nothing
// in it is decoded or trusted yet.
type original struct {
	method string
	scheme string // http or https
	host   string
	uri    string // path and query as the client sent them
}

// originalOf reads one of two forms. nginx: X-Original-URL and X-Original-Method;
// a URL that is only a path means the host of the question. Traefik and Caddy:
// X-Forwarded-Method, -Proto, -Host and -Uri. An ingress that writes one of them
// passes on what a client wrote of the other, so both must say the same.
func originalOf(h http.Header, host, scheme string) (original, error) {
	if lines := h["X-Forwarded-Proto"]; len(lines) > 0 {
		switch lastElement(lines) {
		case "https", "wss": // Traefik's words for a WebSocket
			scheme = "https"
		case "http", "ws":
			scheme = "http"
		default:
			return original{}, errors.New("X-Forwarded-Proto is neither http nor https")
		}
	}
	byURL := anyPresent(h, "X-Original-Url", "X-Original-Method")
	byParts := anyPresent(h, "X-Forwarded-Uri", "X-Forwarded-Method")
	switch {
	case byURL && byParts:
		fromURL, err := originalByURL(h, host, scheme)
		if err != nil {
			return fromURL, err
		}
		fromParts, err := originalByParts(h, scheme)
		if err != nil {
			return fromParts, err
		}
		return fromURL, fromURL.checkConsistent(fromParts)
	case byURL:
		return originalByURL(h, host, scheme)
	case byParts:
		return originalByParts(h, scheme)
	default:
		return original{}, errors.New("there is neither X-Original-URL with X-Original-Method nor X-Forwarded-Uri with X-Forwarded-Method")
	}
}

func anyPresent(h http.Header, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return len(h[name]) > 0 })
}

func originalByURL(h http.Header, host, scheme string) (o original, err error) {
	if o.method, err = singleHeader(h, "X-Original-Method"); err != nil {
		return o, err
	}
	rawURL, err := singleHeader(h, "X-Original-Url")
	if err != nil {
		return o, err
	}
	o.scheme, o.host, o.uri = scheme, host, rawURL
	if rawURL[0] == '/' {
		return o, nil
	}
	urlScheme, rest, found := strings.Cut(rawURL, "://")
	urlScheme = strings.ToLower(urlScheme)
	if !found || urlScheme != "http" && urlScheme != "https" {
		return o, errors.New("X-Original-URL is neither a path nor a URL of http or https")
	}
	end := strings.IndexAny(rest, "/?#\\")
	if end < 0 {
		return o, errors.New("X-Original-URL has no path")
	}
	o.host, o.uri = rest[:end], rest[end:]
	if len(h["X-Forwarded-Proto"]) == 0 { // which knows of a balancer that ended TLS
		o.scheme = urlScheme
	}
	return o, nil
}

func originalByParts(h http.Header, scheme string) (o original, err error) {
	o.scheme = scheme
	if _, err = singleHeader(h, "X-Forwarded-Proto"); err != nil {
		return o, err
	}
	if o.method, err = singleHeader(h, "X-Forwarded-Method"); err != nil {
		return o, err
	}
	if o.host, err = singleHeader(h, "X-Forwarded-Host"); err != nil {
		return o, err
	}
	o.uri, err = singleHeader(h, "X-Forwarded-Uri")
	return o, err
}

// singleHeader gives the value of a header that must be there once.
func singleHeader(h http.Header, name string) (string, error) {
	switch values := h[name]; {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", errors.New(name + " is missing")
	case len(values) > 1:
		return "", errors.New(name + " is there more than once")
	default:
		return values[0], nil
	}
}

func (o original) checkConsistent(other original) error {
	name, _ := splitHost(o.host, o.scheme)
	otherName, _ := splitHost(other.host, other.scheme)
	if o.method != other.method || o.uri != other.uri || name != otherName {
		return errors.New("X-Original-* and X-Forwarded-* tell of different requests")
	}
	return nil
}

// request is the original one: the question's header, which an ingress copies from
// it, behind the original request line. There is no body to read.
func (o original) request(authRequest *http.Request) *http.Request {
	r := authRequest.WithContext(authRequest.Context()) // a copy
	r.Method, r.RequestURI, r.Host = o.method, o.uri, o.host
	path, query, _ := strings.Cut(o.uri, "?")
	r.URL = &url.URL{Path: path, RawQuery: query}
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	return r
}

// ambiguousHeader says what in a request could make the dashboard do something else than
// what is judged. The proxy takes such headers out; an ingress passes them on.
func ambiguousHeader(r *http.Request) string {
	for name := range r.Header {
		if isCommonHeader(name) {
			continue
		}
		if isOverrideHeader(name) {
			return "it holds " + name + ", which can make a server run another request than the one that is judged"
		}
	}
	upgrade := r.Header["Upgrade"]
	tunnel := len(upgrade) > 1 || len(upgrade) == 1 && !strings.EqualFold(upgrade[0], "websocket")
	if tunnel || r.Method != http.MethodGet && isWebSocketHandshake(r.Header) {
		return "it asks to go on in a protocol in which nothing more would be judged"
	}
	return ""
}

// isOverrideHeader finds the names of headers by which servers run another method, path or
// host, in every spelling that a CGI, WSGI, PHP or Rack makes the same variable of.
func isOverrideHeader(name string) bool {
	if name == "" || name[0]|0x20 != 'x' {
		return false
	}
	folded := foldHeaderName(name)
	switch strings.ToLower(folded) {
	case "x-http-method-override", "x-http-method", "x-method-override", "x-method", "x-httpmethod-override", "x-http-verb", "x-verb-override",
		"x-rewrite-url", "x-rewrite-uri", "x-http-path-override", "x-override-url", "x-http-host-override", "x-host-override":
		return true
	}
	if folded = http.CanonicalHeaderKey(folded); folded == name {
		return false
	}
	// X-Original-URL and its kin are the ingress's own; in another spelling they are not.
	switch folded {
	case "X-Original-Url", "X-Original-Uri", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix":
		return true
	}
	return false
}

// isWebSocketHandshake finds a WebSocket's opening handshake by what reaches the question
// of it (RFC 6455, 4.1): it always has a key, and a browser says so in its mode.
func isWebSocketHandshake(h http.Header) bool {
	return len(h["Upgrade"]) > 0 || len(h["Sec-Websocket-Key"]) > 0 || len(h["Sec-Websocket-Version"]) > 0 ||
		slices.Contains(h["Sec-Fetch-Mode"], "websocket")
}

// restoreUpgrade gives a handshake the headers of one hop that most ingresses leave
// out of the question: what asks for a WebSocket is judged like a write.
func restoreUpgrade(r *http.Request) *http.Request {
	if !isWebSocketHandshake(r.Header) {
		return r
	}
	r.Header = r.Header.Clone()
	r.Header["Upgrade"], r.Header["Connection"] = []string{"websocket"}, []string{"Upgrade"}
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	return r
}
