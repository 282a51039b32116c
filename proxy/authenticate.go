package proxy

import (
	"net/http"
	"strings"

	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/upstream"
	"github.com/example-org/authgate/session"
)

// authenticate is step 3: the user, or none. It refuses only what another site made a browser
// send; the policy decides about unauthenticated clients.
func (p *Proxy) authenticate(to *routed) (*caller, *Refusal) {
	x := to.newCaller()
	if c := to.credential(); c.header != "" {
		p.authenticateBearer(x, c)
		if !x.isUpstreamCredential() {
			return x, nil
		}
	}
	s, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.Secure())
	if err != nil {
		x.sessionErr = err
		return x, nil
	}
	if t := x.presented.bearer; t != "" && (t == s.IDToken || t == s.AccessToken) {
		x.credentialErr = session.ErrLoginToken // opaque, so that nothing else tells it from the upstream's own
		return x, nil
	}
	x.session, x.resolvedRoles = s, x.state.resolveRoles(&s)
	x.presented, x.credentialErr = credential{}, nil // the upstream judges the credential next to the session
	if !x.sameOrigin() {
		return nil, refuse(http.StatusForbidden, "cross_origin",
			"The request was refused: it came from another site, and would have acted with your session.", nil)
	}
	return x, nil
}

// sameOrigin reports whether a request that rides on a session cookie may have
// effects. A write, an upgrade or a GET with effects must come from the very
// origin it goes to: a sibling dashboard is the same site, so that SameSite
// cookies do not stop it. Sec-Fetch-Site is the browser's own word, which no page
// can change; browsers leave it out on plain http.
func (x *routed) sameOrigin() bool {
	site, origin := x.r.Header["Sec-Fetch-Site"], x.r.Header["Origin"]
	if len(site) == 1 && site[0] == "same-origin" {
		return true
	}
	upgrade := upstream.IsWebSocketUpgrade(x.r)
	effect := x.route != nil && x.route.HasSideEffect(x.path, x.r.URL.RawQuery)
	if !upgrade && !effect && isSafeMethod(x.r.Method) {
		return true
	}
	if len(origin) == 1 && x.route != nil && x.route.AllowsOrigin(origin[0]) {
		return true
	}
	switch {
	case len(site) > 0: // none: typed or bookmarked by a person. No browser sends that with an Origin.
		return len(site) == 1 && site[0] == "none" && len(origin) == 0
	case len(origin) > 0:
		return len(origin) == 1 && client.CanonicalOrigin(origin[0]) == x.client.Origin()
	case upgrade: // browsers always send an Origin with it
		return false
	case effect: // another site's image or link comes without an Origin as well
		return x.isSameOriginReferer()
	default: // no browser writes without either header
		return true
	}
}

// isSameOriginReferer reports whether a page of this very origin asks. A page of another
// one can leave its Referer out, but not send ours.
func (x *request) isSameOriginReferer() bool {
	referer := x.r.Header["Referer"]
	if len(referer) != 1 {
		return false
	}
	scheme, rest, _ := strings.Cut(referer[0], "://")
	host, _, _ := strings.Cut(rest, "/")
	return client.CanonicalOrigin(scheme+"://"+host) == x.client.Origin()
}

func isSafeMethod(method string) bool {
	return respond.IsRead(method) || method == http.MethodOptions
}
