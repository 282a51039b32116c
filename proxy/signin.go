package proxy

import (
	"net/http"
	"strings"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/target"
)

const (
	loginLifetime = 15 * time.Minute // a login that never returns is normal: the issuer may strand people on its own page
	maxLogins     = 5                // begun and not finished in one browser: tabs that were restored together
	maxReturnTo   = 1024             // bytes of a path, and of a query; a cookie holds both
	stateInName   = 8                // characters of the state that tell the cookies of two logins apart
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
	if err := p.sessions.Down(); err != nil { // or people would sign in for nothing
		return x.refuse(http.StatusServiceUnavailable, "session_store_down",
			"Nobody can sign in right now: the session store does not answer. Try again in a moment.", err)
	}
	rd := p.returnTo(x.r.URL.Query().Get("rd"))
	tried, ok := p.mayTry(x, rd)
	if !ok {
		return false
	}
	login, authorize, err := p.issuer.Begin(x.client.origin() + p.prefix + "/callback")
	if err != nil {
		return x.refuse(http.StatusServiceUnavailable, "issuer_not_ready",
			"Nobody can sign in right now: the identity provider has not answered yet. Try again in a moment.", err)
	}
	secure := x.client.secure()
	name := p.loginCookie(login.State, secure)
	sealed, err := p.logins.Seal(name, pending{login, rd, x.begun})
	if err != nil {
		return x.refuse(http.StatusInternalServerError, "login_not_begun", "The login could not be begun.", err)
	}
	p.dropOldLogins(x)
	setLoginCookie(x.w, name, sealed, int(loginLifetime.Seconds()), secure)
	p.countTry(x, tried)
	x.outcome = audit.ToLogin
	x.redirect(http.StatusFound, authorize)
	return true
}

// loginCookie names the cookie of one login. Several tabs may log in at once,
// each with its own.
func (p *Proxy) loginCookie(state string, secure bool) string {
	return p.loginPrefix(secure) + state[:stateInName]
}

func (p *Proxy) loginPrefix(secure bool) string { return p.ofThisHost("-login-", secure) }

// ofThisHost names a cookie that goes with a login. It has __Host- also where the
// session is shared by a domain: a login is of one host, and no sibling may plant
// one. What begins with the session cookie's name reaches no upstream.
func (p *Proxy) ofThisHost(suffix string, secure bool) string {
	name := p.config.Session.Cookie.Name + suffix
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

// returnTo reads rd, where a person was on this host. What is not a canonical
// path, or leads back into authgate's own endpoints, becomes the start page; a
// query that cannot be kept is left out. No value of it leads to another host.
func (p *Proxy) returnTo(rd string) string {
	path, err := target.ParseWith(rd, p.quirks)
	if err != nil || len(path.String()) > maxReturnTo || p.isOwn(path) || strings.HasPrefix(path.String(), "//") { // which begins another host
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
