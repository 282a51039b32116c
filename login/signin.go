package login

import (
	"errors"
	"net/http"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
)

// loginRequest reads the query of /start.
func (h *Handler) loginRequest(x *request) pendingLogin {
	query := x.R.URL.Query()
	to, shortened := h.endpoints.ParseReturnPath(query.Get("rd"))
	return pendingLogin{
		StartedAt: x.ReceivedAt,
		Return: returnPath{
			URL: to, Shortened: shortened || query.Get("shortened") == "1", KeptFragment: query.Get("fragment") == "1",
		},
		ForceLogin: query.Get("again") == "1", SwitchUser: query.Get("prompt") == "login",
	}
}

// start begins a login: it sends the browser to the issuer with a state and a nonce that only
// this browser can bring back.
func (h *Handler) start(x *request) respond.Answer {
	if !respond.IsRead(x.R.Method) {
		return refuseMethod("Open this address in a browser.")
	}
	pending := h.loginRequest(x)
	if s, ok := h.boundSession(x); ok && !pending.forcesLogin() { // another tab has signed in meanwhile
		return h.alreadySignedIn(x, s, http.StatusFound, pending.Return)
	}
	if err := h.sessions.Down(); err != nil { // or users would sign in for nothing
		return h.refuseStart(x, "session_store_down",
			"Signing in is not possible right now: the session store is not responding. Try again in a moment.", err)
	}
	if f := h.refuseAttempt(x, pending); f != nil {
		return f
	}
	pending.BindingDigest = h.bindBrowser(x)
	authorize, err := h.authorizeURL(x, pending)
	switch {
	case errors.Is(err, errStateNotEncrypted):
		return refuse(http.StatusInternalServerError, "login_not_started", "The login could not be started.", err)
	case err != nil:
		return h.refuseStart(x, "issuer_not_ready",
			"Signing in is not possible right now: the identity provider has not answered yet. Try again in a moment.", err)
	}
	x.Decision = audit.LoginRequired
	return respond.RedirectExternal(http.StatusFound, authorize)
}

// authorizeURL is where the issuer asks who the user is.
func (h *Handler) authorizeURL(x *request, pending pendingLogin) (string, error) {
	o := identity.BeginOptions{State: func(l identity.Login) (string, error) {
		pending.Login = l
		return h.states.encode(pending)
	}}
	if pending.SwitchUser {
		o.Prompt = "login"
	}
	_, authorize, err := h.issuer.Begin(h.callbackURL(x), o)
	return authorize, err
}

func (h *Handler) callbackURL(x *request) string {
	return x.Client.Origin() + h.endpoints.Prefix + "/callback"
}

// refuseStart refuses a login that can probably begin in a moment.
func (h *Handler) refuseStart(x *request, code, detail string, cause error) *respond.Refusal {
	f := refuse(http.StatusServiceUnavailable, code, detail, cause)
	f.Next = page.Link{Text: page.TextTryAgain, URL: x.R.URL.RequestURI()}
	return f
}

// redirectBack ends a login where it began.
func (h *Handler) redirectBack(x *request, status int, to returnPath) respond.Answer {
	back := page.Interstitial{Link: page.Link{URL: to.URL, Text: page.TextSignedIn}, RestoreFragment: to.KeptFragment}
	switch {
	case to.Shortened:
		back.Confirm = true
		back.Text = page.TextShortened
	case to.KeptFragment:
	case h.sameSiteStrict() && x.Event == audit.Login: // the browser sends no cookie after redirects that the issuer began
	default:
		return redirect(status, to.URL)
	}
	return respond.Page{Page: back}
}
