package proxy

import (
	"net/http"
	"slices"
	"strings"

	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/proxy/upstream"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/target"
)

// serveForwardAuth answers an ingress that forwards requests itself and asks
// whether it may (nginx auth_request, Traefik ForwardAuth, Caddy forward_auth). It
// reports whether it did. The host of the question is no matter: an ingress calls
// authgate by any name.
//
// The exchange becomes that of the original request and goes through the same
// steps, so that the answer is the proxy's own and the audit tells of what people
// did.
func (p *Proxy) serveForwardAuth(x *exchange) bool {
	if !p.isAuthRequest(x.r.RequestURI) {
		return false
	}
	respond.CloseIfUnread(x.w, x.r) // the question has no body of its own
	respond.SetHeaders(x.w.Header())
	switch {
	case !p.admit(x):
	case !p.canonicalise(x): // the question
	case !p.loadOriginal(x):
	case !p.canonicalise(x): // what it is about
	case !x.checkUnambiguous():
	case !p.findHost(x):
	case !p.checkNotEndpoint(x):
	case !p.findUpstream(x):
	case !p.authenticate(x):
	case !p.decide(x):
	default:
		p.writeAllowed(x)
		return true
	}
	p.writeDenied(x)
	return true
}

func (p *Proxy) isAuthRequest(requestTarget string) bool {
	rest, own := strings.CutPrefix(requestTarget, p.prefix)
	return own && (rest == "/auth" || strings.HasPrefix(rest, "/auth?"))
}

// loadOriginal puts the original request in place of the question.
func (p *Proxy) loadOriginal(x *exchange) bool {
	if !p.clientReader.IsTrusted(x.r) {
		return x.refuse(http.StatusForbidden, "untrusted_peer",
			"Only a proxy that is listed in trustedProxies may ask on behalf of others.", nil)
	}
	orig, err := client.ReadOriginal(x.r.Header, x.r.Host, x.client.Scheme)
	if err != nil {
		return x.refuse(http.StatusForbidden, "bad_forward_auth",
			"The request was refused: the ingress did not say plainly what it asks about: "+err.Error()+".", nil)
	}
	if orig.Scheme == "http" && p.hasSecureCookie(x.r.Header) {
		orig.Scheme = "https"
	}
	x.r, x.path = orig.Request(x.r), target.Path{} // the question's path is no part of it
	x.client.SetHost(orig.Host, orig.Scheme)
	return true
}

// checkUnambiguous refuses what would not stay the request that is judged.
func (x *exchange) checkUnambiguous() bool {
	if reason := ambiguousHeader(x.r); reason != "" {
		return x.refuse(http.StatusForbidden, "ambiguous_header", "The request was refused: "+reason+".", nil)
	}
	x.r = restoreUpgrade(x.r)
	return true
}

// hasSecureCookie finds a cookie that browsers send over https alone (RFC 6265bis,
// 4.1.3): an ingress behind a balancer that ends TLS speaks of http.
func (p *Proxy) hasSecureCookie(h http.Header) bool {
	secure := p.sessionCookie.Name(true)
	if secure == p.sessionCookie.Name(false) {
		return false
	}
	for name := range cookie.Names(h) {
		if name == secure {
			return true
		}
	}
	return false
}

// checkNotEndpoint refuses authgate's own endpoints: the ingress would send them to a
// dashboard, unjudged.
func (p *Proxy) checkNotEndpoint(x *exchange) bool {
	if !p.endpoints.Has(x.path) {
		return true
	}
	return x.refuse(http.StatusForbidden, "reserved_path",
		"The request was refused: the ingress must send "+p.prefix+" to authgate itself, and not ask about it.", nil)
}

// writeAllowed lets the ingress forward, and tells it who asks.
func (p *Proxy) writeAllowed(x *exchange) {
	if x.signedIn() && !x.asAnonymous {
		x.userHeaders.For(x.route.Upstream).Set(x.w.Header())
	}
	x.w.WriteHeader(http.StatusAccepted)
}

// writeDenied answers a refusal. An ingress understands 401 and 403, and takes any
// success for leave to forward: gRPC's refusals, which are a 200, among them. What
// failed stays what it is. The code tells what the proxy would have answered.
func (p *Proxy) writeDenied(x *exchange) {
	f := x.refusal
	x.reason = f.Code
	q := x.respondTo()
	p.respond.LogRefusal(q, f)
	if f.Status != http.StatusUnauthorized && f.Status < http.StatusInternalServerError {
		f.Status = http.StatusForbidden
	}
	if f.Code == codeLoginRequired && respond.IsNavigation(x.r) {
		login := p.endpoints.Start(respond.WithQuery(x.path.String(), x.r.URL.RawQuery))
		f.Next = page.Link{Text: "Sign in", URL: login} // Traefik shows the page
		// Others make a redirect of it: nginx has no way to escape a query.
		x.w.Header().Set("Location", x.client.Origin()+login)
	}
	if f.Code == codeDenied {
		p.addDenial(x)
	}
	p.respond.WriteRefusal(q, f)
}

// ambiguousHeader says what in a request could make the dashboard do something else than
// what is judged. The proxy takes such headers out; an ingress passes them on.
func ambiguousHeader(r *http.Request) string {
	for name := range r.Header {
		if upstream.IsCommonHeader(name) {
			continue
		}
		if upstream.IsOverrideHeader(name) {
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
