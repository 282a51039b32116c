package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
)

const (
	maxFormBytes  = 16 << 10        // bytes
	formTimeout   = 5 * time.Second // for it to come
	revokeTimeout = 5 * time.Second // for the store to end a session
)

// readForm bounds the form of a POST to an endpoint of ours: nothing else says how
// long it may take to come.
func readForm(x *exchange) error {
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxFormBytes)
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(formTimeout))
	return x.r.ParseForm()
}

// signOut ends the session on POST, and asks first on GET: a link or an image on
// another page must not sign anybody out.
func (p *Proxy) signOut(x *exchange) bool {
	switch {
	case respond.IsRead(x.r.Method):
		return p.confirmSignOut(x)
	case x.r.Method != http.MethodPost:
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Sign out with GET or POST.", nil)
	case !x.sameOrigin():
		// With a session or without: the browser of a person who is signed in sends
		// another site's form without its cookie (SameSite), and would take our word
		// that the cookie is gone.
		return x.refuse(http.StatusForbidden, "cross_origin", "The request was refused: it came from another site, and would have signed you out.", nil)
	default:
		return p.endSession(x)
	}
}

// loadSignOutSession is the session of the cookie, whatever else the request brings:
// a credential beside it does not keep anybody signed in.
func (p *Proxy) loadSignOutSession(x *exchange) {
	x.outcome, x.resolvedRoles = audit.Allow, x.state.anonymous
	s, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.Secure())
	if err != nil {
		x.sessionErr = err
		return
	}
	x.session, x.resolvedRoles = s, x.state.resolveRoles(s)
}

func (p *Proxy) confirmSignOut(x *exchange) bool {
	p.loadSignOutSession(x)
	switch {
	case x.signedIn():
	case p.cookieWithheld(x, x.sessionErr):
		return p.write(x, respond.Continue(respond.WithQuery(x.path.String(), x.r.URL.RawQuery), checkingSession))
	case errors.Is(x.sessionErr, session.ErrStale), errors.Is(x.sessionErr, session.ErrStoreDown):
		// Somebody may well be signed in: the button is for them, too.
	default:
		return p.writeSignedOut(x, x.r.URL.Query().Get("rd"))
	}
	rd := x.r.URL.Query().Get("rd")
	if rd != "" {
		rd = p.endpoints.ReturnPath(rd)
	}
	ask := page.SignOut{Action: p.prefix + "/sign_out", ReturnTo: rd, IssuerToo: p.issuerSignOutURL(x, x.session.TokenSet) != ""}
	if x.signedIn() {
		ask.User = displayName(x.session.Principal)
	}
	var targets []string
	for _, host := range p.otherHosts(x) { // to which the answer to the form leads
		targets = append(targets, x.client.OriginOf(host))
	}
	return p.write(x, respond.Page{Page: ask, FormTargets: targets})
}

// endSession ends it here, in the browser and at the issuer.
func (p *Proxy) endSession(x *exchange) bool {
	p.loadSignOutSession(x)
	rd := ""
	if err := readForm(x); err == nil { // where to go is a wish; to sign out is not
		rd = x.r.Form.Get("rd")
	}
	old := x.session
	x.event = audit.Logout
	if x.client.Secure() && (old.ID != "" || x.sessionErr != nil && !errors.Is(x.sessionErr, session.ErrNoCookie)) {
		x.w.Header().Set("Clear-Site-Data", `"cache"`) // or the back button shows what was seen
	}
	p.clearAttempts(x)
	err := p.revokeSession(x, old)
	p.cutSessionStreams(old.ID)
	if err != nil {
		return p.refuseNotRevoked(x, old, err)
	}
	if rd != "" {
		rd = p.endpoints.ReturnPath(rd)
	}
	if p.beginChain(x, old, rd) {
		return true
	}
	if old.ID != "" {
		if to := p.issuerSignOutURL(x, old.TokenSet); to != "" {
			return p.redirectToIssuer(x, to)
		}
	}
	if rd != "" {
		return p.redirect(x, http.StatusSeeOther, rd)
	}
	return p.writeSignedOut(x, "/")
}

// revokeSession takes the session out of the store also when the browser does not
// wait for it. A session that could not be looked up could not be ended.
func (p *Proxy) revokeSession(x *exchange, old session.Session) error {
	if p.clearDuplicateCookies(x); errors.Is(x.sessionErr, session.ErrAmbiguous) {
		p.clearSessionCookies(x)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), revokeTimeout)
	defer cancel()
	err := p.sessions.End(ctx, x.w, x.r.Header, old, x.client.Secure())
	if err == nil && old.ID == "" && (errors.Is(x.sessionErr, session.ErrStale) || errors.Is(x.sessionErr, session.ErrStoreDown)) {
		return x.sessionErr
	}
	return err
}

// refuseNotRevoked says what is true: this browser has lost the session, a copy of its
// cookie has not.
func (p *Proxy) refuseNotRevoked(x *exchange, old session.Session, err error) bool {
	x.outcome = audit.Refuse
	until := old.Expires
	if old.ID == "" {
		until = x.startedAt.Add(time.Duration(p.config.Session.Lifetime))
	}
	x.refuse(http.StatusServiceUnavailable, "session_not_ended",
		"This browser is signed out. The session itself could not be ended, because it could not be reached where sessions are kept. "+
			"Whoever has a copy of its cookie could use it until "+until.UTC().Format("2006-01-02 15:04")+" UTC at the latest. "+
			"If that matters, show the id below to whoever runs this service.", err)
	x.refusal.Next = page.Link{Text: "Sign in again", URL: p.endpoints.Start("/")}
	return false
}

// issuerSignOutURL is where the issuer ends its own session, and sends people back
// to a page that says so; empty where it has no such address. Issuers want this
// very address registered, so that it has no query.
func (p *Proxy) issuerSignOutURL(x *exchange, g identity.TokenSet) string {
	return p.issuer.SignOutURL(g, x.client.Origin()+p.prefix+"/sign_out")
}

// redirectToIssuer sends a browser on to the issuer. Not by a redirect: browsers hold those of
// a form to the form-action of the page it was on, the issuer's own included (CSP
// Level 3, 6.4.1).
func (p *Proxy) redirectToIssuer(x *exchange, to string) bool {
	if respond.WantsHTML(x.r) {
		return p.write(x, respond.Continue(to, "Your session here has ended. The identity provider ends its own."))
	}
	return p.redirect(x, http.StatusSeeOther, to)
}

// writeSignedOut says so, and offers a login that comes back to rd.
func (p *Proxy) writeSignedOut(x *exchange, rd string) bool {
	rd = p.endpoints.ReturnPath(rd)
	return p.write(x, respond.Page{Page: page.SignedOut{
		SignIn: page.Link{Text: "Sign in again", URL: p.endpoints.Start(rd)}, SwitchUser: p.endpoints.SwitchUser(rd),
		IssuerToo: p.issuerSignOutURL(x, identity.TokenSet{}) != "",
	}})
}
