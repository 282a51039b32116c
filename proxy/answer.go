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

// refuseDenied refuses what the policy denies. It says who the user is, and who is admitted.
func (p *Proxy) refuseDenied(x *decided, detail string) *Refusal {
	f := refuse(http.StatusForbidden, codeDenied, detail, nil)
	principal, back := x.session.Principal, x.returnPath()
	admitted, more := x.state.policy.Admitted(x.route.Name, x.path, x.r.Method)
	f.Denied = &page.Denied{
		User: principal.DisplayName(), Groups: principal.Groups, Overage: principal.GroupsOverage,
		ShowAdmitted: true, Admitted: admitted, AdmittedMore: more, Rule: x.state.policy.ruleOf(x.decision),
		Upstream: x.route.config.DisplayName(), Method: x.r.Method, Path: x.path.String(),
		SignOut: p.endpoints.SignOut(back), SwitchUser: p.endpoints.SwitchUser(back),
	}
	return f
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
