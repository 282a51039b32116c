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

// Why a request is not authenticated: the member reason of a problem. A script whose session
// has just ended can act on it.
const (
	reasonNoSession      = "no_session"
	reasonSessionExpired = "session_expired"
	reasonSessionInvalid = "session_invalid"
)

// refuseUnauthenticated refuses a request of an unauthenticated client. If there may be a
// session that cannot be used right now, a login would only lose it.
//
// The refusal does not remove the cookie: another tab may have signed in meanwhile, and a late
// response would sign it out again. A login replaces the cookie.
func (p *Proxy) refuseUnauthenticated(x *caller) *Refusal {
	switch err := x.sessionErr; {
	case x.credentialErr != nil:
		f := p.refuseCredential(x)
		if f.Status == http.StatusUnauthorized {
			f.Reason = f.Code
		}
		return f
	case errors.Is(err, session.ErrAmbiguous):
		x.outcome = audit.LoginRequired
		f := p.refuseAmbiguous(x)
		if respond.WantsHTML(x.r) {
			f.Next = page.Link{Text: page.TextSignIn, URL: p.endpoints.Start(x.returnPath())}
		}
		p.offerLogin(x, f)
		return f
	case errors.Is(err, session.ErrStoreDown):
		return refuse(http.StatusServiceUnavailable, "session_store_down",
			"Your session cannot be checked right now: the session store is not responding. Nothing was done. Try again "+
				"in a moment; your session is not lost.", nil)
	case errors.Is(err, session.ErrStale):
		f := refuse(http.StatusServiceUnavailable, "groups_stale",
			"You are signed in, but your group membership is too old: the identity provider has not answered for a "+
				"while, or reports no groups for you. "+
				"Nothing was done. Try again in a moment, or sign in again.", nil)
		f.Next = page.Link{Text: page.TextSignInAgain, URL: p.endpoints.Start(x.returnPath())}
		return f
	default:
		x.outcome = audit.LoginRequired
		f := refuse(http.StatusUnauthorized, codeLoginRequired, "Sign in to do this.", err)
		f.Reason, f.LoginURL = unauthenticatedReason(err), p.prefix+"/start"
		if !isSafeMethod(x.r.Method) && !errors.Is(err, session.ErrNoCookie) {
			f.Detail = "Your session has ended, so your request had no effect. Sign in, then send it again."
		}
		if respond.WantsHTML(x.r) { // a redirect would silently lose what was sent
			f.Next = page.Link{Text: page.TextSignIn, URL: p.endpoints.Start(x.returnPath())}
			if x.forceLogin {
				f.Next.URL = p.endpoints.ForceLogin(x.returnPath())
			}
		}
		p.offerLogin(x, f)
		return f
	}
}

// offerLogin has a browser that opens a page redirected to the login.
func (p *Proxy) offerLogin(x *caller, f *Refusal) {
	if respond.IsNavigation(x.r) {
		f.OnNavigation = p.redirectToLogin(x)
	}
}

// returnPath is where a login returns to: the page that the user opened, or the page of this
// origin that sent the form.
func (x *targeted) returnPath() string {
	if respond.IsRead(x.r.Method) {
		return respond.WithQuery(x.path.String(), x.r.URL.RawQuery)
	}
	if !x.isSameOriginReferer() {
		return "/"
	}
	_, rest, _ := strings.Cut(x.r.Header.Get("Referer"), "://")
	_, path, _ := strings.Cut(rest, "/")
	return x.p.endpoints.ReturnPath("/" + path)
}

// unauthenticatedReason is the member reason of a problem.
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
