package proxy

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/page"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/target"
)

const (
	loginLifetime  = 15 * time.Minute // a login that never returns is normal: the issuer may strand people on its own page
	maxLogins      = 5                // begun and not finished in one browser: tabs that were restored together
	maxReturnTo    = 1024             // bytes of a path, and of a query; a cookie holds both
	maxSignOutForm = 8 << 10          // bytes
	signOutWait    = 5 * time.Second  // for that form to come
	stateInName    = 8                // characters of the state that tell the cookies of two logins apart
)

// pending is a login between its two halves. The browser keeps it, sealed.
type pending struct {
	Login    identity.Login `json:"l"`
	ReturnTo string         `json:"r"`
	Begun    time.Time      `json:"b"`
}

// start begins a login: the browser is sent to the issuer with a state and a
// nonce that only this browser can bring back.
func (p *Proxy) start(x *exchange) bool {
	if !reads(x.r.Method) {
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Open this address in a browser.", nil)
	}
	login, authorize, err := p.issuer.Begin(x.client.origin() + p.prefix + "/callback")
	if err != nil {
		return x.refuse(http.StatusServiceUnavailable, "issuer_not_ready",
			"Nobody can sign in right now: the identity provider has not answered yet. Try again in a moment.", err)
	}
	secure := x.client.secure()
	name := p.loginCookie(login.State, secure)
	sealed, err := p.logins.Seal(name, pending{login, p.returnTo(x.r.URL.Query().Get("rd")), x.begun})
	if err != nil {
		return x.refuse(http.StatusInternalServerError, "login_not_begun", "The login could not be begun.", err)
	}
	p.dropOldLogins(x)
	setLoginCookie(x.w, name, sealed, int(loginLifetime.Seconds()), secure)
	x.outcome = audit.ToLogin
	x.redirect(http.StatusFound, authorize)
	return true
}

// callback finishes a login: the issuer has sent the browser back.
func (p *Proxy) callback(x *exchange) bool {
	x.event = audit.LoginFailed
	if x.r.Method != http.MethodGet {
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Sign in with a browser.", nil)
	}
	answer := x.r.URL.Query()
	begun, err := p.takeLogin(x, answer.Get("state"))
	if err != nil {
		return p.loginFailed(x, "state", Refusal{
			Status: http.StatusBadRequest, Code: "login_unknown", Cause: err,
			Detail: "This login was begun in another browser, was finished already, or is too old.",
		}, "/")
	}
	grant, err := p.issuer.Finish(x.r.Context(), begun.Login, answer)
	if err != nil {
		result, refusal := refusalOfLogin(err)
		return p.loginFailed(x, result, refusal, begun.ReturnTo)
	}
	s, err := p.sessions.Begin(x.r.Context(), x.w, x.r.Header, grant, x.client.secure())
	if err != nil {
		who := grant.Principal
		p.log.Error("session not kept", "id", x.id, "request_id", x.requestID, "sub", who.Subject, "groups", len(who.Groups), "error", err,
			"mend", "the groups of this person do not fit: let the issuer send fewer (its teams filter)")
		return p.loginFailed(x, "too_large", Refusal{
			Status: http.StatusInternalServerError, Code: "session_too_large", Cause: err,
			Detail: "You have more groups than a session can hold. Show the id below to whoever runs this service.",
		}, "")
	}
	x.session, x.standing = s, x.state.standingOf(s)
	x.event, x.outcome = audit.Login, audit.Allow
	p.metrics.logins.WithLabelValues("ok").Inc()
	x.redirect(http.StatusFound, begun.ReturnTo)
	return true
}

// loginFailed refuses a callback. The page offers to start again rather than
// doing so by itself: a login that fails each time must not become a loop.
func (p *Proxy) loginFailed(x *exchange, result string, f Refusal, rd string) bool {
	p.metrics.logins.WithLabelValues(result).Inc()
	p.log.Warn("login failed", "id", x.id, "request_id", x.requestID, "result", result, "error", f.Cause)
	f.Cause = nil // said already
	if rd != "" {
		f.Next = page.Link{Text: "Start again", URL: p.startURL(rd)}
	}
	x.refusal = &f
	return false
}

// refusalOfLogin turns an error of the relying party into what a person is told.
func refusalOfLogin(err error) (result string, f Refusal) {
	var declined *identity.LoginRefusedError
	var unreachable *identity.UnreachableError
	switch {
	case errors.As(err, &declined):
		return "denied", Refusal{
			Status: http.StatusForbidden, Code: "login_denied", Cause: err,
			Detail: "The identity provider did not let you sign in (" + declined.Code + ").",
		}
	case errors.Is(err, identity.ErrStateMismatch):
		return "state", Refusal{
			Status: http.StatusBadRequest, Code: "login_unknown", Cause: err,
			Detail: "This login does not belong to this browser.",
		}
	case errors.As(err, &unreachable):
		return "unreachable", Refusal{
			Status: http.StatusBadGateway, Code: "issuer_unreachable", Cause: err,
			Detail: "The identity provider did not answer. Try again in a moment; if it stays so, show the id below to whoever runs this service.",
		}
	default:
		return "error", Refusal{
			Status: http.StatusBadGateway, Code: "login_failed", Cause: err,
			Detail: "The identity provider's answer could not be used. Show the id below to whoever runs this service: the log says why.",
		}
	}
}

