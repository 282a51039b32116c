package proxy

import (
	"errors"
	"net/http"
	"strings"

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

// refuse notes why the request ends here. It returns false, as a step does.
func (x *exchange) refuse(status int, code, detail string, cause error) bool {
	x.refusal = &Refusal{Status: status, Code: code, Detail: detail, Cause: cause}
	return false
}

// answer is step 5, and the one place where a refusal becomes a response.
func (p *Proxy) answer(x *exchange) {
	f := x.refusal
	x.reason = f.Code
	if f.Code == codeDenied && !respond.IsGRPC(x.r) && !respond.IsGRPCWeb(x.r) {
		p.addDenial(x)
	}
	if (f.Code == codeLoginRequired || f.Code == codeAmbiguous) && respond.IsNavigation(x.r) {
		f.OnNavigation = p.redirectToLogin(x)
	}
	p.respond.Write(x.respondTo(), f)
}

// respondTo is what an answer needs to know of the request.
func (x *exchange) respondTo() respond.Request {
	return respond.Request{
		W: x.w, R: x.r, ID: x.id, RequestID: x.requestID, HasToken: x.presented.bearer != "",
		Client: x.client, Path: x.path, ReceivedAt: x.startedAt,
	}
}

// write writes an answer that is not a refusal. It returns true, as an endpoint does.
func (p *Proxy) write(x *exchange, a respond.Answer) bool {
	p.respond.Write(x.respondTo(), a)
	return true
}

// redirect is write for a redirect to another page of this host.
func (p *Proxy) redirect(x *exchange, status int, location string) bool {
	return p.write(x, respond.Redirect{Status: status, Location: location})
}

// addDenial adds to the refusal by the policy who the user is, and who is admitted.
func (p *Proxy) addDenial(x *exchange) {
	principal, back := x.session.Principal, p.returnPathOf(x)
	admitted, more := x.state.policy.Admitted(x.route.Name, x.path, x.r.Method)
	x.refusal.Denied = &page.Denied{
		User: principal.DisplayName(), Groups: principal.Groups, Overage: principal.GroupsOverage,
		Admitted: admitted, AdmittedMore: more, Rule: x.rule(),
		Upstream: x.route.Name, Method: x.r.Method, Path: x.path.String(),
		SignOut: p.endpoints.SignOut(back), SwitchUser: p.endpoints.SwitchUser(back),
	}
}

// redirectToLogin leads a browser to the login and back to where it was.
func (p *Proxy) redirectToLogin(x *exchange) respond.Answer {
	here := respond.WithQuery(x.path.String(), x.r.URL.RawQuery)
	start := p.endpoints.Start(here)
	if x.forceLogin {
		start = p.endpoints.ForceLogin(here)
	}
	switch {
	case x.route != nil && x.route.config.KeepFragment:
		return respond.KeepFragment(start, "You are being signed in.")
	case p.cookieWithheld(x, x.sessionErr):
		if strings.HasPrefix(here, "//") { // which begins another host
			here = "/"
		}
		return respond.Continue(here, checkingSession)
	default:
		return respond.Redirect{Status: http.StatusFound, Location: start}
	}
}

const checkingSession = "Checking whether you are signed in."

// cookieWithheld reports whether the browser may have a session whose cookie it did not send,
// because another site sent it here.
func (p *Proxy) cookieWithheld(x *exchange, cause error) bool {
	return p.sameSiteStrict() && errors.Is(cause, session.ErrNoCookie) && respond.IsFromOtherSite(x.r)
}

func (p *Proxy) sameSiteStrict() bool {
	return p.config.Session.Cookie.SameSite == config.SameSiteStrict
}
