package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
)

// maxCodeExchanges bounds the codes that are exchanged at a time: each holds connections
// of the browser and to the issuer, for as long as the issuer takes.
const maxCodeExchanges = 32

// callback finishes a login: the issuer has sent the browser back.
func (p *Proxy) callback(x *exchange) bool {
	x.event = audit.LoginFailed
	if x.r.Method != http.MethodGet {
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Sign in with a browser.", nil)
	}
	params := x.r.URL.Query()
	pending, err := p.decodeState(x, params.Get("state"))
	if err != nil {
		return p.staleCallback(x, pending.Return, err)
	}
	if s, ok := p.boundSession(x); ok && p.satisfies(s, pending) {
		return p.alreadySignedIn(x, s, http.StatusSeeOther, pending.Return)
	}
	grant, err := p.exchangeCode(x.r.Context(), pending, params)
	if err != nil {
		return p.exchangeFailed(x, pending, err)
	}
	// Always a session with an id of its own, whatever cookie came along: none that
	// somebody planted before the login is worth anything after it.
	p.clearDuplicateCookies(x)
	s, err := p.sessions.Create(x.r.Context(), x.w, x.r.Header, p.dropUnusedTokens(grant), x.client.Secure())
	if err != nil {
		result, refusal := refusalOfSession(err)
		p.log.Error("session not kept", "id", x.id, "request_id", x.requestID,
			"sub", grant.Principal.Subject, "groups", len(grant.Principal.Groups), "result", result, "error", err)
		return p.loginFailed(x, result, refusal, pending.Return)
	}
	if s.DroppedGroups > 0 {
		p.log.Warn("groups that the policy does not name did not fit into the session", "id", x.id, "request_id", x.requestID,
			"sub", s.Principal.Subject, "kept", len(s.Principal.Groups), "left_out", s.DroppedGroups, "mend", hintTooLarge)
	}
	p.countAttempt(x, pending, s)
	x.session, x.resolvedRoles = s, x.state.resolveRoles(s)
	x.event, x.outcome = audit.Login, audit.Allow
	p.metrics.logins.WithLabelValues("ok").Inc()
	return p.redirectBack(x, http.StatusFound, pending.Return)
}

var (
	errTooManyExchanges = errors.New("as many codes are exchanged as may be at a time")
	errStateUsed        = errors.New("the login was finished already: a state is good for one callback")
)

// exchangeCode uses a state up and asks the issuer what its code is worth. Where
// there is no room the state stays good.
func (p *Proxy) exchangeCode(ctx context.Context, pending pendingLogin, params url.Values) (identity.TokenSet, error) {
	select {
	case p.codeExchanges <- struct{}{}:
		defer func() { <-p.codeExchanges }()
	default:
		return identity.TokenSet{}, errTooManyExchanges
	}
	first, err := p.usedStates.Use(ctx, pending.Login.Verifier, pending.StartedAt, loginLifetime)
	switch {
	case err != nil:
		return identity.TokenSet{}, fmt.Errorf("using a state up: %w", err)
	case !first:
		return identity.TokenSet{}, errStateUsed
	}
	return p.issuer.Finish(ctx, pending.Login, params)
}

// exchangeFailed answers a callback of this browser that brings no grant.
func (p *Proxy) exchangeFailed(x *exchange, pending pendingLogin, cause error) bool {
	switch {
	case errors.Is(cause, errTooManyExchanges):
		return p.loginFailed(x, "busy", Refusal{
			Status: http.StatusServiceUnavailable, Code: "logins_busy",
			Detail: "Too many people are signing in right now. Load this page again in a moment.",
		}, pending.Return)
	case errors.Is(cause, errStateUsed):
		return p.staleCallback(x, pending.Return, cause)
	case errors.Is(cause, session.ErrStoreDown):
		result, refusal := refusalOfSession(cause)
		return p.loginFailed(x, result, refusal, pending.Return)
	}
	if s, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.Secure()); err == nil && p.satisfies(s, pending) {
		return p.alreadySignedIn(x, s, http.StatusSeeOther, pending.Return)
	}
	result, refusal := refusalOfLogin(cause)
	return p.loginFailed(x, result, refusal, pending.Return)
}

