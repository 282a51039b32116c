package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits of the login form.
const (
	loginLifetime = 8 * time.Hour
	maxLogins     = 64 // at a time; the oldest ends
	loginBurst    = 5  // wrong tokens, after which one per loginRefill is checked
	loginRefill   = time.Second
)

// login is a browser that has shown the token.
type login struct {
	csrf    string
	token   *[sha256.Size]byte // that it has shown: another one ends the login
	expires time.Time
}

// logins are the browsers that have shown the token. They are random values in memory: none
// outlives the process, a sign-out ends one at once, and a cookie says nothing about the token.
// It is safe for concurrent use.
type logins struct {
	cookieName string // of this process: forwarded ports share a host name, and with it their cookies

	mu       sync.Mutex
	byDigest map[[sha256.Size]byte]*login // of the cookie's value

	failures  float64 // wrong tokens that have not been forgiven yet
	updatedAt time.Time
}

func newLogins() *logins {
	return &logins{cookieName: "authgate-admin-" + rand.Text()[:8], byDigest: make(map[[sha256.Size]byte]*login)}
}

// start makes a login and its cookie.
func (l *logins) start(token *[sha256.Size]byte, now time.Time, secure bool) *http.Cookie {
	value := rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byDigest) >= maxLogins {
		l.removeOldest()
	}
	l.byDigest[sha256.Sum256([]byte(value))] = &login{csrf: rand.Text(), token: token, expires: now.Add(loginLifetime)}
	return l.cookie(value, int(loginLifetime.Seconds()), secure)
}

// removeOldest removes the login that ends first.
func (l *logins) removeOldest() {
	var oldest [sha256.Size]byte
	var at time.Time
	for digest, one := range l.byDigest {
		if at.IsZero() || one.expires.Before(at) {
			oldest, at = digest, one.expires
		}
	}
	delete(l.byDigest, oldest)
}

// find gives the login of a request; nil: it has none.
func (l *logins) find(r *http.Request, token *[sha256.Size]byte, now time.Time) *login {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range r.CookiesNamed(l.name(r.TLS != nil)) {
		digest := sha256.Sum256([]byte(c.Value))
		one := l.byDigest[digest]
		switch {
		case one == nil:
		case now.Before(one.expires) && *one.token == *token:
			return one
		default:
			delete(l.byDigest, digest)
		}
	}
	return nil
}

// end ends the login of a request, and gives the cookie that removes its own.
func (l *logins) end(r *http.Request) *http.Cookie {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range r.CookiesNamed(l.name(r.TLS != nil)) {
		delete(l.byDigest, sha256.Sum256([]byte(c.Value)))
	}
	return l.cookie("", -1, r.TLS != nil)
}

func (l *logins) name(secure bool) string {
	if secure {
		return "__Host-" + l.cookieName
	}
	return l.cookieName
}

func (l *logins) cookie(value string, maxAge int, secure bool) *http.Cookie {
	return &http.Cookie{
		Name: l.name(secure), Value: value, Path: "/", MaxAge: maxAge,
		Secure: secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// attempt reports whether a token may be checked now. Until forgive is called, it counts as wrong.
func (l *logins) attempt(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = max(0, l.failures-float64(now.Sub(l.updatedAt))/float64(loginRefill))
	l.updatedAt = now
	if l.failures > loginBurst-1 {
		return false
	}
	l.failures++
	return true
}

// forgive takes back an attempt with the right token.
func (l *logins) forgive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = max(0, l.failures-1)
}

// access is how a request has shown that it may read the operator pages.
type access struct {
	bearer bool
	login  *login // of its cookie; nil: none
}

// access is the zero value if the request may not.
func (h *Handler) access(r *http.Request) access {
	if h.hasToken(r.Header["Authorization"]) {
		return access{bearer: true}
	}
	return access{login: h.logins.find(r, h.token.Load(), h.Now())}
}

func (a access) granted() bool { return a.bearer || a.login != nil }

// mayChange reports whether a request that changes something was meant: a browser sends its
// cookie also with forms of others, which do not know the login's own value.
func (a access) mayChange(r *http.Request) bool {
	return a.bearer || a.login != nil && equalSecret(r.PostFormValue("csrf"), a.login.csrf)
}

// csrf is the value for forms; empty: none is needed.
func (a access) csrf() string {
	if a.login == nil {
		return ""
	}
	return a.login.csrf
}

// equalSecret compares in a time that does not depend on the values or their lengths.
func equalSecret(sent, want string) bool {
	a, b := sha256.Sum256([]byte(sent)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// hasToken compares in a time that does not depend on the token or its length.
func (h *Handler) hasToken(sent []string) bool {
	if len(sent) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	return h.isToken(token) && strings.EqualFold(scheme, "Bearer")
}

func (h *Handler) isToken(token string) bool {
	hash, want := sha256.Sum256([]byte(token)), h.token.Load()
	return subtle.ConstantTimeCompare(hash[:], want[:]) == 1
}
