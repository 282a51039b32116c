package client

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Original is the request that an ingress asks about, as the ingress describes it. Nothing in
// it is decoded or trusted yet.
type Original struct {
	Method string
	Scheme string // http or https
	Host   string
	URI    string // path and query as the client sent them
}

// ReadOriginal reads one of two forms. nginx sends X-Original-URL and X-Original-Method; a URL
// that is only a path means the host of the auth request. Traefik and Caddy send
// X-Forwarded-Method, -Proto, -Host and -Uri. An ingress that writes one form passes on what
// a client wrote of the other, so both must agree.
func ReadOriginal(h http.Header, host, scheme string) (Original, error) {
	if lines := h["X-Forwarded-Proto"]; len(lines) > 0 {
		switch lastElement(lines) {
		case "https", "wss": // Traefik sends wss or ws for a WebSocket
			scheme = "https"
		case "http", "ws":
			scheme = "http"
		default:
			return Original{}, errors.New("X-Forwarded-Proto is neither http nor https")
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
		return Original{}, errors.New("there is neither X-Original-URL with X-Original-Method nor X-Forwarded-Uri with " +
			"X-Forwarded-Method")
	}
}

func anyPresent(h http.Header, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return len(h[name]) > 0 })
}

func originalByURL(h http.Header, host, scheme string) (o Original, err error) {
	if o.Method, err = singleHeader(h, "X-Original-Method"); err != nil {
		return o, err
	}
	rawURL, err := singleHeader(h, "X-Original-Url")
	if err != nil {
		return o, err
	}
	o.Scheme, o.Host, o.URI = scheme, host, rawURL
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
	o.Host, o.URI = rest[:end], rest[end:]
	if len(h["X-Forwarded-Proto"]) == 0 { // which reports a load balancer that ended TLS
		o.Scheme = urlScheme
	}
	return o, nil
}

func originalByParts(h http.Header, scheme string) (o Original, err error) {
	o.Scheme = scheme
	if _, err = singleHeader(h, "X-Forwarded-Proto"); err != nil {
		return o, err
	}
	if o.Method, err = singleHeader(h, "X-Forwarded-Method"); err != nil {
		return o, err
	}
	if o.Host, err = singleHeader(h, "X-Forwarded-Host"); err != nil {
		return o, err
	}
	o.URI, err = singleHeader(h, "X-Forwarded-Uri")
	return o, err
}

// singleHeader gives the value of a header that must occur exactly once.
func singleHeader(h http.Header, name string) (string, error) {
	switch values := h[name]; {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", errors.New(name + " is missing")
	case len(values) > 1:
		return "", errors.New(name + " occurs more than once")
	default:
		return values[0], nil
	}
}

func (o Original) checkConsistent(other Original) error {
	name, _ := SplitHost(o.Host, o.Scheme)
	otherName, _ := SplitHost(other.Host, other.Scheme)
	if o.Method != other.Method || o.URI != other.URI || name != otherName {
		return errors.New("X-Original-* and X-Forwarded-* describe different requests")
	}
	return nil
}

// Request is the original request: its request line, and the header of the auth request, which
// an ingress copies from the original. There is no body to read.
func (o Original) Request(authRequest *http.Request) *http.Request {
	r := authRequest.WithContext(authRequest.Context()) // a copy
	r.Method, r.RequestURI, r.Host = o.Method, o.URI, o.Host
	path, query, _ := strings.Cut(o.URI, "?")
	r.URL = &url.URL{Path: path, RawQuery: query}
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	return r
}