// satisfies reports whether a session is what a login was begun for: another tab has
// made it meanwhile.
func (p *Proxy) satisfies(s session.Session, pending pendingLogin) bool {
	return !pending.forcesLogin() && !s.CreatedAt.Before(pending.StartedAt)
}

const hintTooLarge = "keep sessions in Redis (session.store: redis), or let the issuer send fewer groups (the teams filter of its connector)"

// staleCallback answers a callback that finishes no login: the back button, a
// bookmark, another tab that was faster, or a login of somebody else's. Where the
// browser has a session none of them is a reason to trouble anybody.
func (p *Proxy) staleCallback(x *exchange, to returnPath, cause error) bool {
	s, err := p.sessions.Find(x.r.Context(), x.r.Header, x.client.Secure())
	switch {
	case err == nil:
		return p.alreadySignedIn(x, s, http.StatusSeeOther, to)
	case p.cookieWithheld(x, err):
		x.event, x.outcome = audit.Request, audit.LoginRequired
		again := p.prefix + "/callback"
		if to.URL != "" {
			again += "?" + url.Values{"state": {x.r.URL.Query().Get("state")}}.Encode()
		}
		return p.write(x, respond.Continue(again, checkingSession))
	default:
		return p.loginFailed(x, "state", Refusal{
			Status: http.StatusBadRequest, Code: "login_unknown", Cause: cause,
			Detail: "This login was begun in another browser, was finished already, or is too old. If it happens each time, your browser does not keep the cookies of this site.",
		}, to)
	}
}

// alreadySignedIn leads somebody back who has a session, of another tab perhaps.
func (p *Proxy) alreadySignedIn(x *exchange, s session.Session, status int, to returnPath) bool {
	x.session, x.resolvedRoles = s, x.state.resolveRoles(s)
	x.event, x.outcome, x.reason = audit.Request, audit.Allow, "signed_in_already"
	to.URL = cmp.Or(to.URL, "/")
	return p.redirectBack(x, status, to)
}

// loginFailed refuses a callback. The page offers to start again rather than
// doing so by itself: a login that fails each time must not become a loop.
func (p *Proxy) loginFailed(x *exchange, result string, f Refusal, to returnPath) bool {
	p.metrics.logins.WithLabelValues(result).Inc()
	p.log.Warn("login failed", "id", x.id, "request_id", x.requestID, "result", result, "error", f.Cause)
	f.Cause = nil // said already
	f.Next = page.Link{Text: "Start again", URL: p.endpoints.Start(cmp.Or(to.URL, "/"))}
	x.refusal = &f
	return false
}

// refusalOfLogin turns an error of the relying party into what a person is told.
func refusalOfLogin(err error) (result string, f Refusal) {
	var refused *identity.LoginRefusedError
	var unreachable *identity.UnreachableError
	switch {
	case errors.As(err, &refused):
		return "denied", Refusal{
			Status: http.StatusForbidden, Code: "login_denied", Cause: err,
			Detail: "The identity provider did not let you sign in (" + refused.Code + ").",
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
			Status: http.StatusInternalServerError, Code: "session_too_large", Cause: errors.New(hintTooLarge),
			Detail: "You are in more groups than a session in cookies can hold. Show the id below to whoever runs this service, who can keep sessions in Redis (session.store: redis) or have the identity provider send fewer groups.",
		}
	case errors.Is(err, session.ErrStoreDown):
		return "store_down", Refusal{
			Status: http.StatusServiceUnavailable, Code: "session_store_down", Cause: session.ErrStoreDown,
			Detail: "You could not be signed in, because the session store does not answer. Try again in a moment; if it stays so, show the id below to whoever runs this service.",
		}
	case errors.Is(err, session.ErrExpired):
		return "error", Refusal{
			Status: http.StatusBadGateway, Code: "session_over", Cause: session.ErrExpired,
			Detail: "What the identity provider said of you had run out when it came here. Most likely its clock and that of this service differ: show the id below to whoever runs this service.",
		}
	default:
		return "error", Refusal{
			Status: http.StatusInternalServerError, Code: "session_not_kept", Cause: errors.New("the session could not be kept"),
			Detail: "You could not be signed in. Show the id below to whoever runs this service: the log says why.",
		}
	}
}
