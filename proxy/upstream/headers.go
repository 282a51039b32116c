package upstream

import (
	"net/http"
	"slices"

	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/session/cookie"
)

// setRequestHeaders turns the header of a request, without hop-by-hop headers, into authgate's
// own: it removes the headers that only a proxy may set before it sets them.
func (f *forwarding) setRequestHeaders(h http.Header) {
	stripSpoofable(h)
	for _, name := range f.Upstream.stripHeaders {
		delete(h, name)
	}
	f.SessionCookie.Strip(h)
	f.setCredentials(h)
	if !respond.IsGRPC(f.R) && !respond.IsGRPCWeb(f.R) {
		delete(h, "Grpc-Timeout") // grpc-gateway obeys it on REST calls
	}
	if te, ok := h["Te"]; ok && !(len(te) == 1 && te[0] == "trailers") {
		delete(h, "Te")
	}
	f.setExpect(h)
	f.setForwarded(h)
	f.Identity.Set(h)
}

// setCredentials removes every credential of another user from a request, and adds the token
// that the upstream gets.
func (f *forwarding) setCredentials(h http.Header) {
	for _, c := range f.Upstream.loginCookies {
		c.Strip(h)
	}
	if name := f.Upstream.kind.bearerHeader; name != "" {
		delete(h, name)
	}
	if f.SpentAuthorization {
		delete(h, "Authorization")
	}
	if f.Token == "" {
		return
	}
	h["Authorization"] = []string{"Bearer " + f.Token}
	if name := f.Upstream.kind.tokenCookie; name != "" {
		token := name + "=" + f.Token
		if others := h["Cookie"]; len(others) > 0 {
			h["Cookie"] = append([]string{others[0] + "; " + token}, others[1:]...)
			return
		}
		h["Cookie"] = []string{token}
	}
}

// setExpect forwards the only expectation that exists (RFC 9110, 10.1.1), in the form that all
// servers read alike, and only with a body to wait for. Clients of HTTP/1.0 do not know it.
func (f *forwarding) setExpect(h http.Header) {
	expected, ok := h["Expect"]
	if !ok {
		return
	}
	if f.R.ContentLength == 0 || !f.R.ProtoAtLeast(1, 1) || !hasToken(expected, "100-continue") {
		delete(h, "Expect")
		return
	}
	h["Expect"] = []string{"100-continue"}
}

// setForwarded sets where the request comes from, and its id.
func (f *forwarding) setForwarded(h http.Header) {
	values, n := &f.forwardedValues, 0
	set := func(name, value string) {
		values[n] = value
		h[name] = values[n : n+1 : n+1]
		n++
	}
	if addr := f.Client.Address(); addr != "" {
		set("X-Forwarded-For", addr)
		set("X-Real-Ip", addr)
	}
	set("X-Forwarded-Proto", f.Client.Scheme)
	set("X-Forwarded-Host", f.Client.Host)
	set("X-Forwarded-Port", f.Client.Port())
	set("X-Request-Id", f.RequestID)
	if prefix := f.Upstream.strippedPrefix(); prefix != "" {
		set("X-Forwarded-Prefix", prefix)
	}
}

// stripResponseHeaders removes what only authgate may set in a response. It is for the headers
// of every response, and for trailers.
func (f *forwarding) stripResponseHeaders(h http.Header) {
	if cookies := h["Set-Cookie"]; len(cookies) > 0 {
		h["Set-Cookie"] = slices.DeleteFunc(cookies, func(line string) bool {
			return f.SessionCookie.Owns(line) || slices.ContainsFunc(f.Upstream.loginCookies,
				func(c *cookie.Chunked) bool { return c.Owns(line) })
		})
	}
	delete(h, "Set-Cookie2")
	delete(h, "Alt-Svc") // would lead browsers around authgate (RFC 7838)
}
