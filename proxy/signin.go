package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
)

const (
	loginLifetime = 15 * time.Minute // a login that never returns is normal: the issuer may strand people on its own page
	stateName     = "state"
	maxState      = 16 << 10 // bytes: a path and a query of their greatest length, sealed
	maxUsedStates = 1 << 16  // states that are remembered as used: some 5 MiB
)

// pendingLogin is a login between its two halves. It travels as the state, sealed, so
// that any number of them may be under way in one browser.
type pendingLogin struct {
	Login         identity.Login `json:"l"`
	BindingDigest string         `json:"c"` // which one began it: digest of its binding cookie
	StartedAt     time.Time      `json:"b"`
	Return        returnPath     `json:"r"`

	// Why a session that there is will not do.
	ForceLogin bool `json:"a,omitempty"` // a dashboard does not take it
	SwitchUser bool `json:"p,omitempty"` // the user wants to be asked who they are
}

// forcesLogin reports whether a session is no reason to leave the login out.
func (b pendingLogin) forcesLogin() bool { return b.ForceLogin || b.SwitchUser }

// loginRequest reads what /start is asked for.
func (p *Proxy) loginRequest(x *exchange) pendingLogin {
	query := x.r.URL.Query()
	to, shortened := p.endpoints.ParseReturnPath(query.Get("rd"))
	return pendingLogin{
		StartedAt: x.startedAt,
		Return: returnPath{
			URL: to, Shortened: shortened || query.Get("shortened") == "1", KeptFragment: query.Get("fragment") == "1",
		},
		ForceLogin: query.Get("again") == "1", SwitchUser: query.Get("prompt") == "login",
	}
}

// start begins a login: the browser is sent to the issuer with a state and a
// nonce that only this browser can bring back.
func (p *Proxy) start(x *exchange) bool {
	if !respond.IsRead(x.r.Method) {
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Open this address in a browser.", nil)
	}
	pending := p.loginRequest(x)
	if s, ok := p.boundSession(x); ok && !pending.forcesLogin() { // in another tab, meanwhile
		return p.alreadySignedIn(x, s, http.StatusFound, pending.Return)
	}
	if err := p.sessions.Down(); err != nil { // or people would sign in for nothing
		return p.refuseLoginStart(x, "session_store_down",
			"Nobody can sign in right now: the session store does not answer. Try again in a moment.", err)
	}
	if !p.allowAttempt(x, pending) {
		return false
	}
	pending.BindingDigest = p.bindBrowser(x)
	authorize, err := p.authorizeURL(x, pending)
	switch {
	case errors.Is(err, errStateNotEncrypted):
		return x.refuse(http.StatusInternalServerError, "login_not_begun", "The login could not be begun.", err)
	case err != nil:
		return p.refuseLoginStart(x, "issuer_not_ready",
			"Nobody can sign in right now: the identity provider has not answered yet. Try again in a moment.", err)
	}
	x.outcome = audit.LoginRequired
	return p.write(x, respond.RedirectExternal(http.StatusFound, authorize))
}

var errStateNotEncrypted = errors.New("the state could not be sealed")

// authorizeURL is where the issuer asks people who they are.
func (p *Proxy) authorizeURL(x *exchange, pending pendingLogin) (string, error) {
	o := identity.BeginOptions{State: func(l identity.Login) (string, error) {
		pending.Login = l
		state, err := p.stateCodec.Encode(stateName, pending)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errStateNotEncrypted, err)
		}
		return state, nil
	}}
	if pending.SwitchUser {
		o.Prompt = "login"
	}
	_, authorize, err := p.issuer.Begin(p.callbackURL(x), o)
	return authorize, err
}

func (p *Proxy) callbackURL(x *exchange) string { return x.client.Origin() + p.prefix + "/callback" }

// refuseLoginStart refuses a login that may well begin in a moment.
func (p *Proxy) refuseLoginStart(x *exchange, code, detail string, cause error) bool {
	x.refuse(http.StatusServiceUnavailable, code, detail, cause)
	x.refusal.Next = page.Link{Text: "Try again", URL: x.r.URL.RequestURI()}
	return false
}

// decodeState opens a state. What it says holds also where an error tells that it
// finishes no login of this browser any more: nobody else can make one.
func (p *Proxy) decodeState(x *exchange, state string) (pendingLogin, error) {
	var pending pendingLogin
	if err := p.stateCodec.Decode(stateName, state, &pending); err != nil {
		return pendingLogin{}, err
	}
	age := x.startedAt.Sub(pending.StartedAt)
	switch {
	case age > loginLifetime || age < -loginLifetime:
		return pending, errors.New("the login was begun too long ago")
	case !p.isBound(x, pending.BindingDigest):
		return pending, identity.ErrStateMismatch
	case !strings.EqualFold(pending.Login.RedirectURI, p.callbackURL(x)):
		return pending, errors.New("the login was begun on another host")
	}
	pending.Login.State = state
	return pending, nil
}

// isOwnLoginPage reports whether a return path is a page on which the issuer asks who
// somebody is for a login of ours.
func (p *Proxy) isOwnLoginPage(to string) bool {
	_, query, _ := strings.Cut(to, "?")
	values, err := url.ParseQuery(query)
	return err == nil && p.stateCodec.Decode(stateName, values.Get("state"), new(pendingLogin)) == nil
}

// returnPath is where the user was on this host.
type returnPath struct {
	URL          string `json:"u"`           // path and query
	Shortened    bool   `json:"s,omitempty"` // they were longer
	KeptFragment bool   `json:"f,omitempty"` // the browser has stored one
}

// redirectBack ends a login where it began.
func (p *Proxy) redirectBack(x *exchange, status int, to returnPath) bool {
	back := page.Interstitial{Link: page.Link{URL: to.URL, Text: "You are signed in."}, RestoreFragment: to.KeptFragment}
	switch {
	case to.Shortened:
		back.Confirm = true
		back.Text = "You are signed in. The address that you opened was too long to keep during the login, so a part of it is missing. " +
			"If something is missing on the page, open your link again."
	case to.KeptFragment:
	case p.sameSiteStrict() && x.event == audit.Login: // the browser sends no cookie after redirects that the issuer began
	default:
		return p.redirect(x, status, to.URL)
	}
	return p.write(x, respond.Page{Page: back})
}
