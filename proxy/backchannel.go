package proxy

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/session"
)

const (
	codeLogoutRefused = "logout_refused" // no logout token that this authgate believes
	codeLogoutFailed  = "logout_failed"  // the token is good, and the sessions could not be ended
)

// backchannelLogout ends sessions because the issuer says that its own have ended
// (OpenID Connect Back-Channel Logout 1.0). The issuer calls it: there is no
// browser, no cookie and no origin, and the token alone is believed.
func (p *Proxy) backchannelLogout(x *exchange) bool {
	if x.r.Method != http.MethodPost {
		x.w.Header().Set("Allow", http.MethodPost)
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "The identity provider posts logout tokens here.", nil)
	}
	raw, err := logoutToken(x)
	if err != nil {
		return p.refuseLogout(x, codeLogoutRefused, "The request is no back-channel logout: "+err.Error()+".", err)
	}
	// An issuer that hangs up has still said it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), revokeTimeout)
	defer cancel()
	logout, err := p.issuer.ReadLogout(ctx, raw)
	var unreachable *identity.UnreachableError
	switch {
	case errors.As(err, &unreachable):
		return p.refuseLogout(x, codeLogoutFailed, "The keys of the identity provider could not be fetched.", err)
	case err != nil:
		return p.refuseLogout(x, codeLogoutRefused, "The logout token was not accepted.", err)
	case logout.Issuer == "" || logout.Subject == "" && logout.SessionID == "": // or it would be everybody
		return p.refuseLogout(x, codeLogoutRefused, "The logout token names nobody.", errors.New("neither sub nor sid"))
	}
	x.session.Principal = identity.Principal{Issuer: logout.Issuer, Subject: logout.Subject} // for the record; nobody is signed in
	n, err := p.sessions.Revoke(ctx, session.Filter{Issuer: logout.Issuer, Subject: logout.Subject, IssuerSession: logout.SessionID})
	p.cutLoggedOutStreams(logout)
	if err != nil {
		return p.refuseLogout(x, codeLogoutFailed, "The sessions could not be ended.", err)
	}
	p.log.Info("sessions ended by the issuer", "id", x.id, "request_id", x.requestID, "sub", logout.Subject, "sessions", n)
	x.event, x.outcome, x.reason = audit.Logout, audit.Allow, "backchannel"
	x.w.WriteHeader(http.StatusOK) // 2.8: 200, not to be stored
	return true
}

// refuseLogout says no in the words of Back-Channel Logout 1.0, 2.8, which knows
// no status but 400. The log has why: nobody looks at an issuer's answers.
func (p *Proxy) refuseLogout(x *exchange, code, detail string, cause error) bool {
	level := p.log.Warn
	if code == codeLogoutFailed {
		level = p.log.Error
	}
	level("back-channel logout refused", "id", x.id, "request_id", x.requestID, "code", code, "error", cause)
	x.refusal = &Refusal{Status: http.StatusBadRequest, Code: code, Detail: detail, OAuth: true}
	return false
}

// logoutToken reads the one field of the form (2.5).
func logoutToken(x *exchange) (string, error) {
	if media, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return "", errors.New("its body is not application/x-www-form-urlencoded")
	}
	if err := readForm(x); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return "", fmt.Errorf("its form has more than %d bytes", large.Limit)
		}
		return "", errors.New("its form cannot be read")
	}
	tokens := x.r.PostForm["logout_token"] // never from the URL, which is logged on the way
	if len(tokens) != 1 || tokens[0] == "" {
		return "", errors.New("it must have one logout_token")
	}
	return tokens[0], nil
}

// cutLoggedOutStreams cuts at once what the next review would cut.
func (p *Proxy) cutLoggedOutStreams(logout identity.Logout) {
	p.streams.CutSessions(func(s stream.Session) bool {
		return s.Issuer == logout.Issuer && (logout.Subject == "" || s.Subject == logout.Subject) &&
			(logout.SessionID == "" || s.IssuerSession == logout.SessionID)
	})
}
