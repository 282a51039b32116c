package proxy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/proxy/upstream"
	"github.com/example-org/authgate/session/cookie"
)

// serveForwardAuth answers an ingress that forwards requests itself and asks
// whether it may (nginx auth_request, Traefik ForwardAuth, Caddy forward_auth). It
// reports whether it did. The host of the question is no matter: an ingress calls
// authgate by any name.
//
// The exchange becomes that of the original request and goes through the same
// steps, so that the answer is the proxy's own and the audit tells of what people
// did.
func (p *Proxy) serveForwardAuth(x *request) {
	respond.CloseIfUnread(x.w, x.r) // the auth request has no body of its own
	respond.SetHeaders(x.w.Header())
	d, f := p.decideOriginal(x)
	if f != nil {
		p.writeDenied(x, f)
		return
	}
	p.writeAllowed(d)
}

// decideOriginal takes the original request of an auth request through steps 1 to 4.
func (p *Proxy) decideOriginal(x *request) (*decided, *Refusal) {
	if f := p.admit(x); f != nil {
		return nil, f
	}
	if _, f := p.canonicalise(x); f != nil { // the auth request
		return nil, f
	}
	if f := p.loadOriginal(x); f != nil {
		return nil, f
	}
	at, f := p.canonicalise(x) // the original
	if f != nil {
		return nil, f
	}
	if f = x.checkUnambiguous(); f != nil {
		return nil, f
	}
	to, f := p.findHost(at)
	if f != nil {
		return nil, f
	}
	if f = p.checkNotEndpoint(to); f != nil {
		return nil, f
	}
	if f = p.findUpstream(to); f != nil {
		return nil, f
	}
	c, f := p.authenticate(to)
	if f != nil {
		return nil, f
	}
	return p.decide(c)
}

func (p *Proxy) isAuthRequest(requestTarget string) bool {
	rest, own := strings.CutPrefix(requestTarget, p.prefix)
	return own && (rest == "/auth" || strings.HasPrefix(rest, "/auth?"))
}

// loadOriginal puts the original request in place of the question.
func (p *Proxy) loadOriginal(x *request) *Refusal {
	if !p.clientReader.IsTrusted(x.r) {
		return refuse(http.StatusForbidden, "untrusted_peer",
			"Only a proxy that is listed in trustedProxies may ask on behalf of others.", nil)
	}
	orig, err := client.ReadOriginal(x.r.Header, x.r.Host, x.client.Scheme)
	if err != nil {
		return refuse(http.StatusForbidden, "bad_forward_auth",
			"The request was refused: the ingress did not say plainly what it asks about: "+err.Error()+".", nil)
	}
	if orig.Scheme == "http" && p.hasSecureCookie(x.r.Header) {
		orig.Scheme = "https"
	}
	x.r, x.all.targeted = orig.Request(x.r), targeted{} // the path of the auth request is irrelevant
	x.method = x.r.Method
	x.client.SetHost(orig.Host, orig.Scheme)
	return nil
}

// checkUnambiguous refuses a request that a server could run as another than was decided.
func (x *request) checkUnambiguous() *Refusal {
	if reason := ambiguousHeader(x.r); reason != "" {
		return refuse(http.StatusForbidden, "ambiguous_header", "The request was refused: "+reason+".", nil)
	}
	x.r = restoreUpgrade(x.r)
	return nil
}

// hasSecureCookie finds a cookie that browsers send over https alone (RFC 6265bis,
// 4.1.3): an ingress behind a balancer that ends TLS reports http.
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
func (p *Proxy) checkNotEndpoint(x *routed) *Refusal {
	if !p.endpoints.Has(x.path) {
		return nil
	}
	return refuse(http.StatusForbidden, "reserved_path",
		"The request was refused: the ingress must send "+p.prefix+" to authgate itself, and not ask about it.", nil)
}

// writeAllowed lets the ingress forward, and tells it who asks.
func (p *Proxy) writeAllowed(x *decided) {
	if x.signedIn() && !x.asAnonymous {
		x.userHeaders.For(x.route.Upstream).Set(x.w.Header())
	}
	x.w.WriteHeader(http.StatusAccepted)
}

// writeDenied answers a refusal. An ingress understands 401 and 403, and takes any
// success for leave to forward: gRPC's refusals, which are a 200, among them. What
// failed stays what it is. The code tells what the proxy would have answered.
func (p *Proxy) writeDenied(x *request, f *Refusal) {
	x.reason = f.Code
	q := x.respondTo()
	p.respond.LogRefusal(q, f)
	if f.Status != http.StatusUnauthorized && f.Status < http.StatusInternalServerError {
		f.Status = http.StatusForbidden
	}
	if f.Code == codeLoginRequired && respond.IsNavigation(x.r) {
		login := p.endpoints.Start(respond.WithQuery(x.all.targeted.path.String(), x.r.URL.RawQuery))
		f.Next = page.Link{Text: page.TextSignIn, URL: login} // Traefik shows the page
		// Others make a redirect of it: nginx has no way to escape a query.
		x.w.Header().Set("Location", x.client.Origin()+login)
	}
	if f.RetryAfter > 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	p.respond.WriteRefusal(q, f)
}

// ambiguousHeader says which header could make the dashboard do something else than what is
// decided. The proxy removes such headers; an ingress forwards them.
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
// out of the question: a request for a WebSocket is decided like a write.
func restoreUpgrade(r *http.Request) *http.Request {
	if !isWebSocketHandshake(r.Header) {
		return r
	}
	r.Header = r.Header.Clone()
	r.Header["Upgrade"], r.Header["Connection"] = []string{"websocket"}, []string{"Upgrade"}
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	return r
}
