package proxy

import (
	"errors"
	"net/http"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/page"
	"github.com/example-org/authgate/session"
)

// callback finishes a login: the issuer has sent the browser back.
func (p *Proxy) callback(x *exchange) bool {
	x.event = audit.LoginFailed
	if x.r.Method != http.MethodGet {
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Sign in with a browser.", nil)
	}
	answer := x.r.URL.Query()
	begun, err := p.takeLogin(x, answer.Get("state"))
	if err != nil {
		return p.unknownLogin(x, err)
	}
	grant, err := p.issuer.Finish(x.r.Context(), begun.Login, answer)
	if err != nil {
		result, refusal := refusalOfLogin(err)
		return p.loginFailed(x, result, refusal, begun.ReturnTo)
	}
	// Always a session with an id of its own, whatever cookie came along: none that
	// somebody planted before the login is worth anything after it.
	s, err := p.sessions.Begin(x.r.Context(), x.w, x.r.Header, p.worthKeeping(grant), x.client.secure())
	if err != nil {
		result, refusal := refusalOfSession(err)
		p.log.Error("session not kept", "id", x.id, "request_id", x.requestID,
			"sub", grant.Principal.Subject, "groups", len(grant.Principal.Groups), "result", result, "error", err)
		return p.loginFailed(x, result, refusal, begun.ReturnTo)
	}
	if s.LeftOut > 0 {
		p.log.Warn("groups that the policy does not name did not fit into the session", "id", x.id, "request_id", x.requestID,
			"sub", s.Principal.Subject, "kept", len(s.Principal.Groups), "left_out", s.LeftOut, "mend", mendTooLarge)
	}
	x.session, x.standing = s, x.state.standingOf(s)
	x.event, x.outcome = audit.Login, audit.Allow
	p.metrics.logins.WithLabelValues("ok").Inc()
	if p.strict() { // the cookie would not go with a redirect of a chain that the issuer began
		return p.goOn(x, begun.ReturnTo, "You are signed in.")
	}
	x.redirect(http.StatusFound, begun.ReturnTo)
	return true
}

const mendTooLarge = "keep sessions in Redis (session.store: redis), or let the issuer send fewer groups (the teams filter of its connector)"

// unknownLogin answers a callback that finishes no login: the back button, a
// bookmark, another tab that was faster, or a login of somebody else's. Where the
// browser has a session none of them is a reason to trouble anybody.
func (p *Proxy) unknownLogin(x *exchange, why error) bool {
	s, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.secure())
	switch {
	case err == nil:
		x.session, x.standing = s, x.state.standingOf(s)
		x.event, x.outcome, x.reason = audit.Request, audit.Allow, "signed_in_already"
		x.redirect(http.StatusSeeOther, "/")
		return true
	case p.withheld(x, err):
		x.event, x.outcome = audit.Request, audit.ToLogin
		return p.goOn(x, p.prefix+"/callback", "Looking whether you are signed in.")
	default:
		return p.loginFailed(x, "state", Refusal{
			Status: http.StatusBadRequest, Code: "login_unknown", Cause: why,
			Detail: "This login was begun in another browser, was finished already, or is too old. If it happens each time, your browser does not keep the cookies of this site.",
		}, "/")
	}
}

// loginFailed refuses a callback. The page offers to start again rather than
// doing so by itself: a login that fails each time must not become a loop.
func (p *Proxy) loginFailed(x *exchange, result string, f Refusal, rd string) bool {
	p.metrics.logins.WithLabelValues(result).Inc()
	p.log.Warn("login failed", "id", x.id, "request_id", x.requestID, "result", result, "error", f.Cause)
	f.Cause = nil // said already
	f.Next = page.Link{Text: "Start again", URL: p.startURL(rd)}
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

// refusalOfSession turns an error of the store into what a person is told. The
// issuer's code is spent: only a new login helps.
func refusalOfSession(err error) (result string, f Refusal) {
	switch {
	case errors.Is(err, session.ErrTooLarge):
		return "too_large", Refusal{
			Status: http.StatusInternalServerError, Code: "session_too_large", Cause: errors.New(mendTooLarge),
			Detail: "You are in more groups than a session in cookies can hold. Show the id below to whoever runs this service, who can keep sessions in Redis (session.store: redis) or have the identity provider send fewer groups.",
		}
	case errors.Is(err, session.ErrStoreDown):
		return "store_down", Refusal{
			Status: http.StatusServiceUnavailable, Code: "session_store_down", Cause: session.ErrStoreDown,
			Detail: "You could not be signed in, because the session store does not answer. Try again in a moment; if it stays so, show the id below to whoever runs this service.",
		}
	case errors.Is(err, session.ErrOver):
		return "error", Refusal{
			Status: http.StatusBadGateway, Code: "session_over", Cause: session.ErrOver,
			Detail: "What the identity provider said of you had run out when it came here. Most likely its clock and that of this service differ: show the id below to whoever runs this service.",
		}
	default:
		return "error", Refusal{
			Status: http.StatusInternalServerError, Code: "session_not_kept", Cause: errors.New("the session could not be kept"),
			Detail: "You could not be signed in. Show the id below to whoever runs this service: the log says why.",
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
