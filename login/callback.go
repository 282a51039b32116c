package login

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
)

// loginResults are the values of the label result of authgate_logins_total.
var loginResults = []string{"ok", "denied", "invalid_state", "unreachable", "too_large", "store_down", "busy", "error"}

const (
	hintTooLarge = "keep sessions in Redis (session.store: redis), or let the issuer send fewer groups (the " +
		"teams filter of its connector)"
)

// callback finishes a login: the issuer has sent the browser back.
func (h *Handler) callback(x *request) respond.Answer {
	x.Event = audit.LoginFailed
	if x.R.Method != http.MethodGet {
		return refuseMethod("Sign in with a browser.")
	}
	params := x.R.URL.Query()
	pending, err := h.decodeState(x, params.Get("state"))
	if err != nil {
		return h.staleCallback(x, pending.Return, err)
	}
	if s, ok := h.boundSession(x); ok && satisfies(s, pending) {
		return h.alreadySignedIn(x, s, http.StatusSeeOther, pending.Return)
	}
	tokens, err := h.exchangeCode(x.R.Context(), pending, params)
	if err != nil {
		return h.exchangeFailed(x, pending, err)
	}
	// Always a new session with an ID of its own: a cookie that an attacker planted before the
	// login is worth nothing after it.
	h.clearDuplicates(x)
	s, err := h.sessions.Create(x.R.Context(), x.W, x.R.Header, tokens.Keep(h.config.UpstreamTokens()), x.Client.Secure())
	if err != nil {
		result, refusal := refusalOfSession(err)
		h.log.Error("session not saved", "id", x.ID, "request_id", x.RequestID,
			"sub", tokens.Principal.Subject, "groups", len(tokens.Principal.Groups), "result", result, "error", err)
		return h.loginFailed(x, result, refusal, pending.Return)
	}
	if s.DroppedGroups > 0 {
		h.log.Warn("groups that the policy does not mention were dropped: the session is too large for cookies", "id", x.ID,
			"request_id", x.RequestID,
			"sub", s.Principal.Subject, "groups_kept", len(s.Principal.Groups), "groups_dropped", s.DroppedGroups, "hint",
			hintTooLarge)
	}
	h.countAttempt(x, pending, s)
	x.session, x.Event, x.Decision = s, audit.Login, audit.Allow
	h.logins.WithLabelValues("ok").Inc()
	return h.redirectBack(x, http.StatusFound, pending.Return)
}

// exchangeFailed answers a callback of this browser whose code brings no tokens.
func (h *Handler) exchangeFailed(x *request, pending pendingLogin, cause error) respond.Answer {
	switch {
	case errors.Is(cause, errTooManyExchanges):
		return h.loginFailed(x, "busy", refuse(http.StatusServiceUnavailable, "logins_busy",
			"Too many users are signing in right now. Load this page again in a moment.", nil), pending.Return)
	case errors.Is(cause, errStateUsed):
		return h.staleCallback(x, pending.Return, cause)
	case errors.Is(cause, session.ErrStoreDown):
		result, refusal := refusalOfSession(cause)
		return h.loginFailed(x, result, refusal, pending.Return)
	}
	if s, err := h.find(x); err == nil && satisfies(s, pending) {
		return h.alreadySignedIn(x, s, http.StatusSeeOther, pending.Return)
	}
	result, refusal := refusalOfLogin(cause)
	return h.loginFailed(x, result, refusal, pending.Return)
}

// satisfies reports whether a session is the purpose of a login: another tab has created it
// meanwhile.
func satisfies(s session.Session, pending pendingLogin) bool {
	return !pending.forcesLogin() && !s.CreatedAt.Before(pending.StartedAt)
}

