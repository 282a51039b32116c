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

// serveLoginPage answers a dashboard's own pages for logging in and out, where its
// UI sends people when it is refused: behind authgate they would lead to a second
// login, or nowhere. It reports whether it did.
func (p *Proxy) serveLoginPage(x *exchange) bool {
	matched, ok := x.matchLoginPage(x.route)
	if !ok {
		return false
	}
	if !p.interceptLoginPage(x, matched, x.route) {
		p.answer(x)
	}
	return true
}

func (x *exchange) matchLoginPage(of *dashboard) (upstream.LoginPage, bool) {
	if !respond.IsRead(x.r.Method) || respond.IsGRPC(x.r) || respond.IsGRPCWeb(x.r) {
		return upstream.LoginPage{}, false
	}
	return of.LoginPage(x.path)
}

// maxLoginRedirects is how often in a minute a dashboard may send somebody to log in who is
// signed in here: the first time their groups or token were old, perhaps; then it
// does not take who they are, and would send them round for ever.
const maxLoginRedirects = 3

// interceptLoginPage goes through authgate's own login, which people mostly do not see, and
// back to where they were.
func (p *Proxy) interceptLoginPage(x *exchange, matched upstream.LoginPage, of *dashboard) bool {
	respond.SetHeaders(x.w.Header())
	x.outcome = audit.LoginRequired
	if matched.Logout {
		return p.redirect(x, http.StatusFound, p.prefix+"/sign_out")
	}
	if matched.FailedParam != "" && upstream.HasParameter(x.r.URL.RawQuery, matched.FailedParam) {
		return p.refuseIssuerDenied(x)
	}
	rd := "/"
	if matched.ReturnParam != "" {
		rd = p.endpoints.ReturnPath(x.sameOriginPath(x.r.URL.Query().Get(matched.ReturnParam)))
	}
	_, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.Secure())
	switch {
	case err != nil:
		return p.redirect(x, http.StatusFound, p.endpoints.Start(rd))
	case p.readAttempts(x).count >= maxLoginRedirects:
		return p.refuseCredentialRejected(x, of.Name, rd)
	default:
		return p.redirect(x, http.StatusFound, p.endpoints.ForceLogin(rd))
	}
}

// refuseIssuerDenied explains a refusal of Dex, which gives no reason.
func (p *Proxy) refuseIssuerDenied(x *exchange) bool {
	x.outcome = audit.Refuse
	x.refuse(http.StatusForbidden, "login_denied",
		"The identity provider could not log you in: you are in none of the organisations that it lets in, you said no at GitHub, or GitHub did not answer. "+
			"If you should be let in, show the id below to whoever runs this service.", nil)
	x.refusal.Next = page.Link{Text: "Start again", URL: p.endpoints.Start("/")}
	return false
}

func (p *Proxy) refuseCredentialRejected(x *exchange, upstream, rd string) bool {
	x.outcome = audit.Refuse
	p.log.Warn("a dashboard does not take who authgate says somebody is", "id", x.id, "request_id", x.requestID, "upstream", upstream,
		"mend", "look at its log for the reason; for Argo CD, whether oidc.config.allowedAudiences holds issuer.clientID; and at identity.credential of this upstream")
	x.refuse(http.StatusBadGateway, "credential_not_taken",
		"You are signed in, but "+upstream+" does not take who you are, and sends you to sign in again and again. "+
			"Show the id below to whoever runs this service.", nil)
	x.refusal.Next = page.Link{Text: "Try again", URL: rd}
	return false
}

// sameOriginPath makes of an address that a dashboard's UI wrote its path and query;
// empty where it leads to another host.
func (x *exchange) sameOriginPath(address string) string {
	if strings.HasPrefix(address, "/") {
		return address
	}
	u, err := url.Parse(address)
	if err != nil || client.CanonicalOrigin(u.Scheme+"://"+u.Host) != x.client.Origin() {
		return ""
	}
	return respond.WithQuery(u.EscapedPath(), u.RawQuery)
}
