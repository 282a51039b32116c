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
	"github.com/example-org/authgate/page"
)

const (
	loginLifetime = 15 * time.Minute // a login that never returns is normal: the issuer may strand people on its own page
	stateName     = "state"
	maxState      = 16 << 10 // bytes: a path and a query of their greatest length, sealed
	maxSpent      = 1 << 16  // states that are remembered as used: some 5 MiB
)

// pending is a login between its two halves. It travels as the state, sealed, so
// that any number of them may be under way in one browser.
type pending struct {
	Login   identity.Login `json:"l"`
	Browser string         `json:"c"` // which one began it: digest of its binding cookie
	Begun   time.Time      `json:"b"`
	Return  returnPath     `json:"r"`

	// Why a session that there is will not do.
	Again   bool `json:"a,omitempty"` // a dashboard does not take it
	Another bool `json:"p,omitempty"` // the user wants to be asked who they are
}

// mustLogIn reports whether a session is no reason to leave the login out.
func (b pending) mustLogIn() bool { return b.Again || b.Another }

// loginRequest reads what /start is asked for.
func (p *Proxy) loginRequest(x *exchange) pending {
	query := x.r.URL.Query()
	to, shortened := p.readReturn(query.Get("rd"))
	return pending{
		Begun: x.begun,
		Return: returnPath{
			URL: to, Shortened: shortened || query.Get("shortened") == "1", Fragment: query.Get("fragment") == "1",
		},
		Again: query.Get("again") == "1", Another: query.Get("prompt") == "login",
	}
}

// start begins a login: the browser is sent to the issuer with a state and a
// nonce that only this browser can bring back.
func (p *Proxy) start(x *exchange) bool {
	if !reads(x.r.Method) {
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Open this address in a browser.", nil)
	}
	begun := p.loginRequest(x)
	if s, ok := p.signedInHere(x); ok && !begun.mustLogIn() { // in another tab, meanwhile
		return p.signedInAlready(x, s, http.StatusFound, begun.Return)
	}
	if err := p.sessions.Down(); err != nil { // or people would sign in for nothing
		return p.notBegun(x, "session_store_down",
			"Nobody can sign in right now: the session store does not answer. Try again in a moment.", err)
	}
	if !p.mayTry(x, begun) {
		return false
	}
	begun.Browser = p.bindBrowser(x)
	authorize, err := p.authorizeURL(x, begun)
	switch {
	case errors.Is(err, errNotSealed):
		return x.refuse(http.StatusInternalServerError, "login_not_begun", "The login could not be begun.", err)
	case err != nil:
		return p.notBegun(x, "issuer_not_ready",
			"Nobody can sign in right now: the identity provider has not answered yet. Try again in a moment.", err)
	}
	x.outcome = audit.ToLogin
	x.redirectAway(http.StatusFound, authorize)
	return true
}

var errNotSealed = errors.New("the state could not be sealed")

// authorizeURL is where the issuer asks people who they are.
func (p *Proxy) authorizeURL(x *exchange, begun pending) (string, error) {
	o := identity.BeginOptions{State: func(l identity.Login) (string, error) {
		begun.Login = l
		state, err := p.logins.Seal(stateName, begun)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errNotSealed, err)
		}
		return state, nil
	}}
	if begun.Another {
		o.Prompt = "login"
	}
	_, authorize, err := p.issuer.Begin(p.callbackURL(x), o)
	return authorize, err
}

func (p *Proxy) callbackURL(x *exchange) string { return x.client.origin() + p.prefix + "/callback" }

// notBegun refuses a login that may well begin in a moment.
func (p *Proxy) notBegun(x *exchange, code, detail string, cause error) bool {
	x.refuse(http.StatusServiceUnavailable, code, detail, cause)
	x.refusal.Next = page.Link{Text: "Try again", URL: x.r.URL.RequestURI()}
	return false
}

// pendingOf opens a state. What it says holds also where an error tells that it
// finishes no login of this browser any more: nobody else can make one.
func (p *Proxy) pendingOf(x *exchange, state string) (pending, error) {
	var begun pending
	if err := p.logins.Open(stateName, state, &begun); err != nil {
		return pending{}, err
	}
	age := x.begun.Sub(begun.Begun)
	switch {
	case age > loginLifetime || age < -loginLifetime:
		return begun, errors.New("the login was begun too long ago")
	case !p.isBound(x, begun.Browser):
		return begun, identity.ErrStateMismatch
	case !strings.EqualFold(begun.Login.RedirectURI, p.callbackURL(x)):
		return begun, errors.New("the login was begun on another host")
	}
	begun.Login.State = state
	return begun, nil
}

// isOwnLogin reports whether a return path is a page on which the issuer asks who
// somebody is for a login of ours.
func (p *Proxy) isOwnLogin(to string) bool {
	_, query, _ := strings.Cut(to, "?")
	values, err := url.ParseQuery(query)
	return err == nil && p.logins.Open(stateName, values.Get("state"), new(pending)) == nil
}
