package proxy

import (
	"net/http"

	"github.com/example-org/authgate/session"
)

const codeAmbiguous = "ambiguous_session"

// clearDuplicateCookies removes session cookies of other settings from the browser, for example
// of another session.cookie.domain, before the browser gets or loses its session.
func (p *Proxy) clearDuplicateCookies(x *request) {
	p.sessionCookie.ClearDuplicates(x.w.ResponseWriter, x.r.Header, x.client.Hostname, x.client.Secure())
}

// clearSessionCookies removes all of them, because it is unknown which one is valid.
func (p *Proxy) clearSessionCookies(x *targeted) {
	p.sessionCookie.ClearAll(x.w.ResponseWriter, x.r.Header, x.client.Hostname, x.path.String(), x.client.Secure())
}

// refuseAmbiguous refuses a request whose session cookies contradict each other: a sibling host
// may have planted one. The response removes them, and the user signs in again.
func (p *Proxy) refuseAmbiguous(x *caller) *Refusal {
	p.clearSessionCookies(x.targeted)
	return refuse(http.StatusUnauthorized, codeAmbiguous,
		"Your browser sent several session cookies that contradict each other, so that none was used. They have been "+
			"removed: sign in again.", session.ErrAmbiguous)
}
