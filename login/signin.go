package login

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
)

// continueParam is the parameter of /start that leads on to the issuer where a page comes first.
const continueParam = "continue"

// loginRequest reads the parameters of /start.
func (h *Handler) loginRequest(x *request, query url.Values) pendingLogin {
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
	query, f := h.startParameters(x)
	if f != nil {
		return f
	}
	pending := h.loginRequest(x, query)
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
	if h.asksFirst(x, query) {
		return h.askToSignIn(x, pending)
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
	if x.R.Method == http.MethodPost {
		return respond.RedirectExternal(http.StatusSeeOther, authorize)
	}
	return respond.RedirectExternal(http.StatusFound, authorize)
}

// startParameters are those of the query and, where a page with a button comes first, of its form.
func (h *Handler) startParameters(x *request) (url.Values, *respond.Refusal) {
	switch {
	case respond.IsRead(x.R.Method):
		return x.R.URL.Query(), nil
	case x.R.Method == http.MethodPost && !h.config.Issuer.AutoRedirect:
		if err := readForm(x); err != nil {
			return nil, refuse(http.StatusBadRequest, "bad_form", "The form could not be read.", err)
		}
		return x.R.Form, nil
	default:
		return nil, refuseMethod("Open this address in a browser.")
	}
}

// asksFirst reports whether the user sees a page with a button before the issuer.
func (h *Handler) asksFirst(x *request, query url.Values) bool {
	return !h.config.Issuer.AutoRedirect && x.R.Method != http.MethodPost && query.Get(continueParam) != "1"
}

// askToSignIn shows the button. It is a link and not a form: browsers check every redirect that
// answers a form, those between the issuer and its own login provider included, against the
// form-action of the page (CSP Level 3, 6.4.1).
func (h *Handler) askToSignIn(x *request, pending pendingLogin) respond.Answer {
	x.Decision = audit.LoginRequired
	to := url.Values{"rd": {pending.Return.URL}, continueParam: {"1"}}
	for name, set := range map[string]bool{
		"shortened": pending.Return.Shortened, "fragment": pending.Return.KeptFragment, "again": pending.ForceLogin,
	} {
		if set {
			to.Set(name, "1")
		}
	}
	if pending.SwitchUser {
		to.Set("prompt", "login")
	}
	return respond.Page{Page: page.SignIn{
		Issuer: h.config.Issuer.Name(), Action: h.endpoints.Prefix + "/start?" + to.Encode(),
	}}
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
