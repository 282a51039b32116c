package identity

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/example-org/authgate/text"
)

// Login is what must be remembered between Begin and Finish, encrypted. The zero Login
// finishes nothing.
type Login struct {
	State       string `json:"s,omitempty"`
	Nonce       string `json:"n"`
	Verifier    string `json:"v"` // PKCE (RFC 7636)
	RedirectURI string `json:"r"`
}

// String, GoString and LogValue keep a Login out of logs.
func (Login) String() string       { return "[redacted]" }
func (Login) GoString() string     { return "[redacted]" }
func (Login) LogValue() slog.Value { return slog.StringValue("[redacted]") }

func (l Login) complete() bool { return l.Nonce != "" && l.Verifier != "" && l.RedirectURI != "" }

// BeginOptions are options of one login.
type BeginOptions struct {
	// State makes the state from the rest of the login, for a caller that stores the login
	// in it. Nil: it is random.
	State func(Login) (string, error)

	Prompt string // prompt of the authorization request, in place of the one in Config.AuthParams; empty: that one
}

// Begin starts a login: send the browser to the URL; it returns to redirectURI.
func (rp *RelyingParty) Begin(redirectURI string, o BeginOptions) (Login, string, error) {
	p, err := rp.provider()
	if err != nil {
		return Login{}, "", err
	}
	if _, err := ParseHTTPURL(redirectURI); err != nil {
		return Login{}, "", fmt.Errorf("the redirect URI %s %w", text.Quote(redirectURI), err)
	}
	l := Login{Nonce: newLoginNonce(), Verifier: randomString(), RedirectURI: redirectURI}
	if l.State = randomString(); o.State != nil {
		l.State = ""
		if l.State, err = o.State(l); err != nil {
			return Login{}, "", fmt.Errorf("making the state of a login: %w", err)
		}
	}
	params := append(rp.authParams(o.Prompt), oidc.Nonce(l.Nonce), oauth2.S256ChallengeOption(l.Verifier))
	return l, rp.oauthConfig(p, l).AuthCodeURL(l.State, params...), nil
}

// authParams are the configured parameters. The check of the configuration excludes those
// that Begin sets itself.
func (rp *RelyingParty) authParams(prompt string) []oauth2.AuthCodeOption {
	var params []oauth2.AuthCodeOption
	for name, value := range rp.cfg.AuthParams {
		if prompt == "" || !strings.EqualFold(name, "prompt") {
			params = append(params, oauth2.SetAuthURLParam(name, value))
		}
	}
	if prompt != "" {
		params = append(params, oauth2.SetAuthURLParam("prompt", prompt))
	}
	return params
}

// Finish exchanges the code of the callback's query for tokens. The code is used up, even if
// that fails.
func (rp *RelyingParty) Finish(ctx context.Context, l Login, callback url.Values) (TokenSet, error) {
	p, err := rp.provider()
	if err != nil {
		return TokenSet{}, err
	}
	code, err := rp.readCallback(p, l, callback)
	if err != nil {
		return TokenSet{}, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, rp.client), attemptTimeout)
	defer cancel()
	tokens, err := rp.oauthConfig(p, l).Exchange(ctx, code, oauth2.VerifierOption(l.Verifier))
	if err != nil {
		return TokenSet{}, exchangeError(ctx, p, err)
	}
	c, err := rp.verify(ctx, tokens)
	if err != nil {
		return TokenSet{}, err
	}
	if err := rp.checkClaims(c, l.Nonce); err != nil {
		return TokenSet{}, err
	}
	return rp.tokenSet(ctx, c, tokens)
}

// readCallback finds the code, if the callback belongs to this login and is not an error.
func (rp *RelyingParty) readCallback(p *provider, l Login, callback url.Values) (string, error) {
	for _, name := range []string{"state", "iss", "error", "code"} { // RFC 6749, 3.1: at most once
		if len(callback[name]) > 1 {
			return "", &CallbackError{Reason: "it has the parameter " + name + " more than once"}
		}
	}
	if !l.complete() || !constantTimeEqual(l.State, callback.Get("state")) {
		return "", ErrStateMismatch
	}
	// RFC 9207, 2.4, against mix-up: before anything else of the callback is trusted.
	switch iss := callback.Get("iss"); {
	case callback.Has("iss") && iss != rp.cfg.URL:
		return "", &CallbackError{
			Reason: fmt.Sprintf("it comes from the issuer %s, this login went to %s", text.Quote(iss), rp.cfg.URL),
		}
	case !callback.Has("iss") && p.metadata.SendsIssParameter:
		return "", &CallbackError{Reason: "it does not name its issuer, although the issuer promises to (RFC 9207)"}
	}
	if callback.Has("error") {
		return "", &LoginRefusedError{
			Code:        cmp.Or(text.ErrorCode(callback.Get("error")), text.UnknownError),
			Description: text.Sanitize(callback.Get("error_description")),
		}
	}
	code := callback.Get("code")
	if code == "" {
		return "", &CallbackError{Reason: "it has neither a code nor an error"}
	}
	return code, nil
}

func (rp *RelyingParty) oauthConfig(p *provider, l Login) *oauth2.Config {
	client := rp.credentials.Load()
	return &oauth2.Config{
		ClientID:     client.id,
		ClientSecret: client.secret,
		Endpoint:     p.endpoint,
		RedirectURL:  l.RedirectURI,
		Scopes:       rp.cfg.Scopes,
	}
}

// exchangeError keeps status and code of a refusal. An oauth2.RetrieveError has the whole
// response in it, and may hold a token.
func exchangeError(ctx context.Context, p *provider, err error) error {
	var unreachable *UnreachableError
	var response *oauth2.RetrieveError
	switch {
	case errors.As(err, &unreachable):
		return unreachable
	case errors.As(err, &response):
		e := &ExchangeError{Status: response.Response.StatusCode, Code: text.ErrorCode(response.ErrorCode)}
		// RFC 6749, 5.2: 401 is for client authentication alone. Others say so with 400.
		e.badCredentials = e.Status == http.StatusUnauthorized || strings.EqualFold(e.Code, "invalid_client")
		return e
	case ctx.Err() != nil:
		return &UnreachableError{
			Request: "POST " + p.endpoint.TokenURL, Reason: text.RedactError(ctx.Err()), cause: ctx.Err(),
		}
	default: // x/oauth2's words may repeat the response
		return &ExchangeError{}
	}
}

// randomString has 256 bits: RFC 7636, 7.1, for the verifier, and as much for state and
// nonce.
func randomString() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: it ends the program first
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// constantTimeEqual compares without leaking by its duration how much is equal. Nothing
// equals the empty string.
func constantTimeEqual(want, got string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}
