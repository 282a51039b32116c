package identity

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// TokenSet is what the issuer returned for a login or a refresh. Its JSON is stored in
// sessions, encrypted; it must not reach a log or, in clear text, a browser.
type TokenSet struct {
	Principal    Principal `json:"p"`
	RefreshToken string    `json:"rt,omitempty"`  // refresh token; empty: the issuer gave none
	IDToken      string    `json:"it,omitempty"`  // as signed; empty if no upstream needs it
	AccessToken  string    `json:"at,omitempty"`  // access token; empty if no upstream needs it
	SessionID    string    `json:"sid,omitempty"` // the issuer's own session, for its logout
	FetchedAt    time.Time `json:"r"`             // when the issuer said all this

	// IDTokenMarked and AccessTokenMarked say that a token shows by itself that a login
	// obtained it: every replica refuses it as a bearer token. Other tokens must be recorded
	// before an upstream sees them.
	IDTokenMarked     bool `json:"im,omitempty"`
	AccessTokenMarked bool `json:"am,omitempty"`

	Original OriginalClaims `json:"o"`
}

// OriginalClaims is what every later ID token must repeat of the first (OpenID Connect Core
// 1.0, section 12.2), in addition to issuer and subject.
type OriginalClaims struct {
	Audience        []string `json:"aud,omitempty"`
	AuthorizedParty string   `json:"azp,omitempty"`
	Nonce           string   `json:"n,omitempty"`
	AuthTime        int64    `json:"t,omitempty"`
}

// String, GoString and LogValue keep a TokenSet out of logs.
func (TokenSet) String() string       { return "[redacted]" }
func (TokenSet) GoString() string     { return "[redacted]" }
func (TokenSet) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// RefreshRefusedError says that the refresh token is not valid any more: the session that
// holds it has ended.
type RefreshRefusedError struct {
	Status int
	Code   string // OAuth error code (RFC 6749, 5.2), or empty
}

func (e *RefreshRefusedError) Error() string {
	return "the issuer refused the refresh token: " + e.Code
}

// SubjectMismatchError says that a refreshed ID token is about another user or for another
// client than the first.
type SubjectMismatchError struct{ Reason string }

func (e *SubjectMismatchError) Error() string {
	return "the refreshed ID token belongs to another user: " + e.Reason
}

// UnverifiedError says that the issuer returned a new refresh token, which uses up the old
// one, with an ID token that could not be verified, for example because its keys were
// unavailable. Tokens is the old set with the new refresh token, and must be stored.
type UnverifiedError struct {
	Tokens TokenSet
	cause  error
}

func (e *UnverifiedError) Error() string {
	if e.cause == nil {
		return "the refreshed ID token could not be verified"
	}
	return e.cause.Error()
}
func (e *UnverifiedError) Unwrap() error { return e.cause }

// keepRotated keeps a rotated refresh token, unless it belongs to another user.
func keepRotated(cause error, old TokenSet, rotated string) error {
	var mismatch *SubjectMismatchError
	if rotated == "" || rotated == old.RefreshToken || errors.As(cause, &mismatch) {
		return cause
	}
	old.RefreshToken = rotated
	return &UnverifiedError{Tokens: old, cause: cause}
}

// Refresh asks the issuer for the user's current claims. An error is a
// [RefreshRefusedError], a [SubjectMismatchError], or temporary.
func (rp *RelyingParty) Refresh(ctx context.Context, g TokenSet) (TokenSet, error) {
	p, err := rp.provider()
	if err != nil {
		return TokenSet{}, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, rp.client), attemptTimeout)
	defer cancel()
	tokens, err := rp.oauthConfig(p, Login{}).TokenSource(ctx, &oauth2.Token{RefreshToken: g.RefreshToken}).Token()
	if err != nil {
		return TokenSet{}, refreshError(exchangeError(ctx, p, err))
	}
	c, err := rp.verify(ctx, tokens)
	if err == nil {
		err = rp.checkRefreshed(c, g)
	}
	var next TokenSet
	if err == nil {
		next, err = rp.tokenSet(ctx, c, tokens)
	}
	if err != nil {
		return TokenSet{}, keepRotated(err, g, tokens.RefreshToken)
	}
	next.Original = g.Original
	if next.RefreshToken == "" { // RFC 6749, section 6: then the old one stays valid
		next.RefreshToken = g.RefreshToken
	}
	if next.SessionID == "" {
		next.SessionID = g.SessionID
	}
	return next, nil
}

