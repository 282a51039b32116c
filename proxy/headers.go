package proxy

import (
	"net/http"
	"slices"

	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/session/cookie"
)

// setRequestHeaders makes the header of a request that goes on, hop-by-hop already removed,
// authgate's own word: what only a proxy may say is gone before it is said anew.
func (p *Proxy) setRequestHeaders(x *exchange, h http.Header) {
	stripSpoofable(h)
	for _, name := range x.route.stripHeaders {
		delete(h, name)
	}
	p.sessionCookie.Strip(h)
	x.setCredentials(h)
	if !respond.IsGRPC(x.r) && !respond.IsGRPCWeb(x.r) {
		delete(h, "Grpc-Timeout") // grpc-gateway obeys it on REST calls
	}
	if te, ok := h["Te"]; ok && !(len(te) == 1 && te[0] == "trailers") {
		delete(h, "Te")
	}
	x.setExpect(h)
	x.setForwarded(h)
	if x.signedIn() && !x.asAnonymous {
		x.userHeaders.forUpstream(x.route).set(h)
	}
}

// setExpect passes on the one expectation that there is (RFC 9110, 10.1.1), in the one
// form that every server reads alike, and only with a body to wait for. Clients of
// HTTP/1.0 do not know it.
func (x *exchange) setExpect(h http.Header) {
	expected, ok := h["Expect"]
	if !ok {
		return
	}
	if x.r.ContentLength == 0 || !x.r.ProtoAtLeast(1, 1) || !hasToken(expected, "100-continue") {
		delete(h, "Expect")
		return
	}
	h["Expect"] = []string{"100-continue"}
}

// stripResponseHeaders keeps an upstream from speaking for authgate. It is for the headers of
// every response, interim ones and trailers included.
func (p *Proxy) stripResponseHeaders(u *upstream, h http.Header) {
	if cookies := h["Set-Cookie"]; len(cookies) > 0 {
		h["Set-Cookie"] = slices.DeleteFunc(cookies, func(setCookie string) bool {
			return p.sessionCookie.Owns(setCookie) || slices.ContainsFunc(u.loginCookies, func(j *cookie.Chunked) bool { return j.Owns(setCookie) })
		})
	}
	delete(h, "Set-Cookie2")
	delete(h, "Alt-Svc") // would lead browsers around authgate (RFC 7838)
}

// setForwarded says where the request came from, and what it is called, anew.
func (x *exchange) setForwarded(h http.Header) {
	var values [7]string // one allocation for all of them
	n := 0
	set := func(name, value string) {
		values[n] = value
		h[name] = values[n : n+1 : n+1]
		n++
	}
	if addr := x.client.Address(); addr != "" {
		set("X-Forwarded-For", addr)
		set("X-Real-Ip", addr)
	}
	set("X-Forwarded-Proto", x.client.Scheme)
	set("X-Forwarded-Host", x.client.Host)
	set("X-Forwarded-Port", x.client.Port())
	set("X-Request-Id", x.requestID)
	if prefix := x.route.strippedPrefix(); prefix != "" {
		set("X-Forwarded-Prefix", prefix)
	}
}
