package proxy

import (
	"net/http"
	"strings"
)

// awaitAuditRoom delays a request while there is no room for its audit record, and refuses it if
// that lasts. It does so only with audit.onFull: block.
func (p *Proxy) awaitAuditRoom(x *request) *Refusal {
	if p.auditQueue == nil || p.auditQueue.Await(x.r.Context()) {
		return nil
	}
	x.unrecorded = true
	return refuse(http.StatusServiceUnavailable, "audit_full",
		"Requests cannot be recorded right now, so none are served. Try again in a moment.", nil)
}

// maxHeaderFields is how many header fields a request may have: net/http limits
// their bytes alone, and 64 KiB hold 17,000 empty ones.
const maxHeaderFields = 200

// admit refuses requests beyond what one port can serve, and requests whose headers two servers
// would read in two ways.
func (p *Proxy) admit(x *request) *Refusal {
	if p.closeOverLimit(x.w, x.r) {
		// Answering, unlike a closed port, tells a balancer that this target is alive.
		return refuse(http.StatusServiceUnavailable, "too_many_connections",
			"There are too many connections right now. Try again in a moment.", nil)
	}
	fields := 0
	for name, values := range x.r.Header {
		if fields += len(values); fields > maxHeaderFields {
			return refuse(http.StatusRequestHeaderFieldsTooLarge, "too_many_headers",
				"The request was refused: it has too many header fields.", nil)
		}
		if len(values) > 1 && isSingleValued(name) {
			return refuse(http.StatusBadRequest, "bad_header", "The request was refused: it has two values of "+name+".", nil)
		}
	}
	// HTTP/1 accepts only digits as a length. HTTP/2 ignores any other, and then its body and
	// the response race.
	if length := x.r.Header["Content-Length"]; len(length) > 0 && strings.Trim(length[0], "0123456789") != "" {
		return refuse(http.StatusBadRequest, "bad_header", "The request was refused: its Content-Length is not a number.",
			nil)
	}
	// HTTP/2 clients name the host in :authority, and a Host header must agree with it
	// (RFC 9113, 8.3.1). HTTP/1 leaves none in the map.
	if host := x.r.Header["Host"]; len(host) > 0 && host[0] != x.r.Host {
		return refuse(http.StatusBadRequest, "bad_header", "The request was refused: it names two hosts.", nil)
	}
	return nil
}

// closeOverLimit reports whether a request came on a connection beyond the limit. That
// connection ends with the response, to make room for the next.
func (p *Proxy) closeOverLimit(w http.ResponseWriter, r *http.Request) bool {
	if p.overloaded == nil || !p.overloaded(r.Context()) {
		return false
	}
	w.Header().Set("Connection", "close")
	return true
}

// isSingleValued reports whether a decision depends on a header. Of two values, authgate might
// check one and the upstream use the other.
func isSingleValued(name string) bool {
	switch name {
	case "Authorization", "Proxy-Authorization", "Origin", "Sec-Fetch-Site", "Content-Type", "Content-Length", "Host":
		return true
	}
	return false
}
