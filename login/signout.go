package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
)

const (
	maxFormBytes  = 16 << 10
	formTimeout   = 5 * time.Second // until a form has arrived
	revokeTimeout = 5 * time.Second // until the store has ended a session
)

// readForm bounds the form of a POST: nothing else limits how long it may take to arrive.
func readForm(x *request) error {
	x.R.Body = http.MaxBytesReader(x.W, x.R.Body, maxFormBytes)
	_ = http.NewResponseController(x.W).SetReadDeadline(time.Now().Add(formTimeout))
	return x.R.ParseForm()
}

// signOut ends the session on POST, and asks first on GET: a link or an image on another page
// must not sign a user out.
func (h *Handler) signOut(x *request) respond.Answer {
	switch {
	case respond.IsRead(x.R.Method):
		return h.confirmSignOut(x)
	case x.R.Method != http.MethodPost:
		return refuseMethod("Sign out with GET or POST.")
	case !x.SameOrigin:
		// With a session or without: the browser of a signed-in user sends another site's form
		// without the cookie (SameSite), and would obey our Set-Cookie that removes it.
		return refuse(http.StatusForbidden, "cross_origin", "The request was refused: it came from another site, and "+
			"would have signed you out.", nil)
	default:
		return h.endSession(x)
	}
}

// loadSession loads the session of the cookie. Another credential of the request does not
// keep a user signed in.
func (h *Handler) loadSession(x *request) {
	x.Decision = audit.Allow
	x.session, x.sessionErr = h.find(x)
	if x.sessionErr != nil {
		x.session = session.Session{}
	}
}

// isUnavailable reports whether there may be a session that cannot be looked up right now.
func isUnavailable(err error) bool {
	return errors.Is(err, session.ErrStale) || errors.Is(err, session.ErrStoreDown)
}

func (h *Handler) confirmSignOut(x *request) respond.Answer {
	h.loadSession(x)
	rd := x.R.URL.Query().Get("rd")
	switch {
	case x.signedIn(), isUnavailable(x.sessionErr): // the button is also for a user whose session cannot be looked up
	case h.cookieWithheld(x, x.sessionErr):
		return respond.Continue(respond.WithQuery(x.Path.String(), x.R.URL.RawQuery), page.TextCheckingSession)
	default:
		return h.signedOut(x, rd)
	}
	if rd != "" {
		rd = h.endpoints.ReturnPath(rd)
	}
	ask := page.SignOut{
		Action: h.endpoints.Prefix + "/sign_out", ReturnTo: rd, All: h.endsAll(x.R.URL.Query()),
		IssuerToo: h.issuerSignOutURL(x, x.session.TokenSet) != "",
	}
	if x.signedIn() {
		ask.User = x.session.Principal.DisplayName()
	}
	var targets []string
	for _, host := range h.otherHosts(x) { // to which the answer to the form leads
		targets = append(targets, x.Client.OriginOf(host))
	}
	return respond.Page{Page: ask, FormTargets: targets}
}

// endSession ends the session here, in the browser and at the issuer.
func (h *Handler) endSession(x *request) respond.Answer {
	h.loadSession(x)
	rd, all := "", false
	if err := readForm(x); err == nil { // a bad form does not prevent the sign-out
		rd, all = x.R.Form.Get("rd"), h.endsAll(x.R.Form)
	}
	x.Event = audit.Logout
	if x.Client.Secure() && (x.signedIn() || x.sessionErr != nil && !errors.Is(x.sessionErr, session.ErrNoCookie)) {
		x.W.Header().Set("Clear-Site-Data", `"cache"`) // or the back button shows pages of the session
	}
	h.clearAttempts(x)
	err := h.revokeSession(x)
	if x.signedIn() {
		h.endStreams(x.session)
		if all {
			err = errors.Join(err, h.revokeAll(x))
		}
	}
	if err != nil {
		return h.refuseNotRevoked(x, err)
	}
	if rd != "" {
		rd = h.endpoints.ReturnPath(rd)
	}
	if next := h.beginChain(x, rd); next != nil {
		return next
	}
	if x.signedIn() {
		if to := h.issuerSignOutURL(x, x.session.TokenSet); to != "" {
			return h.redirectToIssuer(x, to)
		}
	}
	if rd != "" {
		return redirect(http.StatusSeeOther, rd)
	}
	return h.signedOut(x, "/")
}

