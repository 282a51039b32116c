package proxy

import (
	"net/http"
	"slices"
	"strings"
)

// identify is step 3: who is asking, or nobody. It refuses only what a browser
// was made to send by another site; being nobody is for the policy to judge.
func (p *Proxy) identify(x *exchange) bool {
	x.standing = x.state.anonymous
	if hasCredential(x.r.Header) {
		// Not accepted as a credential, so it is passed on only where anybody may
		// go, and it does not mix with the session that rides along.
		x.credential = true
		return true
	}
	s, err := p.sessions.Open(x.r.Header, x.client.secure())
	if err != nil {
		x.sessionErr = err
		return true
	}
	x.session, x.standing = s, x.state.standingOf(s)
	if !x.sameOrigin() {
		return x.refuse(http.StatusForbidden, "cross_origin",
			"The request was refused: it came from another site, and would have acted with your session.", nil)
	}
	return true
}

func hasCredential(h http.Header) bool {
	return len(h["Authorization"]) > 0 || len(h["Proxy-Authorization"]) > 0
}

// sameOrigin reports whether a request that rides on a session cookie may have
// effects. A write or an upgrade must come from the very origin it goes to: a
// sibling dashboard is the same site, so that SameSite cookies do not stop it.
// Without either header no browser sent it, or one too old to send upgrades.
func (x *exchange) sameOrigin() bool {
	upgrade := x.upgrade()
	if !upgrade && safeMethod(x.r.Method) {
		return true
	}
	site, origin := x.r.Header["Sec-Fetch-Site"], x.r.Header["Origin"]
	if len(site) > 1 || len(origin) > 1 {
		return false
	}
	if len(origin) == 1 && x.allowedOrigin(origin[0]) {
		return true
	}
	switch {
	case len(site) == 1:
		return site[0] == "same-origin" || site[0] == "none" && len(origin) == 0
	case len(origin) == 1:
		return canonicalOrigin(origin[0]) == x.client.origin()
	default:
		return !upgrade
	}
}

func (x *exchange) allowedOrigin(origin string) bool {
	return x.route != nil && slices.Contains(x.route.allowedOrigins, canonicalOrigin(origin))
}

// canonicalOrigin brings an origin to lower case without its scheme's own port.
func canonicalOrigin(origin string) string {
	scheme, rest, ok := strings.Cut(strings.ToLower(origin), "://")
	if !ok {
		return ""
	}
	_, host := splitHost(rest, scheme)
	if host == "" {
		return ""
	}
	return scheme + "://" + host
}

func safeMethod(method string) bool {
	return reads(method) || method == http.MethodOptions
}

// upgrade reports whether the request asks for a WebSocket, the one protocol
// that is switched to: any other, h2c above all, would be a tunnel in which no
// further request is judged.
func (x *exchange) upgrade() bool {
	values := x.r.Header["Upgrade"]
	return len(values) == 1 && strings.EqualFold(values[0], "websocket") &&
		x.r.Method == http.MethodGet && x.r.ProtoMajor == 1 && x.r.ProtoMinor == 1 && x.r.ContentLength == 0
}
