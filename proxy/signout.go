package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/page"
	"github.com/example-org/authgate/session"
)

const (
	maxForm  = 16 << 10        // bytes
	formWait = 5 * time.Second // for it to come
	endWait  = 5 * time.Second // for the store to end a session
)

// readForm bounds the form of a POST to an endpoint of ours: nothing else says how
// long it may take to come.
func readForm(x *exchange) error {
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxForm)
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(formWait))
	return x.r.ParseForm()
}

// signOut ends the session on POST, and asks first on GET: a link or an image on
// another page must not sign anybody out.
func (p *Proxy) signOut(x *exchange) bool {
	switch {
	case reads(x.r.Method):
		return p.askToSignOut(x)
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

// whoSignsOut is the session of the cookie, whatever else the request brings:
// a credential beside it does not keep anybody signed in.
func (p *Proxy) whoSignsOut(x *exchange) {
	x.outcome, x.standing = audit.Allow, x.state.anonymous
	s, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.secure())
	if err != nil {
		x.sessionErr = err
		return
	}
	x.session, x.standing = s, x.state.standingOf(s)
}

func (p *Proxy) askToSignOut(x *exchange) bool {
	p.whoSignsOut(x)
	switch {
	case x.signedIn():
	case p.withheld(x, x.sessionErr):
		return p.goOn(x, withQuery(x.path.String(), x.r.URL.RawQuery), "Looking whether you are signed in.")
	case errors.Is(x.sessionErr, session.ErrStale), errors.Is(x.sessionErr, session.ErrStoreDown):
		// Somebody may well be signed in: the button is for them, too.
	default:
		return p.signedOut(x, x.r.URL.Query().Get("rd"))
	}
	rd := x.r.URL.Query().Get("rd")
	if rd != "" {
		rd = p.returnTo(rd)
	}
	who := ""
	if x.signedIn() {
		who = displayName(x.session.Principal)
	}
	for _, host := range p.otherHosts(x) { // to which the answer to the form leads
		x.formsTo = append(x.formsTo, x.client.originOf(host))
	}
	html, err := p.pages.SignOut(page.SignOut{
		Who: who, Action: p.prefix + "/sign_out", ReturnTo: rd, IssuerToo: p.issuerSignOut(x, x.session.Grant) != "",
	})
	p.writePage(x, http.StatusOK, html, err)
	return true
}

// endSession ends it here, in the browser and at the issuer.
func (p *Proxy) endSession(x *exchange) bool {
	p.whoSignsOut(x)
	rd := ""
	if err := readForm(x); err == nil { // where to go is a wish; to sign out is not
		rd = x.r.Form.Get("rd")
	}
	was := x.session
	x.event = audit.Logout
	if x.client.secure() && (was.ID != "" || x.sessionErr != nil && !errors.Is(x.sessionErr, session.ErrNone)) {
		x.w.Header().Set("Clear-Site-Data", `"cache"`) // or the back button shows what was seen
	}
	p.forgetTries(x)
	err := p.endEverywhere(x, was)
	p.endStreams(was.ID, cutSignedOut)
	if err != nil {
		return p.notEnded(x, was, err)
	}
	if rd != "" {
		rd = p.returnTo(rd)
	}
	if p.beginChain(x, was, rd) {
		return true
	}
	if was.ID != "" {
		if to := p.issuerSignOut(x, was.Grant); to != "" {
			return p.leave(x, to)
		}
	}
	if rd != "" {
		x.redirect(http.StatusSeeOther, rd)
		return true
	}
	return p.signedOut(x, "/")
}

// endEverywhere takes the session out of the store also when the browser does not
// wait for it. A session that could not be looked up could not be ended.
func (p *Proxy) endEverywhere(x *exchange, was session.Session) error {
	if p.clearOthers(x); errors.Is(x.sessionErr, session.ErrAmbiguous) {
		p.clearAll(x)
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(x.r.Context()), endWait)
	defer done()
	err := p.sessions.End(ctx, x.w, x.r.Header, was, x.client.secure())
	if err == nil && was.ID == "" && (errors.Is(x.sessionErr, session.ErrStale) || errors.Is(x.sessionErr, session.ErrStoreDown)) {
		return x.sessionErr
	}
	return err
}

// notEnded says what is true: this browser has lost the session, a copy of its
// cookie has not.
func (p *Proxy) notEnded(x *exchange, was session.Session, err error) bool {
	x.outcome = audit.Refuse
	until := was.Expires
	if was.ID == "" {
		until = x.begun.Add(time.Duration(p.config.Session.Lifetime))
	}
	x.refuse(http.StatusServiceUnavailable, "session_not_ended",
		"This browser is signed out. The session itself could not be ended, because it could not be reached where sessions are kept. "+
			"Whoever has a copy of its cookie could use it until "+until.UTC().Format("2006-01-02 15:04")+" UTC at the latest. "+
			"If that matters, show the id below to whoever runs this service.", err)
	x.refusal.Next = page.Link{Text: "Sign in again", URL: p.startURL("/")}
	return false
}

// issuerSignOut is where the issuer ends its own session, and sends people back
// to a page that says so; empty where it has no such address. Issuers want this
// very address registered, so that it has no query.
func (p *Proxy) issuerSignOut(x *exchange, g identity.Grant) string {
	return p.issuer.SignOutURL(g, x.client.origin()+p.prefix+"/sign_out")
}

// leave sends a browser on to the issuer. Not by a redirect: browsers hold those of
// a form to the form-action of the page it was on, the issuer's own included (CSP
// Level 3, 6.4.1).
func (p *Proxy) leave(x *exchange, to string) bool {
	if wantsPage(x.r) {
		return p.goOn(x, to, "Your session here has ended. The identity provider ends its own.")
	}
	x.redirect(http.StatusSeeOther, to)
	return true
}

// signedOut says so, and offers a login that comes back to rd.
func (p *Proxy) signedOut(x *exchange, rd string) bool {
	rd = p.returnTo(rd)
	html, err := p.pages.SignedOut(page.SignedOut{
		Again: page.Link{Text: "Sign in again", URL: p.startURL(rd)}, Another: p.anotherURL(rd), IssuerToo: p.issuerSignOut(x, identity.Grant{}) != "",
	})
	p.writePage(x, http.StatusOK, html, err)
	return true
}