// endsAll reports whether a sign-out ends the sessions of the user in other browsers, too. Only a
// store that lists them can do so.
func (h *Handler) endsAll(parameters url.Values) bool {
	return parameters.Get("everywhere") == "1" && h.config.Session.Store == config.StoreRedis
}

// revokeAll ends all sessions of the user, and their streams.
func (h *Handler) revokeAll(x *request) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.R.Context()), revokeTimeout)
	defer cancel()
	user := x.session.Principal
	_, err := h.sessions.Revoke(ctx, session.Filter{Issuer: user.Issuer, Subject: user.Subject})
	h.endStreams(session.Session{TokenSet: identity.TokenSet{Principal: user}})
	return err
}

// revokeSession ends the session in the store, also when the browser does not wait. A session
// that could not be looked up could not be ended.
func (h *Handler) revokeSession(x *request) error {
	if h.clearDuplicates(x); errors.Is(x.sessionErr, session.ErrAmbiguous) {
		h.cookie.ClearAll(x.W, x.R.Header, x.Client.Hostname, x.Path.String(), x.Client.Secure())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.R.Context()), revokeTimeout)
	defer cancel()
	err := h.sessions.End(ctx, x.W, x.R.Header, x.session, x.Client.Secure())
	if err == nil && !x.signedIn() && isUnavailable(x.sessionErr) {
		return x.sessionErr
	}
	return err
}

// refuseNotRevoked says that this browser has lost the session, and that a copy of its cookie
// has not.
func (h *Handler) refuseNotRevoked(x *request, err error) *respond.Refusal {
	x.Decision = audit.Refuse
	until := x.session.Expires
	if !x.signedIn() {
		until = x.ReceivedAt.Add(time.Duration(h.config.Session.Lifetime))
	}
	ends := until.UTC().Format("2006-01-02 15:04 UTC")
	f := refuse(http.StatusServiceUnavailable, "session_not_ended",
		"This browser is signed out. The session could not be revoked because the session store is unreachable. "+
			"Anyone with a copy of the cookie can use it until "+ends+" at the latest. "+
			"If that matters, give the id to your administrators.", err)
	f.Until = ends
	f.Next = page.Link{Text: page.TextSignInAgain, URL: h.endpoints.Start("/")}
	return f
}

// issuerSignOutURL is where the issuer ends its own session and sends the browser back to our
// page. It is empty if the issuer has no such address. Issuers require this exact address to
// be registered, so it has no query.
func (h *Handler) issuerSignOutURL(x *request, g identity.TokenSet) string {
	return h.issuer.SignOutURL(g, x.Client.Origin()+h.endpoints.Prefix+"/sign_out")
}

// redirectToIssuer sends the browser on to the issuer. It does so by a page: browsers check
// redirects that answer a form against the form-action of its page, the issuer's own
// redirects included (CSP Level 3, 6.4.1).
func (h *Handler) redirectToIssuer(x *request, to string) respond.Answer {
	if respond.WantsHTML(x.R) {
		return respond.Continue(to, page.TextIssuerSignOut)
	}
	return redirect(http.StatusSeeOther, to)
}

// signedOut tells that the user is signed out, and offers a login that returns to rd.
func (h *Handler) signedOut(x *request, rd string) respond.Answer {
	rd = h.endpoints.ReturnPath(rd)
	return respond.Page{Page: page.SignedOut{
		SignIn: page.Link{Text: page.TextSignInAgain, URL: h.endpoints.Start(rd)}, SwitchUser: h.endpoints.SwitchUser(rd),
		IssuerToo: h.issuerSignOutURL(x, identity.TokenSet{}) != "",
	}}
}
