package proxy

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy"
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
		return p.logoutRefused(x, codeLogoutRefused, "The request is no back-channel logout: "+err.Error()+".", err)
	}
	// An issuer that hangs up has still said it.
	ctx, done := context.WithTimeout(context.WithoutCancel(x.r.Context()), endWait)
	defer done()
	ended, err := p.issuer.ReadLogout(ctx, raw)
	var unreachable *identity.UnreachableError
	switch {
	case errors.As(err, &unreachable):
		return p.logoutRefused(x, codeLogoutFailed, "The keys of the identity provider could not be fetched.", err)
	case err != nil:
		return p.logoutRefused(x, codeLogoutRefused, "The logout token was not accepted.", err)
	case ended.Issuer == "" || ended.Subject == "" && ended.Session == "": // or it would be everybody
		return p.logoutRefused(x, codeLogoutRefused, "The logout token names nobody.", errors.New("neither sub nor sid"))
	}
	x.session.Principal = identity.Principal{Issuer: ended.Issuer, Subject: ended.Subject} // for the record; nobody is signed in
	n, err := p.sessions.Revoke(ctx, session.Which{Issuer: ended.Issuer, Subject: ended.Subject, IssuerSession: ended.Session})
	p.endStreamsOf(ended)
	if err != nil {
		return p.logoutRefused(x, codeLogoutFailed, "The sessions could not be ended.", err)
	}
	p.log.Info("sessions ended by the issuer", "id", x.id, "request_id", x.requestID, "sub", ended.Subject, "sessions", n)
	x.event, x.outcome, x.reason = audit.Logout, audit.Allow, "backchannel"
	x.w.WriteHeader(http.StatusOK) // 2.8: 200, not to be stored
	return true
}

// logoutRefused says no in the words of Back-Channel Logout 1.0, 2.8, which knows
// no status but 400. The log has why: nobody looks at an issuer's answers.
func (p *Proxy) logoutRefused(x *exchange, code, detail string, why error) bool {
	level := p.log.Warn
	if code == codeLogoutFailed {
		level = p.log.Error
	}
	level("back-channel logout refused", "id", x.id, "request_id", x.requestID, "code", code, "error", why)
	return x.refuse(http.StatusBadRequest, code, detail, nil)
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

// endStreamsOf cuts at once what the next review would cut.
func (p *Proxy) endStreamsOf(ended identity.Logout) {
	st := p.state.Load()
	for _, s := range p.streams.list(nil) {
		x := s.x
		if !x.signedIn() || x.incognito || s.kind == sized {
			continue
		}
		who := x.session.Principal
		if who.Issuer == ended.Issuer && (ended.Subject == "" || who.Subject == ended.Subject) &&
			(ended.Session == "" || x.session.Session == ended.Session) {
			p.cut(s, cutSignedOut, verdict{st, x.standing, policy.Decision{}})
		}
	}
}
