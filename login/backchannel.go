package login

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/session"
)

const (
	codeLogoutRefused = "logout_refused" // the logout token is not valid
	codeLogoutFailed  = "logout_failed"  // the token is valid, but the sessions could not be ended
)

// backchannelLogout ends sessions whose session at the issuer has ended (OpenID Connect
// Back-Channel Logout 1.0). The issuer calls it: there is no browser, no cookie and no
// origin, and only the token counts.
func (h *Handler) backchannelLogout(x *request) respond.Answer {
	if x.R.Method != http.MethodPost {
		x.W.Header().Set("Allow", http.MethodPost)
		return refuseMethod("The identity provider posts logout tokens here.")
	}
	raw, err := logoutToken(x)
	if err != nil {
		return h.refuseLogout(x, codeLogoutRefused, "The request is not a back-channel logout: "+err.Error()+".", err)
	}
	// The logout counts also if the issuer hangs up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.R.Context()), revokeTimeout)
	defer cancel()
	logout, err := h.issuer.ReadLogout(ctx, raw)
	var unreachable *identity.UnreachableError
	switch {
	case errors.As(err, &unreachable):
		return h.refuseLogout(x, codeLogoutFailed, "The keys of the identity provider could not be fetched.", err)
	case err != nil:
		return h.refuseLogout(x, codeLogoutRefused, "The logout token was not accepted.", err)
	case logout.Issuer == "" || logout.Subject == "" && logout.SessionID == "": // or it would end all sessions
		return h.refuseLogout(x, codeLogoutRefused, "The logout token has no subject and no session.",
			errors.New("neither sub nor sid"))
	}
	x.session.Principal = identity.Principal{
		Issuer:  logout.Issuer,
		Subject: logout.Subject,
	} // for the audit; without an ID this is not a session
	x.session.SessionID = logout.SessionID
	n, err := h.sessions.Revoke(ctx, session.Filter{
		Issuer: logout.Issuer, Subject: logout.Subject,
		IssuerSession: logout.SessionID,
	})
	h.endStreams(x.session)
	if err != nil {
		return h.refuseLogout(x, codeLogoutFailed, "The sessions could not be ended.", err)
	}
	h.log.Info("sessions ended by the issuer", "id", x.ID, "request_id", x.RequestID, "sub", logout.Subject, "sessions", n)
	x.Outcome = audit.Outcome{Event: audit.Logout, Decision: audit.Allow, Reason: "backchannel"}
	return respond.Empty{} // 2.8: 200, not to be stored
}

// refuseLogout refuses as Back-Channel Logout 1.0, 2.8 requires: with status 400 only. The log
// has the reason, because operators do not see what an issuer receives.
func (h *Handler) refuseLogout(x *request, code, detail string, cause error) *respond.Refusal {
	level := h.log.Warn
	if code == codeLogoutFailed {
		level = h.log.Error
	}
	level("back-channel logout refused", "id", x.ID, "request_id", x.RequestID, "code", code, "error", cause)
	return &respond.Refusal{Status: http.StatusBadRequest, Code: code, Detail: detail, OAuth: true}
}

// logoutToken reads the one field of the form (2.5).
func logoutToken(x *request) (string, error) {
	media, _, err := mime.ParseMediaType(x.R.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return "", errors.New("its body is not application/x-www-form-urlencoded")
	}
	if err := readForm(x); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return "", fmt.Errorf("its form has more than %d bytes", large.Limit)
		}
		return "", errors.New("its form cannot be read")
	}
	tokens := x.R.PostForm["logout_token"] // never from the URL, which is logged on the way
	if len(tokens) != 1 || tokens[0] == "" {
		return "", errors.New("it must have one logout_token")
	}
	return tokens[0], nil
}