// staleCallback answers a callback that finishes no login: the back button, a bookmark,
// another tab that was faster, or a login of another user. If the browser has a session, the
// user need not know.
func (h *Handler) staleCallback(x *request, to returnPath, cause error) respond.Answer {
	s, err := h.find(x)
	switch {
	case err == nil:
		return h.alreadySignedIn(x, s, http.StatusSeeOther, to)
	case h.cookieWithheld(x, err):
		x.Event, x.Decision = audit.Request, audit.LoginRequired
		again := h.endpoints.Prefix + "/callback"
		if to.URL != "" {
			again += "?" + url.Values{"state": {x.R.URL.Query().Get("state")}}.Encode()
		}
		return respond.Continue(again, page.TextCheckingSession)
	default:
		return h.loginFailed(x, "invalid_state", refuse(http.StatusBadRequest, "login_expired",
			"This login has expired, was already finished, or was started in another browser. If this keeps happening, "+
				"allow cookies for this site.", cause), to)
	}
}

// alreadySignedIn leads a user back who has a session, perhaps of another tab.
func (h *Handler) alreadySignedIn(x *request, s session.Session, status int, to returnPath) respond.Answer {
	x.session = s
	x.Outcome = audit.Outcome{Event: audit.Request, Decision: audit.Allow, Reason: "signed_in_already"}
	to.URL = cmp.Or(to.URL, "/")
	return h.redirectBack(x, status, to)
}

// loginFailed refuses a callback. The page offers to start again and does not do so by
// itself: a login that fails each time must not loop.
func (h *Handler) loginFailed(x *request, result string, f *respond.Refusal, to returnPath) respond.Answer {
	h.logins.WithLabelValues(result).Inc()
	h.log.Warn("login failed", "id", x.ID, "request_id", x.RequestID, "result", result, "error", f.Cause)
	f.Cause = nil // logged already
	f.Next = page.Link{Text: page.TextStartAgain, URL: h.endpoints.Start(cmp.Or(to.URL, "/"))}
	return f
}

// refusalOfLogin turns an error of the relying party into a refusal.
func refusalOfLogin(err error) (result string, f *respond.Refusal) {
	var refused *identity.LoginRefusedError
	var unreachable *identity.UnreachableError
	switch {
	case errors.As(err, &refused):
		return "denied", refuse(http.StatusForbidden, "login_denied",
			"The identity provider did not let you sign in ("+refused.Code+").", err)
	case errors.Is(err, identity.ErrStateMismatch):
		return "invalid_state", refuse(http.StatusBadRequest, "login_expired", "This login does not belong to this "+
			"browser.", err)
	case errors.As(err, &unreachable):
		return "unreachable", refuse(http.StatusBadGateway, "issuer_unreachable",
			"The identity provider did not answer. Try again in a moment. If this continues, give the id to your "+
				"administrators.", err)
	default:
		return "error", refuse(http.StatusBadGateway, "login_failed",
			"The response of the identity provider could not be used. Give the id to your administrators: the log "+
				"has the reason.", err)
	}
}

// refusalOfSession turns an error of the session store into a refusal. The issuer's code is
// used up: only a new login helps.
func refusalOfSession(err error) (result string, f *respond.Refusal) {
	switch {
	case errors.Is(err, session.ErrTooLarge):
		return "too_large", refuse(http.StatusInternalServerError, "session_too_large",
			"You are in more groups than a session in cookies can hold. Give the id to your administrators. They "+
				"can keep sessions in Redis "+
				"(session.store: redis), or let the identity provider send fewer groups.", errors.New(hintTooLarge))
	case errors.Is(err, session.ErrStoreDown):
		return "store_down", refuse(http.StatusServiceUnavailable, "session_store_down",
			"You could not be signed in, because the session store is not responding. Try again in a moment. If this "+
				"continues, give the id to your administrators.",
			session.ErrStoreDown)
	case errors.Is(err, session.ErrExpired):
		return "error", refuse(http.StatusBadGateway, "session_expired",
			"The response of the identity provider had already expired when it arrived. Its clock and the clock of this "+
				"service probably differ: give the id to your administrators.",
			session.ErrExpired)
	default:
		return "error", refuse(http.StatusInternalServerError, "session_not_saved",
			"You could not be signed in. Give the id to your administrators: the log has the reason.",
			errors.New("the session could not be saved"))
	}
}
