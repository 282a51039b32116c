package proxy

import (
	"github.com/example-org/authgate/proxy/upstream"
)

// forward is step 6: the upstream gets the request.
func (p *Proxy) forward(x *decided, token string) {
	q := upstream.Request{
		Request: x.respondTo(), Recorder: x.w, Client: x.client, Path: x.path, Upstream: x.route.Upstream, Exchange: x.all,
		Token: token, SpentAuthorization: x.usesBearer() && x.presented.header == "Authorization", Result: &x.all.forwarded,
	}
	if x.signedIn() && !x.asAnonymous {
		q.Identity = x.userHeaders.For(x.route.Upstream)
	}
	p.forwarder.Forward(q)
}
