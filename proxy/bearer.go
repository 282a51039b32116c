package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// bearers verifies tokens that come in requests: [identity.Bearers].
type bearers interface {
	Verify(ctx context.Context, raw string) (identity.Token, error)
}

// credential is what a request brings to say who asks, beside cookies.
type credential struct {
	header string // canonical; empty: there is none
	bearer string // empty: it is of a kind that nobody here understands
}

// credential finds it. Proxy-Authorization is for authgate alone, so it goes first:
// a client may need Authorization for the server behind. A header that only the
// server reads comes last. Empty, as that of a CLI that is not logged in, it is one
// that nobody accepts: the server takes it for nobody, whatever else comes along.
func (x *exchange) credential() credential {
	h := x.r.Header
	for _, name := range []string{"Proxy-Authorization", "Authorization"} {
		if values := h[name]; len(values) > 0 {
			return credential{name, bearerOf(values[0])}
		}
	}
	if x.route == nil || x.route.kind.bearer == "" {
		return credential{}
	}
	if values := h[x.route.kind.bearer]; len(values) > 0 {
		return credential{x.route.kind.bearer, values[0]}
	}
	return credential{}
}

// bearerOf reads RFC 6750, 2.1; the scheme is compared without case (RFC 9110, 11.1).
func bearerOf(value string) string {
	const blank = " \t" // a tab is no separator here, and may be one to an upstream
	value = strings.Trim(value, blank)
	end := strings.IndexAny(value, blank)
	if end < 0 || !strings.EqualFold(value[:end], "Bearer") {
		return ""
	}
	return strings.Trim(value[end:], blank)
}

// Why a credential is not accepted: audit reasons, and the member reason of a problem.
const (
	codeCredentialRefused = "credential_refused"
	codeLoginToken        = "login_token"   // a browser login or its refresh obtained it
	codeTokenRevoked      = "token_revoked" // its user's sessions were revoked after it was issued
)

var errNotBearer = errors.New("not a bearer token")

// identifyBearer is step 3 for a request that says itself who asks. It does not
// ride on anything that a browser sends unasked, so its origin is no matter; and
// the session that may come along is left out of it.
func (p *Proxy) identifyBearer(x *exchange, c credential) {
	x.brought = c
	token, err := identity.Token{}, errNotBearer
	if c.bearer != "" && p.bearers != nil {
		token, err = p.bearers.Verify(x.r.Context(), c.bearer)
	}
	if err == nil {
		err = p.checkBearer(&token)
	}
	if err != nil {
		// Not accepted, so it is passed on only where anybody may go.
		x.credentialErr = err
		return
	}
	x.token = &token
	x.session = sessionOfBearer(token.Principal, c.bearer, p.issuerURL())
	x.standing = x.state.standingOf(x.session)
}

// bringsForUpstream reports whether an Authorization that was not accepted may be the
// upstream's own, to go on beside a session: not if it could be one of authgate's that
// has ended, was taken back, or cannot be verified right now.
func (x *exchange) bringsForUpstream() bool {
	if x.credentialErr == nil || x.route == nil || !x.route.config.PassAuthorization || x.brought.header != "Authorization" {
		return false
	}
	if refused, ok := errors.AsType[*identity.TokenRefusedError](x.credentialErr); ok {
		return !refused.Known && !refused.OfLogin
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

// byBearer reports whether a token says who asks, and no session.
func (x *exchange) byBearer() bool { return x.signedIn() && x.brought.header != "" }

// sessionOfBearer is a session of one request. It is kept nowhere; its id stands
// for the token, so that roles are worked out once for it.
func sessionOfBearer(who identity.Principal, raw, issuer string) session.Session {
	sum := sha256.Sum256([]byte(raw))
	s := session.Session{
		Grant: identity.Grant{Principal: who}, ID: "bearer " + base64.RawURLEncoding.EncodeToString(sum[:]), Expires: who.Expiry,
	}
	if who.Issuer == issuer {
		s.IDToken = raw
	}
	return s
}

// refuseCredential turns away whoever brought a credential that is none here.
func (p *Proxy) refuseCredential(x *exchange) bool {
	var refused *identity.TokenRefusedError
	var unreachable *identity.UnreachableError
	switch err := x.credentialErr; {
	case errors.As(err, &unreachable):
		return x.refuse(http.StatusServiceUnavailable, "issuer_unreachable",
			"The token cannot be verified right now: the keys of its issuer are not to be had. Try again in a moment.", err)
	case errors.As(err, &refused) && refused.OfLogin, errors.Is(err, session.ErrLoginToken):
		return x.refuse(http.StatusUnauthorized, codeLoginToken,
			"The token was not accepted: a browser login of authgate obtained it, and dashboards see it. "+
				"It says who somebody is at a dashboard, and does not open authgate. Use a token of `authgate token`.", nil)
	case errors.Is(err, session.ErrRevoked):
		return x.refuse(http.StatusUnauthorized, codeTokenRevoked,
			"The token was not accepted: the sessions of its user were revoked after it was issued. Get a new token.", nil)
	case errors.Is(err, session.ErrStoreDown):
		return x.refuse(http.StatusServiceUnavailable, "session_store_down",
			"Whether the token was revoked cannot be told right now: the session store does not answer. Nothing was done. Try again in a moment.", nil)
	case errors.As(err, &refused):
		return x.refuse(http.StatusUnauthorized, codeCredentialRefused, "The token was not accepted: "+refused.Reason+".", nil)
	default:
		return x.refuse(http.StatusUnauthorized, codeCredentialRefused,
			"The request brings a credential of its own, in "+x.brought.header+", that is not accepted here. Send a token of the issuer as Bearer, or sign in with a browser.", nil)
	}
}
