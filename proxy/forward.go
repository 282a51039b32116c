package proxy

import (
	"net/http"

	"github.com/example-org/authgate/proxy/upstream"
)

// forward is step 6: the upstream gets the request.
func (p *Proxy) forward(x *exchange) {
	q := upstream.Request{
		Request: x.respondTo(), Recorder: x.w, Client: x.client, Path: x.path, Upstream: x.route.Upstream, Exchange: x,
		Token: x.upstreamToken, SpentAuthorization: x.usesBearer() && x.presented.header == "Authorization", Result: &x.forwarded,
	}
	if x.signedIn() && !x.asAnonymous {
		q.Identity = x.userHeaders.For(x.route.Upstream)
	}
	p.forwarder.Forward(q)
}

// FinalizeHeader implements [upstream.Exchange].
func (x *exchange) FinalizeHeader(status int, _ http.Header) (closeConnection bool) {
	if status != http.StatusSwitchingProtocols && status != http.StatusNotModified { // browsers store neither as a response
		x.p.writeSessionCookie(x)
	}
	// The client must come back on a new connection, to another process, and not use this one
	// just when it is closed. SetKeepAlivesEnabled(false) would close idle connections at once,
	// even when a request on one of them is on its way.
	return x.p.draining.Load() && status != http.StatusSwitchingProtocols
}
