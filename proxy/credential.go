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
	"github.com/example-org/authgate/page"
	"github.com/example-org/authgate/session"
)

// Accounts gives the tokens of ServiceAccounts, by how the configuration names them.
type Accounts map[config.ServiceAccount]Account

// Account is a ServiceAccount whose token upstreams are shown (package credential).
// It is safe for concurrent use.
type Account interface {
	// Token is one that has not expired. Once it is warm it waits for nothing. An
	// error that has a method Mend() string says to the operator what is missing.
	Token(ctx context.Context) (string, error)

	// Refused says that an upstream rejected a token. Another one is asked for in
	// the background; Token gives this one until then.
	Refused(token string)
}

// account is whose token is shown for a role.
type account struct {
	role string
	Account
}

const codeNoCredential = "no_credential"

// credit finds what the upstream is shown. Nobody is never shown as somebody: a
// server that checks signatures only of requests without a credential would take
// theirs for checked.
func (p *Proxy) credit(x *exchange) bool {
	if !x.signedIn() || x.incognito {
		return true
	}
	switch x.route.credential {
	case config.CredentialIDToken, config.CredentialAccessToken:
		return p.showOwnToken(x)
	case config.CredentialServiceAccount:
		return p.showAccount(x)
	default:
		return true
	}
}

// showOwnToken is the person's own token, as fresh as the upstream needs it.
func (p *Proxy) showOwnToken(x *exchange) bool {
	if !x.byBearer() {
		s, err := p.sessions.WithToken(x.r.Context(), x.session)
		if err != nil {
			return p.noOwnToken(x, err)
		}
		if !s.Read.Equal(x.session.Read) {
			x.session, x.standing = s, x.state.standingOf(s)
			if !p.decide(x) { // by the groups that came with it
				return false
			}
			if x.incognito {
				return true
			}
		}
	}
	x.shown = x.session.IDToken
	if x.route.credential == config.CredentialAccessToken {
		x.shown = x.session.Access
	}
	switch {
	case x.shown != "" && !x.byBearer():
		return p.rememberShown(x)
	case x.shown != "":
		return true
	case x.byBearer():
		x.outcome = audit.Refuse
		return x.refuse(http.StatusForbidden, codeNoCredential,
			x.route.name+" wants a token of its own issuer, and yours is of another: this upstream is not for it.", nil)
	default: // a session of the time before this upstream was shown tokens
		return p.noOwnToken(x, session.ErrOver)
	}
}

// rememberShown makes sure that authgate will not take for a bearer token what the
// upstream is about to see. Most tokens say so themselves.
func (p *Proxy) rememberShown(x *exchange) bool {
	marked, until := x.session.IDMarked, x.session.Principal.Expiry
	if x.route.credential == config.CredentialAccessToken {
		marked = x.session.AccessMarked
		if expiry, ok := identity.ExpiryOf(x.shown); ok && !marked {
			until = expiry
		}
	}
	if marked {
		return true
	}
	until = until.Add(time.Duration(p.config.Issuer.ClockSkew)) // for so long it would be accepted
	err := p.sessions.RememberToken(x.r.Context(), identity.TokenDigest(x.shown), until)
	if err == nil {
		return true
	}
	x.outcome, x.shown = audit.Refuse, ""
	return x.refuse(http.StatusServiceUnavailable, "session_store_down",
		"Your token cannot be shown to "+x.route.name+" right now: where it is noted that it does not open authgate does not answer. Nothing was done. Try again in a moment.", err)
}

func (p *Proxy) noOwnToken(x *exchange, why error) bool {
	x.sessionErr, x.outcome, x.again = why, audit.Refuse, true
	x.session = session.Session{} // or the page would call somebody by name whose session is over
	return p.refuseNobody(x)
}

// showAccount is the token of the first account whose role somebody has.
func (p *Proxy) showAccount(x *exchange) bool {
	roles := x.roles.Names()
	i := slices.IndexFunc(x.route.accounts, func(a account) bool { return slices.Contains(roles, a.role) })
	if i < 0 {
		x.outcome = audit.Refuse
		return x.refuse(http.StatusForbidden, codeNoCredential,
			"You may do this, but none of your roles has an account at "+x.route.name+" (identity.serviceAccounts). Ask whoever runs this service for one.", nil)
	}
	a := x.route.accounts[i]
	token, err := a.Token(x.r.Context())
	if err == nil && token != "" {
		x.shown = token
		return true
	}
	if err == nil {
		err = errors.New("the token is empty")
	}
	detail := "The account that stands for " + a.role + " at " + x.route.name + " has no token right now. Nothing was done."
	var mend interface{ Mend() string }
	if errors.As(err, &mend) {
		detail += " " + mend.Mend()
	}
	x.outcome = audit.Refuse
	x.refuse(http.StatusBadGateway, "no_account_token", detail, err)
	x.refusal.Next = page.Link{Text: "Try again", URL: p.returnTo(x.path.String())}
	return false
}

// credentials takes from a request that goes on whatever could say that somebody
// else asks, and adds what the upstream is shown.
func (x *exchange) credentials(h http.Header) {
	for _, jar := range x.route.foreign {
		jar.Strip(h)
	}
	if name := x.route.kind.bearer; name != "" {
		delete(h, name)
	}
	if x.byBearer() && x.brought.header == "Authorization" { // spent: it opens authgate, which is not the server's to do
		delete(h, "Authorization")
	}
	if x.shown == "" {
		return
	}
	h["Authorization"] = []string{"Bearer " + x.shown}
	if name := x.route.kind.show; name != "" {
		cookie := name + "=" + x.shown
		if others := h["Cookie"]; len(others) > 0 {
			cookie = others[0] + "; " + cookie
			h["Cookie"] = append([]string{cookie}, others[1:]...)
			return
		}
		h["Cookie"] = []string{cookie}
	}
}

// credentialRefused has the account's next token asked for anew, where the server
// behind says that it does not know this one.
func (x *exchange) credentialRefused() {
	if x.shown == "" || x.route.credential != config.CredentialServiceAccount {
		return
	}
	for _, a := range x.route.accounts {
		a.Refused(x.shown)
	}
}
