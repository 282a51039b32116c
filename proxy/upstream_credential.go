package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
)

// TokenSources gives the tokens of ServiceAccounts, by how the configuration names them.
type TokenSources map[config.ServiceAccount]TokenSource

// TokenSource is a ServiceAccount whose token upstreams are shown (package credential).
// It is safe for concurrent use.
type TokenSource interface {
	// Token is one that has not expired. Once it is warm it waits for nothing. An
	// error that has a method Hint() string tells the operator what is missing.
	Token(ctx context.Context) (string, error)

	// Refused says that an upstream rejected a token. Another one is asked for in
	// the background; Token gives this one until then.
	TokenRejected(token string)
}

// serviceAccount is whose token is shown for a role.
type serviceAccount struct {
	role string
	TokenSource
}

const codeNoCredential = "no_credential"

// selectCredential selects the credential that the upstream gets. A request without a user gets
// none: a server that checks signatures only of requests without a credential would treat
// theirs as checked.
func (p *Proxy) selectCredential(x *decided) (token string, refusal *Refusal) {
	if !x.signedIn() || x.asAnonymous {
		return "", nil
	}
	switch x.route.config.Identity.Credential {
	case config.CredentialIDToken, config.CredentialAccessToken:
		return p.useUserToken(x)
	case config.CredentialServiceAccount:
		return p.useServiceAccountToken(x)
	default:
		return "", nil
	}
}

// useUserToken is the person's own token, as fresh as the upstream needs it.
func (p *Proxy) useUserToken(x *decided) (token string, refusal *Refusal) {
	if !x.usesBearer() {
		s, err := p.sessions.WithValidIDToken(x.r.Context(), x.session)
		if err != nil {
			return "", p.missingUserToken(x.caller, err)
		}
		if !s.FetchedAt.Equal(x.session.FetchedAt) {
			x.session, x.resolvedRoles = s, x.state.resolveRoles(&s)
			again, f := p.decide(x.caller) // by the groups that came with it
			if f != nil {
				return "", f
			}
			if again.asAnonymous {
				return "", nil
			}
		}
	}
	token = x.session.IDToken
	if x.route.config.Identity.Credential == config.CredentialAccessToken {
		token = x.session.AccessToken
	}
	switch {
	case token != "" && !x.usesBearer():
		return p.denyUpstreamToken(x, token)
	case token != "":
		return token, nil
	case x.usesBearer():
		x.outcome = audit.Refuse
		return "", refuse(http.StatusForbidden, codeNoCredential,
			x.route.Name+" wants a token of its own issuer, and yours is of another: this upstream is not for it.", nil)
	default: // a session of the time before this upstream was shown tokens
		return "", p.missingUserToken(x.caller, session.ErrExpired)
	}
}

// denyUpstreamToken makes sure that authgate will not take for a bearer token what the
// upstream is about to see. Most tokens say so themselves.
func (p *Proxy) denyUpstreamToken(x *decided, token string) (string, *Refusal) {
	marked, until := x.session.IDTokenMarked, x.session.Principal.Expiry
	if x.route.config.Identity.Credential == config.CredentialAccessToken {
		marked = x.session.AccessTokenMarked
		if expiry, ok := identity.ExpiryOf(token); ok && !marked {
			until = expiry
		}
	}
	if marked {
		return token, nil
	}
	until = until.Add(time.Duration(p.config.Issuer.ClockSkew)) // for so long it would be accepted
	err := p.sessions.DenyBearer(x.r.Context(), identity.TokenDigest(token), until)
	if err == nil {
		return token, nil
	}
	x.outcome = audit.Refuse
	return "", refuse(http.StatusServiceUnavailable, "session_store_down",
		"Your token cannot be shown to "+x.route.Name+" right now: the session store is not responding. "+
			"Nothing was done. Try again in a moment.", err)
}

func (p *Proxy) missingUserToken(x *caller, cause error) *Refusal {
	x.sessionErr, x.outcome, x.forceLogin = cause, audit.Refuse, true
	x.session = session.Session{} // or the page would show the name of a user whose session has ended
	return p.refuseUnauthenticated(x)
}

// useServiceAccountToken is the token of the first account whose role the user has.
func (p *Proxy) useServiceAccountToken(x *decided) (token string, refusal *Refusal) {
	roles := x.roles.Names()
	i := slices.IndexFunc(x.route.serviceAccounts, func(a serviceAccount) bool { return slices.Contains(roles, a.role) })
	if i < 0 {
		x.outcome = audit.Refuse
		return "", refuse(http.StatusForbidden, codeNoCredential,
			"You may do this, but none of your roles has an account at "+x.route.Name+" (identity.serviceAccounts). "+
				"Ask the administrator of this service for one.", nil)
	}
	a := x.route.serviceAccounts[i]
	token, err := a.Token(x.r.Context())
	if err == nil && token != "" {
		return token, nil
	}
	if err == nil {
		err = errors.New("the token is empty")
	}
	detail := "The account that stands for " + a.role + " at " +
		x.route.Name + " has no token right now. Nothing was done."
	var hint interface{ Hint() string }
	if errors.As(err, &hint) {
		detail += " " + hint.Hint()
	}
	x.outcome = audit.Refuse
	f := refuse(http.StatusBadGateway, "no_account_token", detail, err)
	f.Next = page.Link{Text: page.TextTryAgain, URL: p.endpoints.ReturnPath(x.path.String())}
	return "", f
}

// tokenRejected has the next tokens of the ServiceAccounts fetched, because an upstream answered
// 401 to one of them.
func (u *dashboard) tokenRejected(token string) {
	for _, a := range u.serviceAccounts {
		a.TokenRejected(token)
	}
}
