package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/example-org/authgate/page"
	"github.com/example-org/authgate/session"
)

const (
	maxTries = 5
	triesFor = time.Minute
)

// tries are the logins that a browser has finished within a minute without that a
// session came of them, as a cookie of its own says. It needs no seal: who changes
// it breaks only their own loop.
type tries struct {
	count   int
	since   time.Time
	session string // digest of the one that the last login made
}

// mayTry reports whether one more login may be begun. Where the session never
// comes back, each redirect leads to the next for ever, and in a minute to hundreds
// of questions to the issuer. A browser that keeps no cookies at all is stopped at
// the callback. Logins that were only begun do not count: any number of tabs may
// wait at the issuer.
func (p *Proxy) mayTry(x *exchange, begun pending) bool {
	if !navigates(x.r) { // nothing follows by itself from what does not navigate
		return true
	}
	if p.isOwnLogin(begun.Return.URL) {
		return p.refuseLoop(x, begun.Return.URL, "the issuer's login page is behind authgate, and needs a login itself",
			"let system:anonymous open the pages of the issuer, or serve it under another host")
	}
	if p.triesOf(x).count < maxTries {
		return true
	}
	_, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.secure())
	if err == nil && !begun.Again { // the session came back: who signs in again and again wants to
		return true
	}
	why := "a session comes back, and an upstream does not take it"
	if err != nil {
		why = err.Error()
	}
	return p.refuseLoop(x, begun.Return.URL, why,
		"the session cookie does not come back: look at session.cookie (domain, sameSite), and at the scheme that authgate sees (trustedProxies)")
}

func (p *Proxy) refuseLoop(x *exchange, rd, why, mend string) bool {
	p.log.Warn("a login goes round in circles", "id", x.id, "request_id", x.requestID, "host", x.client.host, "error", why, "mend", mend)
	x.refuse(http.StatusTooManyRequests, "login_loop",
		"You were sent to sign in again and again, and your session never came back. Most likely your browser blocks the cookies of this site, "+
			"or its clock is wrong, or this site is set up for another domain. Wait a minute; if it happens again, show the id below to whoever runs this service.", nil)
	x.refusal.Next = page.Link{Text: "Try again", URL: p.startURL(rd)}
	return false
}

// countTry counts a login that came back and made a session. Those before it made
// one as well, where the browser shows it.
func (p *Proxy) countTry(x *exchange, begun pending, made session.Session) {
	t := p.triesOf(x)
	_, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.secure())
	if err == nil && !begun.Again || x.begun.Sub(t.since) >= triesFor {
		t = tries{since: x.begun}
	}
	t.count, t.session = t.count+1, digestOf(made.ID)
	setLoginCookie(x.w, p.triesCookie(x), t.String(), int(loginLifetime.Seconds()), x.client.secure())
}

// signedInHere gives the session that a login in this very browser made a while ago:
// one that was planted is no reason to leave a login out.
func (p *Proxy) signedInHere(x *exchange) (session.Session, bool) {
	value, err := session.Find(x.r.Header, p.triesCookie(x))
	if err != nil {
		return session.Session{}, false
	}
	s, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.secure())
	return s, err == nil && strings.HasSuffix(value, "."+digestOf(s.ID))
}

// forgetTries begins to count anew.
func (p *Proxy) forgetTries(x *exchange) {
	if _, err := session.Find(x.r.Header, p.triesCookie(x)); err == nil {
		setLoginCookie(x.w, p.triesCookie(x), "", -1, x.client.secure())
	}
}

// triesCookie is not named as bindings are, or it would be taken for one.
func (p *Proxy) triesCookie(x *exchange) string { return p.ofThisHost("-tries", x.client.secure()) }

// triesOf reads the cookie. What is not plain, or of another minute, counts for
// nothing.
func (p *Proxy) triesOf(x *exchange) tries {
	none := tries{since: x.begun}
	value, err := session.Find(x.r.Header, p.triesCookie(x))
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
	t := tries{count: int(n), since: time.Unix(seconds, 0)}
	if age := x.begun.Sub(t.since); age < -time.Second || age >= triesFor {
		return none
	}
	return t
}

func (t tries) String() string {
	return strconv.Itoa(min(t.count, maxTries)) + "." + strconv.FormatInt(t.since.Unix(), 10) + "." + t.session
}
