package proxy

import (
	"net/http"

	"github.com/example-org/authgate/session"
)

const codeAmbiguous = "ambiguous_session"

// clearDuplicateCookies takes session cookies of other settings from the browser, before it is
// given one, or loses the one that it has: of another session.cookie.domain, for instance.
func (p *Proxy) clearDuplicateCookies(x *request) {
	p.sessionCookie.ClearDuplicates(x.w.ResponseWriter, x.r.Header, x.client.Hostname, x.client.Secure())
}

// clearSessionCookies takes all of them, because which one counts cannot be told.
func (p *Proxy) clearSessionCookies(x *targeted) {
	p.sessionCookie.ClearAll(x.w.ResponseWriter, x.r.Header, x.client.Hostname, x.path.String(), x.client.Secure())
}

// refuseAmbiguous turns away a request with session cookies that contradict each other:
// one may have been planted by a sibling host. The browser loses them, and signs in again.
func (p *Proxy) refuseAmbiguous(x *caller) *Refusal {
	p.clearSessionCookies(x.targeted)
	return refuse(http.StatusUnauthorized, codeAmbiguous,
		"Your browser sent several session cookies that contradict each other, so that none was used. They have been removed: sign in again.", session.ErrAmbiguous)
}
