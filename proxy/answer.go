package proxy

import (
	"errors"
	"net/http"
	"strings"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
)

// Refusal is why a request ends here.
type Refusal = respond.Refusal

// Codes that the answer depends on.
const (
	codeLoginRequired = "login_required"
	codeDenied        = "denied"
)

// answer is step 5, and the one place where a refusal becomes a response.
func (p *Proxy) answer(x *request, f *Refusal) {
	x.reason = f.Code
	p.respond.Write(x.respondTo(), f)
}

// respondTo is what an answer needs to know of the request.
func (x *request) respondTo() respond.Request {
	return respond.Request{
		W: x.w, R: x.r, ID: x.id, RequestID: x.requestID, HasToken: x.all.caller.presented.bearer != "",
		SignedIn: x.all.caller.signedIn(), Upstream: x.all.upstreamTitle(),
		Client: x.client, Path: x.all.targeted.path, ReceivedAt: x.startedAt,
	}
}

// write writes an answer of an endpoint; a refusal is returned instead.
func (p *Proxy) write(x *request, a respond.Answer) *Refusal {
	if f, refused := a.(*Refusal); refused {
		return f
	}
	p.respond.Write(x.respondTo(), a)
	return nil
}

// redirect is write for a redirect to another page of this host.
func (p *Proxy) redirect(x *request, status int, location string) *Refusal {
	return p.write(x, respond.Redirect{Status: status, Location: location})
}

// redirectToLogin leads a browser to the login and back to where it was.
func (p *Proxy) redirectToLogin(x *caller) respond.Answer {
	here := respond.WithQuery(x.path.String(), x.r.URL.RawQuery)
	start := p.endpoints.Start(here)
	if x.forceLogin {
		start = p.endpoints.ForceLogin(here)
	}
	switch {
	case x.route != nil && x.route.config.KeepFragment:
		return respond.KeepFragment(start, page.TextSigningIn)
	case p.cookieWithheld(x, x.sessionErr):
		if strings.HasPrefix(here, "//") { // which begins another host
			here = "/"
		}
		return respond.Continue(here, page.TextCheckingSession)
	default:
		return respond.Redirect{Status: http.StatusFound, Location: start}
	}
}

// cookieWithheld reports whether the browser may have a session whose cookie it did not send,
// because another site sent it here.
func (p *Proxy) cookieWithheld(x *caller, cause error) bool {
	return p.sameSiteStrict() && errors.Is(cause, session.ErrNoCookie) && respond.IsFromOtherSite(x.r)
}

func (p *Proxy) sameSiteStrict() bool {
	return p.config.Session.Cookie.SameSite == config.SameSiteStrict
}

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
	return x.refererPath()
}

// refererPath is the path and query of the page of this origin that sent the request.
func (x *targeted) refererPath() string {
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
