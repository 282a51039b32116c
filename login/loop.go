package login

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
	maxLoginAttempts     = 5
	maxUpstreamRedirects = 3 // to the login from one dashboard, for a user who is signed in

	attemptWindow = time.Minute
)

// loginAttempts counts the logins that a browser finished within a minute without getting a
// session. It is a cookie, and not encrypted: a client that changes it affects only itself.
type loginAttempts struct {
	count         int
	since         time.Time
	sessionDigest string // digest of the one that the last login made
}

// refuseAttempt refuses a login that would loop. It returns nil for others. If the browser
// never sends the session cookie, each redirect leads to the next, and within a minute to
// hundreds of requests to the issuer. A browser without any cookies fails at the callback.
// Logins that were only started do not count: any number of tabs may wait at the issuer.
func (h *Handler) refuseAttempt(x *request, pending pendingLogin) *respond.Refusal {
	if !respond.IsNavigation(x.R) { // only a browser follows redirects by itself
		return nil
	}
	if h.states.isState(pending.Return.URL) {
		return h.refuseLoop(x, pending.Return.URL, "the issuer's login page is behind authgate and requires a login",
			"allow system:anonymous to open the issuer's pages, or serve the issuer under another host")
	}
	if h.readAttempts(x).count < maxLoginAttempts {
		return nil
	}
	_, err := h.find(x)
	if err == nil && !pending.ForceLogin { // the browser has a session: the user signs in again on purpose
		return nil
	}
	reason := "the browser sends its session, but an upstream rejects the user's credential"
	if err != nil {
		reason = err.Error()
	}
	return h.refuseLoop(x, pending.Return.URL, reason,
		"the browser does not send the session cookie: check session.cookie (domain, sameSite), and the scheme that "+
			"authgate sees (trustedProxies)")
}

func (h *Handler) refuseLoop(x *request, rd, reason, hint string) *respond.Refusal {
	h.log.Warn("login loop detected", "id", x.ID, "request_id", x.RequestID, "host", x.Client.Host, "error", reason,
		"hint", hint)
	f := refuse(http.StatusTooManyRequests, "login_loop",
		"You were redirected to sign in several times, and your browser never sent your session. Your browser "+
			"probably blocks the cookies of this site, "+
			"or its clock is wrong, or this site is configured for another domain. Wait a minute. If it happens again, "+
			"give the id to your administrators.", nil)
	f.Next = page.Link{Text: page.TextTryAgain, URL: h.endpoints.Start(rd)}
	return f
}

// countAttempt counts a login that created a session. It starts again at one if the browser
// sends the session of an earlier login.
func (h *Handler) countAttempt(x *request, pending pendingLogin, created session.Session) {
	t := h.readAttempts(x)
	_, err := h.find(x)
	if err == nil && !pending.ForceLogin || x.ReceivedAt.Sub(t.since) >= attemptWindow {
		t = loginAttempts{since: x.ReceivedAt}
	}
	t.count, t.sessionDigest = t.count+1, digestOf(created.ID)
	setLoginCookie(x.W, h.attemptsCookie(x), t.String(), int(loginLifetime.Seconds()), x.Client.Secure())
}

// boundSession returns the session that an earlier login in this browser created. A session
// that an attacker planted does not replace a login.
func (h *Handler) boundSession(x *request) (session.Session, bool) {
	value, err := cookie.Find(x.R.Header, h.attemptsCookie(x))
	if err != nil {
		return session.Session{}, false
	}
	s, err := h.find(x)
	return s, err == nil && strings.HasSuffix(value, "."+digestOf(s.ID))
}

// clearAttempts resets the count.
func (h *Handler) clearAttempts(x *request) {
	if _, err := cookie.Find(x.R.Header, h.attemptsCookie(x)); err == nil {
		setLoginCookie(x.W, h.attemptsCookie(x), "", -1, x.Client.Secure())
	}
}

// attemptsCookie is named differently from binding cookies, so that it is not read as one.
func (h *Handler) attemptsCookie(x *request) string {
	return h.hostCookieName("-tries", x.Client.Secure())
}

// readAttempts reads the cookie. A malformed one, or one of another minute, counts as none.
func (h *Handler) readAttempts(x *request) loginAttempts {
	none := loginAttempts{since: x.ReceivedAt}
	value, err := cookie.Find(x.R.Header, h.attemptsCookie(x))
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
	if age := x.ReceivedAt.Sub(t.since); age < -time.Second || age >= attemptWindow {
		return none
	}
	return t
}

func (t loginAttempts) String() string {
	return strconv.Itoa(min(t.count, maxLoginAttempts)) + "." + strconv.FormatInt(t.since.Unix(),
		10) + "." + t.sessionDigest
}

// refuseCredentialRejected ends a loop with a dashboard. The first times the user's groups or
// token may have been old. After that the dashboard rejects the credential itself, and would
// redirect the user forever.
func (h *Handler) refuseCredentialRejected(x *request, upstream, rd string) *respond.Refusal {
	h.log.Warn("upstream rejects the credential", "id", x.ID, "request_id", x.RequestID, "upstream", upstream,
		"hint", "check the upstream's log for the reason, identity.credential of this upstream, and for Argo CD that "+
			"oidc.config.allowedAudiences contains issuer.clientID")
	f := refuse(http.StatusBadGateway, "upstream_rejected_credential",
		"You are signed in, but "+upstream+" rejected your credentials and keeps redirecting you to its login page. "+
			"Give the id to your administrators.", nil)
	f.Next = page.Link{Text: page.TextTryAgain, URL: rd}
	return f
}