// refreshError tells a refresh token that is not valid any more from temporary errors. Dex
// says invalid_request where others say invalid_grant (RFC 6749, 5.2). An error about the
// client's registration does not end the session.
func refreshError(err error) error {
	var response *ExchangeError
	if !errors.As(err, &response) || response.Status != http.StatusBadRequest || response.badCredentials {
		return err
	}
	switch response.Code {
	case "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"temporarily_unavailable", "server_error", "slow_down":
		return err
	}
	return &RefreshRefusedError{Status: response.Status, Code: response.Code}
}

// checkRefreshed checks the claims of a refreshed ID token: first that it is about the same
// user and for the same client, then as at a login.
func (rp *RelyingParty) checkRefreshed(c claims, g TokenSet) error {
	refreshed, err := c.originalClaims()
	if err != nil {
		return err
	}
	iss, err := c.stringClaim("iss")
	if err != nil {
		return err
	}
	sub, err := c.stringClaim("sub")
	if err != nil {
		return err
	}
	original := g.Original
	switch {
	case iss != g.Principal.Issuer:
		return &SubjectMismatchError{"its iss differs"}
	case sub != g.Principal.Subject:
		return &SubjectMismatchError{"its sub differs"}
	case !slices.Equal(refreshed.Audience, original.Audience):
		return &SubjectMismatchError{"its aud differs"}
	case refreshed.AuthorizedParty != original.AuthorizedParty:
		return &SubjectMismatchError{"its azp differs"}
	case refreshed.Nonce != "" && refreshed.Nonce != original.Nonce:
		return &SubjectMismatchError{"its nonce differs"}
	case refreshed.AuthTime != 0 && original.AuthTime != 0 && refreshed.AuthTime != original.AuthTime:
		return &SubjectMismatchError{"its auth_time differs"}
	}
	if err := rp.checkAudience(c); err != nil {
		return err
	}
	return rp.checkTimes(c)
}

// originalClaims reads what later ID tokens must repeat.
func (c claims) originalClaims() (OriginalClaims, error) {
	var o OriginalClaims
	var err error
	if o.Audience, err = c.stringList("aud"); err != nil {
		return OriginalClaims{}, err
	}
	slices.Sort(o.Audience) // it is a set
	if o.AuthorizedParty, err = c.stringClaim("azp"); err != nil {
		return OriginalClaims{}, err
	}
	if o.Nonce, err = c.stringClaim("nonce"); err != nil {
		return OriginalClaims{}, err
	}
	at, given, err := c.numericDate("auth_time")
	if err != nil {
		return OriginalClaims{}, err
	}
	if given {
		o.AuthTime = at.Unix()
	}
	return o, nil
}

// tokenSet reads the response of the token endpoint.
func (rp *RelyingParty) tokenSet(ctx context.Context, c claims, tokens *oauth2.Token) (TokenSet, error) {
	principal, err := rp.principal(c)
	if err != nil {
		return TokenSet{}, err
	}
	origin, err := c.originalClaims()
	if err != nil {
		return TokenSet{}, err
	}
	sid, err := c.stringClaim("sid")
	if err != nil {
		return TokenSet{}, err
	}
	marked, err := c.hasLoginNonce()
	if err != nil {
		return TokenSet{}, err
	}
	rp.reportMissingGroups(ctx, c, principal)
	raw, _ := tokens.Extra("id_token").(string)
	return TokenSet{
		Principal: principal, RefreshToken: tokens.RefreshToken, IDToken: raw, AccessToken: tokens.AccessToken,
		SessionID: sid, FetchedAt: rp.cfg.Now(), Original: origin,
		IDTokenMarked: marked, AccessTokenMarked: rp.accessTokenMarked(tokens.AccessToken),
	}, nil
}

// Keep drops the tokens that no upstream gets: a cookie has no room for them. With the access
// token the ID token stays, because it says how fresh both are.
func (g TokenSet) Keep(id, access bool) TokenSet {
	if !access {
		g.AccessToken = ""
		if !id {
			g.IDToken = ""
		}
	}
	return g
}
