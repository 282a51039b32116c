package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/proxy/upstream"
)

// serveLoginPage answers a dashboard's own login and logout pages, to which its UI sends users
// after a refusal. With authgate they would lead to a second login, or nowhere. It reports
// whether it answered.
func (p *Proxy) serveLoginPage(x *routed) bool {
	matched, ok := x.matchLoginPage(x.route)
	if !ok {
		return false
	}
	if f := p.interceptLoginPage(x, matched, x.route); f != nil {
		p.answer(x.request, f)
	}
	return true
}

func (x *routed) matchLoginPage(of *dashboard) (upstream.LoginPage, bool) {
	if !respond.IsRead(x.r.Method) || respond.IsGRPC(x.r) || respond.IsGRPCWeb(x.r) {
		return upstream.LoginPage{}, false
	}
	return of.LoginPage(x.path)
}

// interceptLoginPage leads the browser through authgate's own login, which users mostly do not
// see, and back to where it was.
func (p *Proxy) interceptLoginPage(x *routed, matched upstream.LoginPage, of *dashboard) *Refusal {
	respond.SetHeaders(x.w.Header())
	x.outcome = audit.LoginRequired
	if matched.Logout {
		return p.redirect(x.request, http.StatusFound, p.prefix+"/sign_out")
	}
	if matched.FailedParam != "" && upstream.HasParameter(x.r.URL.RawQuery, matched.FailedParam) {
		return p.refuseIssuerDenied(x)
	}
	rd := "/"
	if matched.ReturnParam != "" {
		rd = p.endpoints.ReturnPath(x.sameOriginPath(x.r.URL.Query().Get(matched.ReturnParam)))
	}
	decision, answer := p.login.ForUpstream(x.respondTo(), of.Name, rd)
	x.outcome = decision
	return p.write(x.request, answer)
}

// refuseIssuerDenied explains a refusal of Dex, which gives no reason.
func (p *Proxy) refuseIssuerDenied(x *routed) *Refusal {
	x.outcome = audit.Refuse
	f := refuse(http.StatusForbidden, "login_denied",
		"The identity provider did not let you sign in. Either you are not in an organisation that it admits, or you "+
			"declined at GitHub, or GitHub did not answer. "+
			"If you should have access, give the id to your administrators.", nil)
	f.Next = page.Link{Text: page.TextStartAgain, URL: p.endpoints.Start("/")}
	return f
}

// sameOriginPath returns the path and query of an address that a dashboard's UI wrote. It is
// empty if the address leads to another host.
func (x *request) sameOriginPath(address string) string {
	if strings.HasPrefix(address, "/") {
		return address
	}
	u, err := url.Parse(address)
	if err != nil || client.CanonicalOrigin(u.Scheme+"://"+u.Host) != x.client.Origin() {
		return ""
	}
	return respond.WithQuery(u.EscapedPath(), u.RawQuery)
}