// takeLogin finds the login that a callback finishes, and forgets it: whatever
// comes of it, it is used up.
func (p *Proxy) takeLogin(x *exchange, state string) (pending, error) {
	secure := x.client.secure()
	if len(state) < stateInName {
		return pending{}, identity.ErrStateMismatch
	}
	name := p.loginCookie(state, secure)
	sealed, err := session.Find(x.r.Header, name)
	if err != nil {
		return pending{}, errors.New("no login cookie for this state")
	}
	setLoginCookie(x.w, name, "", -1, secure)
	var begun pending
	if err := p.logins.Open(name, sealed, &begun); err != nil {
		return pending{}, err
	}
	if age := x.begun.Sub(begun.Begun); age > loginLifetime || age < -loginLifetime {
		return pending{}, errors.New("the login was begun too long ago")
	}
	return begun, nil
}

// loginCookie names the cookie of one login. Several tabs may log in at once,
// each with its own.
func (p *Proxy) loginCookie(state string, secure bool) string {
	return p.loginPrefix(secure) + state[:stateInName]
}

// loginPrefix has __Host- also where the session is shared by a domain: a login is
// of one host, and no sibling may plant one.
func (p *Proxy) loginPrefix(secure bool) string {
	name := p.config.Session.Cookie.Name + "-login-"
	if secure {
		name = "__Host-" + name
	}
	return name
}

// dropOldLogins keeps tabs that nobody finishes from filling the cookie header.
func (p *Proxy) dropOldLogins(x *exchange) {
	secure := x.client.secure()
	prefix := p.loginPrefix(secure)
	var old []string
	for name := range session.Names(x.r.Header) {
		if strings.HasPrefix(name, prefix) {
			old = append(old, name)
		}
	}
	if len(old) < maxLogins {
		return
	}
	for _, name := range old {
		setLoginCookie(x.w, name, "", -1, secure)
	}
}

func setLoginCookie(w http.ResponseWriter, name, value string, maxAge int, secure bool) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// signOut ends the session on POST, and asks first on GET: a link or an image on
// another page must not sign anybody out.
func (p *Proxy) signOut(x *exchange) bool {
	if !p.identify(x) {
		return false
	}
	x.outcome = audit.Allow
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		if !x.signedIn() {
			return p.signedOut(x)
		}
		rd := x.r.URL.Query().Get("rd")
		if rd != "" {
			rd = p.returnTo(rd)
		}
		html, err := p.pages.SignOut(page.SignOut{
			Who: displayName(x.session.Principal), Action: p.prefix + "/sign_out", ReturnTo: rd,
		})
		p.writePage(x, http.StatusOK, html, err)
		return true
	case http.MethodPost:
		x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxSignOutForm)
		// Nothing else bounds how long a form may take to come.
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(signOutWait))
		rd := x.r.FormValue("rd")
		_ = p.sessions.End(x.r.Context(), x.w, x.r.Header, x.session, x.client.secure())
		p.endStreams(x.session.ID, cutSignedOut)
		x.event = audit.Logout
		if rd != "" {
			x.redirect(http.StatusSeeOther, p.returnTo(rd))
			return true
		}
		return p.signedOut(x)
	default:
		x.outcome = audit.Refuse
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Sign out with GET or POST.", nil)
	}
}

func (p *Proxy) signedOut(x *exchange) bool {
	html, err := p.pages.SignedOut(page.Link{Text: "Sign in again", URL: p.startURL("/")})
	p.writePage(x, http.StatusOK, html, err)
	return true
}

// returnTo reads rd, where a person was on this host. What is not a canonical
// path, or leads back into authgate's own endpoints, becomes the start page; a
// query that cannot be kept is left out. No value of it leads to another host.
func (p *Proxy) returnTo(rd string) string {
	path, err := target.Parse(rd)
	if err != nil || len(path.String()) > maxReturnTo || p.isOwn(path) {
		return "/"
	}
	_, query, _ := strings.Cut(rd, "?")
	if len(query) > maxReturnTo || !visible(query) {
		query = ""
	}
	return withQuery(path.String(), query)
}

func withQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// visible reports whether a query may stand in a Location header as it is.
func visible(query string) bool {
	for i := range len(query) {
		if query[i] <= ' ' || query[i] > '~' || query[i] == '\\' || query[i] == '#' {
			return false
		}
	}
	return true
}
