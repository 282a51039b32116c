package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
)

const (
	maxLoginAttempts = 5
	attemptWindow    = time.Minute
)

// loginAttempts are the logins that a browser has finished within a minute without that a
// session came of them, as a cookie of its own says. It needs no seal: who changes
// it breaks only their own loop.
type loginAttempts struct {
	count         int
	since         time.Time
	sessionDigest string // digest of the one that the last login made
}

// allowAttempt reports whether one more login may be begun. Where the session never
// comes back, each redirect leads to the next for ever, and in a minute to hundreds
// of questions to the issuer. A browser that keeps no cookies at all is stopped at
// the callback. Logins that were only begun do not count: any number of tabs may
// wait at the issuer.
func (p *Proxy) allowAttempt(x *exchange, pending pendingLogin) bool {
	if !respond.IsNavigation(x.r) { // nothing follows by itself from what does not navigate
		return true
	}
	if p.isOwnLoginPage(pending.Return.URL) {
		return p.refuseLoop(x, pending.Return.URL, "the issuer's login page is behind authgate, and needs a login itself",
			"let system:anonymous open the pages of the issuer, or serve it under another host")
	}
	if p.readAttempts(x).count < maxLoginAttempts {
		return true
	}
	_, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.Secure())
	if err == nil && !pending.ForceLogin { // the session came back: who signs in again and again wants to
		return true
	}
	reason := "a session comes back, and an upstream does not take it"
	if err != nil {
		reason = err.Error()
	}
	return p.refuseLoop(x, pending.Return.URL, reason,
		"the session cookie does not come back: look at session.cookie (domain, sameSite), and at the scheme that authgate sees (trustedProxies)")
}

func (p *Proxy) refuseLoop(x *exchange, rd, reason, hint string) bool {
	p.log.Warn("a login goes round in circles", "id", x.id, "request_id", x.requestID, "host", x.client.Host, "error", reason, "mend", hint)
	x.refuse(http.StatusTooManyRequests, "login_loop",
		"You were sent to sign in again and again, and your session never came back. Most likely your browser blocks the cookies of this site, "+
			"or its clock is wrong, or this site is set up for another domain. Wait a minute; if it happens again, show the id below to whoever runs this service.", nil)
	x.refusal.Next = page.Link{Text: "Try again", URL: p.endpoints.Start(rd)}
	return false
}

// countAttempt counts a login that came back and made a session. Those before it made
// one as well, where the browser shows it.
func (p *Proxy) countAttempt(x *exchange, pending pendingLogin, created session.Session) {
	t := p.readAttempts(x)
	_, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.Secure())
	if err == nil && !pending.ForceLogin || x.startedAt.Sub(t.since) >= attemptWindow {
		t = loginAttempts{since: x.startedAt}
	}
	t.count, t.sessionDigest = t.count+1, digestOf(created.ID)
	setLoginCookie(x.w, p.attemptsCookie(x), t.String(), int(loginLifetime.Seconds()), x.client.Secure())
}

// boundSession gives the session that a login in this very browser made a while ago:
// one that was planted is no reason to leave a login out.
func (p *Proxy) boundSession(x *exchange) (session.Session, bool) {
	value, err := cookie.Find(x.r.Header, p.attemptsCookie(x))
	if err != nil {
		return session.Session{}, false
	}
	s, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.Secure())
	return s, err == nil && strings.HasSuffix(value, "."+digestOf(s.ID))
}

// clearAttempts begins to count anew.
func (p *Proxy) clearAttempts(x *exchange) {
	if _, err := cookie.Find(x.r.Header, p.attemptsCookie(x)); err == nil {
		setLoginCookie(x.w, p.attemptsCookie(x), "", -1, x.client.Secure())
	}
}

// attemptsCookie is not named as bindings are, or it would be taken for one.
func (p *Proxy) attemptsCookie(x *exchange) string {
	return p.hostCookieName("-tries", x.client.Secure())
}

// readAttempts reads the cookie. What is not plain, or of another minute, counts for
// nothing.
func (p *Proxy) readAttempts(x *exchange) loginAttempts {
	none := loginAttempts{since: x.startedAt}
	value, err := cookie.Find(x.r.Header, p.attemptsCookie(x))
	if err != nil {
		return none
	}
	count, rest, _ := strings.Cut(value, ".")
	since, _, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(count, 10, 8)
	if err != nil {
		return none
	}
	seconds, err := strconv.ParseInt(since, 10, 64)
	if err != nil {
		return none
	}
	t := loginAttempts{count: int(n), since: time.Unix(seconds, 0)}
	if age := x.startedAt.Sub(t.since); age < -time.Second || age >= attemptWindow {
		return none
	}
	return t
}

func (t loginAttempts) String() string {
	return strconv.Itoa(min(t.count, maxLoginAttempts)) + "." + strconv.FormatInt(t.since.Unix(), 10) + "." + t.sessionDigest
}
