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
	maxTries = 5 // as many as tabs may be restored together
	triesFor = time.Minute
)

// tries are the logins that a browser has begun within a minute, as a cookie of
// its own says. It needs no seal: who changes it breaks only their own loop.
type tries struct {
	count int
	since time.Time
}

// mayTry reports whether one more login may be begun. Where the session never
// comes back, or the issuer's own login page asks for one, each redirect leads to
// the next for ever, and in a minute to hundreds of questions to the issuer. A
// browser that keeps no cookies at all is stopped at the callback.
func (p *Proxy) mayTry(x *exchange, rd string) (tries, bool) {
	t := p.triesOf(x)
	if t.count < maxTries || !navigates(x.r) { // nothing follows by itself from what does not navigate
		return t, true
	}
	_, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.secure())
	if err == nil { // the session came back: whoever signs in again and again wants to
		return tries{since: x.begun}, true
	}
	p.log.Warn("a login goes round in circles", "id", x.id, "request_id", x.requestID, "host", x.client.host, "error", err,
		"mend", "the session cookie does not come back: look at session.cookie (domain, sameSite), at the scheme that authgate believes (trustedProxies), and whether the issuer's login page needs a login itself")
	x.refusal = &Refusal{
		Status: http.StatusTooManyRequests, Code: "login_loop",
		Detail: "You were sent to sign in again and again, and your session never came back. Most likely your browser blocks the cookies of this site, " +
			"or its clock is wrong, or this site is set up for another domain. Wait a minute; if it happens again, show the id below to whoever runs this service.",
		Next: page.Link{Text: "Try again", URL: p.startURL(rd)},
	}
	return t, false
}

// countTry counts a login that begins.
func (p *Proxy) countTry(x *exchange, t tries) {
	if !navigates(x.r) {
		return
	}
	t.count++
	left := t.since.Add(triesFor).Sub(x.begun)
	setLoginCookie(x.w, p.triesCookie(x), t.String(), max(int(left.Seconds()), 1), x.client.secure())
}

// forgetTries begins to count anew.
func (p *Proxy) forgetTries(x *exchange) {
	if p.triesOf(x).count > 0 {
		setLoginCookie(x.w, p.triesCookie(x), "", -1, x.client.secure())
	}
}

// triesCookie is not named as logins are, or it would be taken for one.
func (p *Proxy) triesCookie(x *exchange) string { return p.ofThisHost("-tries", x.client.secure()) }

// triesOf reads the cookie. What is not plain, or of another minute, counts for
// nothing.
func (p *Proxy) triesOf(x *exchange) tries {
	none := tries{since: x.begun}
	value, err := session.Find(x.r.Header, p.triesCookie(x))
	if err != nil {
		return none
	}
	count, since, _ := strings.Cut(value, ".")
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
	return strconv.Itoa(t.count) + "." + strconv.FormatInt(t.since.Unix(), 10)
}
