package proxy

import (
	"errors"
	"net/http"
	"strings"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
)

// Why there is nobody, in the words of a problem's member reason: a script that
// was signed in a moment ago acts on it.
const (
	reasonNoSession      = "no_session"
	reasonSessionExpired = "session_expired"
	reasonSessionInvalid = "session_invalid"
)

// refuseUnauthenticated turns away a request that nobody in particular made. Where there
// may be a session that cannot be used right now, a login would only lose it.
//
// Nothing takes the cookie away: another tab may have signed in meanwhile, and an
// answer that comes late would sign it out again. A login replaces it.
func (p *Proxy) refuseUnauthenticated(x *exchange) bool {
	switch err := x.sessionErr; {
	case x.credentialErr != nil:
		p.refuseCredential(x)
		if x.refusal.Status == http.StatusUnauthorized {
			x.refusal.Reason = x.refusal.Code
		}
		return false
	case errors.Is(err, session.ErrAmbiguous):
		x.outcome = audit.LoginRequired
		p.refuseAmbiguous(x)
		if respond.WantsHTML(x.r) {
			x.refusal.Next = page.Link{Text: "Sign in", URL: p.endpoints.Start(p.returnPathOf(x))}
		}
		return false
	case errors.Is(err, session.ErrStoreDown):
		return x.refuse(http.StatusServiceUnavailable, "session_store_down",
			"Whether you are signed in cannot be told right now: the session store does not answer. Nothing was done. Try again in a moment; your session is not lost.", nil)
	case errors.Is(err, session.ErrStale):
		x.refuse(http.StatusServiceUnavailable, "groups_stale",
			"You are signed in, but which groups you are in could not be asked for too long: the identity provider does not answer, or no longer knows of any group of yours. "+
				"What was true then is not used any more. Nothing was done. Try again in a moment, or sign in again.", nil)
		x.refusal.Next = page.Link{Text: "Sign in again", URL: p.endpoints.Start(p.returnPathOf(x))}
		return false
	default:
		x.outcome = audit.LoginRequired
		x.refuse(http.StatusUnauthorized, codeLoginRequired, "Sign in to do this.", err)
		x.refusal.Reason, x.refusal.LoginURL = unauthenticatedReason(err), p.prefix+"/start"
		if !isSafeMethod(x.r.Method) && !errors.Is(err, session.ErrNoCookie) {
			x.refusal.Detail = "Your session has ended, and nothing of what you sent was done. Sign in, and send it again."
		}
		if respond.WantsHTML(x.r) { // for whom a redirect is no way: what was sent would be lost unsaid
			x.refusal.Next = page.Link{Text: "Sign in", URL: p.endpoints.Start(p.returnPathOf(x))}
			if x.forceLogin {
				x.refusal.Next.URL = p.endpoints.ForceLogin(p.returnPathOf(x))
			}
		}
		return false
	}
}

// returnPathOf is where a person is to come back to: the page that they opened, or the
// one of this very origin that sent the form.
func (p *Proxy) returnPathOf(x *exchange) string {
	if respond.IsRead(x.r.Method) {
		return respond.WithQuery(x.path.String(), x.r.URL.RawQuery)
	}
	if !x.isSameOriginReferer() {
		return "/"
	}
	_, rest, _ := strings.Cut(x.r.Header.Get("Referer"), "://")
	_, path, _ := strings.Cut(rest, "/")
	return p.endpoints.ReturnPath("/" + path)
}

// unauthenticatedReason is the reason for a problem's body.
func unauthenticatedReason(err error) string {
	switch {
	case errors.Is(err, session.ErrExpired):
		return reasonSessionExpired
	case errors.Is(err, session.ErrInvalid):
		return reasonSessionInvalid
	default:
		return reasonNoSession
	}
}
