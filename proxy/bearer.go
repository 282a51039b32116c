package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// bearerVerifier verifies tokens that come in requests: [identity.Bearers].
type bearerVerifier interface {
	Verify(ctx context.Context, raw string) (*identity.Token, error)
}

// credential is what a request brings to say who asks, in addition to cookies.
type credential struct {
	header string // canonical; empty: there is none
	bearer string // empty: authgate does not know its kind
}

// credential finds it. Proxy-Authorization is only for authgate, so it comes first: a client may
// need Authorization for the upstream. A header that only the upstream reads comes last. If
// that is empty, as a CLI that is not logged in sends it, it is a credential that is not
// accepted, because the upstream treats such a request as unauthenticated.
func (x *routed) credential() credential {
	h := x.r.Header
	for _, name := range []string{"Proxy-Authorization", "Authorization"} {
		if values := h[name]; len(values) > 0 {
			return credential{name, parseBearer(values[0])}
		}
	}
	if x.route == nil || x.route.BearerHeader() == "" {
		return credential{}
	}
	if values := h[x.route.BearerHeader()]; len(values) > 0 {
		return credential{x.route.BearerHeader(), values[0]}
	}
	return credential{}
}

// parseBearer reads RFC 6750, 2.1; the scheme is compared without case (RFC 9110, 11.1).
func parseBearer(value string) string {
	const whitespace = " \t" // a tab is no separator here, and may be one to an upstream
	value = strings.Trim(value, whitespace)
	end := strings.IndexAny(value, whitespace)
	if end < 0 || !strings.EqualFold(value[:end], "Bearer") {
		return ""
	}
	return strings.Trim(value[end:], whitespace)
}

// Why a credential is not accepted: audit reasons, and the member reason of a problem.
const (
	codeCredentialRefused = "credential_refused"
	codeLoginToken        = "login_token"   // a browser login or its refresh obtained it
	codeTokenRevoked      = "token_revoked" // its user's sessions were revoked after it was issued
)

var errNotBearer = errors.New("not a bearer token")

// authenticateBearer is step 3 for a request that says itself who asks. It does not
// ride on anything that a browser sends unasked, so its origin is no matter; and
// the session that may come along is left out of it.
func (p *Proxy) authenticateBearer(x *caller, c credential) {
	x.presented = c
	token, err := (*identity.Token)(nil), errNotBearer
	if c.bearer != "" && p.bearerVerifier != nil {
		token, err = p.bearerVerifier.Verify(x.r.Context(), c.bearer)
	}
	if err == nil {
		err = p.checkBearer(token)
	}
	if err != nil {
		// Not accepted, so it is passed on only where anonymous requests may go.
		x.credentialErr = err
		return
	}
	x.token = token
	x.session.Principal, x.session.ID, x.session.Expires = token.Principal, token.ID, token.Expiry
	if token.Issuer == p.issuerURL() {
		x.session.IDToken = c.bearer
	}
	x.resolvedRoles = x.state.resolveRoles(&x.session)
}

// isUpstreamCredential reports whether an Authorization that was not accepted may be the
// upstream's own, to be passed on with a session: not if it could be one of authgate's that
// has ended, was taken back, or cannot be verified right now.
func (x *caller) isUpstreamCredential() bool {
	if x.credentialErr == nil || x.route == nil || !x.route.config.PassAuthorization ||
		x.presented.header != "Authorization" {
		return false
	}
	if refused, ok := errors.AsType[*identity.TokenRefusedError](x.credentialErr); ok {
		return !refused.KnownIssuer && !refused.FromLogin
	}
	return errors.Is(x.credentialErr, errNotBearer)
}

// checkBearer refuses tokens of people who log in here that were taken back, or that
// a login obtained. Tokens of CI have no sessions.
func (p *Proxy) checkBearer(t *identity.Token) error {
	if t.Issuer != p.issuerURL() {
		return nil
	}
	return p.sessions.CheckBearer(t)
}

func (p *Proxy) issuerURL() string { return p.config.Issuer.URL }

// usesBearer reports whether a token says who asks, and no session.
func (x *caller) usesBearer() bool { return x.signedIn() && x.presented.header != "" }

// refuseCredential refuses a credential that is not accepted.
func (p *Proxy) refuseCredential(x *caller) *Refusal {
	var refused *identity.TokenRefusedError
	var unreachable *identity.UnreachableError
	switch err := x.credentialErr; {
	case errors.As(err, &unreachable):
		return refuse(http.StatusServiceUnavailable, "issuer_unreachable",
			"The token cannot be verified right now: the signing keys of its issuer are unavailable. Try again in a moment.",
			err)
	case errors.As(err, &refused) && refused.FromLogin, errors.Is(err, session.ErrLoginToken):
		return refuse(http.StatusUnauthorized, codeLoginToken,
			"The token was not accepted: a browser login of authgate obtained it, and dashboards see it. "+
				"It identifies its user to a dashboard, and does not open authgate. Use a token of `authgate token`.", nil)
	case errors.Is(err, session.ErrTokenRevoked):
		return refuse(http.StatusUnauthorized, codeTokenRevoked,
			"The token was not accepted: the sessions of its user were revoked after it was issued. Get a new token.", nil)
	case errors.Is(err, session.ErrStoreDown):
		return refuse(http.StatusServiceUnavailable, "session_store_down",
			"The token cannot be checked right now: the session store is not responding. Nothing was done. Try again in a "+
				"moment.", nil)
	case errors.As(err, &refused):
		return refuse(http.StatusUnauthorized, codeCredentialRefused, "The token was not accepted: "+refused.Reason+".", nil)
	default:
		return refuse(http.StatusUnauthorized, codeCredentialRefused,
			"The request brings a credential of its own, in "+x.presented.header+", that is not accepted here. Send a token "+
				"of the issuer as Bearer, or sign in with a browser.", nil)
	}
}
