package proxy

import (
	"net/http"
	"strings"

	"github.com/example-org/authgate/page"
	"github.com/example-org/authgate/session"
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
	x.closeIfUnread() // the question has no body of its own
	setResponseHeaders(x.w.Header())
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
	if !p.isTrusted(peerOf(x.r.RemoteAddr)) {
		return x.refuse(http.StatusForbidden, "untrusted_peer",
			"Only a proxy that is listed in trustedProxies may ask on behalf of others.", nil)
	}
	orig, err := originalOf(x.r.Header, x.r.Host, x.client.scheme)
	if err != nil {
		return x.refuse(http.StatusForbidden, "bad_forward_auth",
			"The request was refused: the ingress did not say plainly what it asks about: "+err.Error()+".", nil)
	}
	if orig.scheme == "http" && p.hasSecureCookie(x.r.Header) {
		orig.scheme = "https"
	}
	x.r, x.path = orig.request(x.r), target.Path{} // the question's path is no part of it
	x.client.scheme = orig.scheme
	x.client.hostname, x.client.host = splitHost(orig.host, orig.scheme)
	return true
}

// checkUnambiguous refuses what would not stay the request that is judged.
func (x *exchange) checkUnambiguous() bool {
	if reason := ambiguousHeader(x.r); reason != "" {
		return x.refuse(http.StatusForbidden, "misleading_header", "The request was refused: "+reason+".", nil)
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
	for name := range session.CookieNames(h) {
		if name == secure {
			return true
		}
	}
	return false
}

// checkNotEndpoint refuses authgate's own endpoints: the ingress would send them to a
// dashboard, unjudged.
func (p *Proxy) checkNotEndpoint(x *exchange) bool {
	if !p.isEndpoint(x.path) {
		return true
	}
	return x.refuse(http.StatusForbidden, "own_endpoint",
		"The request was refused: the ingress must send "+p.prefix+" to authgate itself, and not ask about it.", nil)
}

// writeAllowed lets the ingress forward, and tells it who asks.
func (p *Proxy) writeAllowed(x *exchange) {
	if x.signedIn() && !x.asAnonymous {
		x.userHeaders.forUpstream(x.route).set(x.w.Header())
	}
	x.w.WriteHeader(http.StatusAccepted)
}

// writeDenied answers a refusal. An ingress understands 401 and 403, and takes any
// success for leave to forward: gRPC's refusals, which are a 200, among them. What
// failed stays what it is. The code tells what the proxy would have answered.
func (p *Proxy) writeDenied(x *exchange) {
	f := x.refusal
	x.reason = f.Code
	p.logRefusal(x)
	if f.Status != http.StatusUnauthorized && f.Status < http.StatusInternalServerError {
		f.Status = http.StatusForbidden
	}
	if f.Code == codeLoginRequired && isNavigation(x.r) {
		login := p.startURL(withQuery(x.path.String(), x.r.URL.RawQuery))
		f.Next = page.Link{Text: "Sign in", URL: login} // Traefik shows the page
		// Others make a redirect of it: nginx has no way to escape a query.
		x.w.Header().Set("Location", x.client.origin()+login)
	}
	p.writeRefusal(x)
}
