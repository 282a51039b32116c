package proxy

import (
	"net/http"
	"strings"
)

// maxHeaderFields is how many header fields a request may have: net/http limits
// their bytes alone, and 64 KiB hold 17,000 empty ones.
const maxHeaderFields = 200

// admit turns away requests before anything of them is judged: those beyond what
// one port can serve, and those whose headers two servers would read in two ways.
func (p *Proxy) admit(x *exchange) bool {
	if p.closeOverLimit(x.w, x.r) {
		// Answering, unlike a closed port, tells a balancer that this target is alive.
		return x.refuse(http.StatusServiceUnavailable, "too_many_connections",
			"There are too many connections right now. Try again in a moment.", nil)
	}
	fields := 0
	for name, values := range x.r.Header {
		if fields += len(values); fields > maxHeaderFields {
			return x.refuse(http.StatusRequestHeaderFieldsTooLarge, "too_many_headers",
				"The request was refused: it has too many header fields.", nil)
		}
		if len(values) > 1 && isSingleValued(name) {
			return x.refuse(http.StatusBadRequest, "bad_header", "The request was refused: it has two values of "+name+".", nil)
		}
	}
	// HTTP/1 leaves only lengths of digits. HTTP/2 takes any other for nothing, and
	// whether its body or its answer comes first is chance.
	if length := x.r.Header["Content-Length"]; len(length) > 0 && strings.Trim(length[0], "0123456789") != "" {
		return x.refuse(http.StatusBadRequest, "bad_header", "The request was refused: its Content-Length is no number.", nil)
	}
	// HTTP/2 clients name the host in :authority, and a Host beside it has to agree
	// (RFC 9113, 8.3.1). HTTP/1 leaves none in the map.
	if host := x.r.Header["Host"]; len(host) > 0 && host[0] != x.r.Host {
		return x.refuse(http.StatusBadRequest, "bad_header", "The request was refused: it names two hosts.", nil)
	}
	return true
}

// closeOverLimit reports whether a request came on a connection beyond the limit. That
// one ends with its answer, so that the next who asks finds a place.
func (p *Proxy) closeOverLimit(w http.ResponseWriter, r *http.Request) bool {
	if p.overloaded == nil || !p.overloaded(r.Context()) {
		return false
	}
	w.Header().Set("Connection", "close")
	return true
}

// isSingleValued tells the headers that an answer rests on. Of two values authgate would
// judge one and the server behind it might obey the other.
func isSingleValued(name string) bool {
	switch name {
	case "Authorization", "Proxy-Authorization", "Origin", "Sec-Fetch-Site", "Content-Type", "Content-Length", "Host":
		return true
	}
	return false
}

// checkForm refuses HTML forms where a server treats one as another request than the one that
// is decided. It is the last part of step 2.
func (x *exchange) checkForm() bool {
	if x.r.Method != http.MethodPost || !isForm(x.r.Header) || !x.route.RefusesForm(x.path) {
		return true
	}
	return x.refuse(http.StatusUnsupportedMediaType, "form_not_allowed",
		"The request was refused: "+x.route.Name+" does not accept HTML forms here. Send JSON.", nil)
}

// isForm compares as loosely as any server might.
func isForm(h http.Header) bool {
	for _, value := range h["Content-Type"] {
		for element := range strings.SplitSeq(value, ",") {
			media, _, _ := strings.Cut(element, ";")
			if strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
				return true
			}
		}
	}
	return false
}
