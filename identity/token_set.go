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

// TokenSet is what the issuer gave for a login or a refresh. Its JSON is what a
// session keeps, sealed; it must reach no log and no browser in clear.
type TokenSet struct {
	Principal    Principal `json:"p"`
	RefreshToken string    `json:"rt,omitempty"`  // refresh token; empty: the issuer gave none
	IDToken      string    `json:"it,omitempty"`  // as signed; empty where nobody needs it
	AccessToken  string    `json:"at,omitempty"`  // access token; empty where nobody needs it
	SessionID    string    `json:"sid,omitempty"` // the issuer's own session, for its logout
	FetchedAt    time.Time `json:"r"`             // when the issuer said all this

	// IDTokenMarked and AccessTokenMarked say that a token tells by itself that it is no bearer
	// token: every replica refuses it as one. Others have to be remembered before an
	// upstream sees them.
	IDTokenMarked     bool `json:"im,omitempty"`
	AccessTokenMarked bool `json:"am,omitempty"`

	Original OriginalClaims `json:"o"`
}

// OriginalClaims is what every later ID token must repeat of the first (OpenID Connect
// Core 1.0, section 12.2), beside issuer and subject.
type OriginalClaims struct {
	Audience        []string `json:"aud,omitempty"`
	AuthorizedParty string   `json:"azp,omitempty"`
	Nonce           string   `json:"n,omitempty"`
	AuthTime        int64    `json:"t,omitempty"`
}

// String, GoString and LogValue keep a Grant out of logs.
func (TokenSet) String() string       { return "[redacted]" }
func (TokenSet) GoString() string     { return "[redacted]" }
func (TokenSet) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// RefreshRefusedError says that the refresh token is no good any more: the
// session that holds it has ended.
type RefreshRefusedError struct {
	Status int
	Code   string // OAuth error code (RFC 6749, 5.2), or empty
}

func (e *RefreshRefusedError) Error() string {
	return "the issuer refused the refresh token: " + e.Code
}

// SubjectMismatchError says that a refreshed ID token speaks of somebody else, or for
// somebody else, than the first.
type SubjectMismatchError struct{ Reason string }

func (e *SubjectMismatchError) Error() string {
	return "the refreshed ID token belongs to another user: " + e.Reason
}

// UnverifiedError says that the issuer gave a new refresh token, for which the
// old one is spent, beside an ID token that could not be believed this time: its
// keys were not to be had, for instance. Grant is the old one with the new refresh
// token, and must be kept.
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

// keepRotated keeps a rotated refresh token, unless it is another's.
func keepRotated(cause error, old TokenSet, rotated string) error {
	var mismatch *SubjectMismatchError
	if rotated == "" || rotated == old.RefreshToken || errors.As(cause, &mismatch) {
		return cause
	}
	old.RefreshToken = rotated
	return &UnverifiedError{Tokens: old, cause: cause}
}

// Refresh asks the issuer again who somebody is. An error is a
// [RefreshRefusedError], an [SubjectMismatchError], or something that may pass.
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
	if next.RefreshToken == "" { // RFC 6749, section 6: then the old one stays good
		next.RefreshToken = g.RefreshToken
	}
	if next.SessionID == "" {
		next.SessionID = g.SessionID
	}
	return next, nil
}

// refreshError tells a refresh token that is no good from whatever may pass. Dex
// says invalid_request where others say invalid_grant (RFC 6749, 5.2); a fault of
// the client's registration is no fault of the session.
func refreshError(err error) error {
	var response *ExchangeError
	if !errors.As(err, &response) || response.Status != http.StatusBadRequest || response.badCredentials {
		return err
	}
	switch response.Code {
	case "unauthorized_client", "unsupported_grant_type", "invalid_scope", "temporarily_unavailable", "server_error", "slow_down":
		return err
	}
	return &RefreshRefusedError{Status: response.Status, Code: response.Code}
}

// checkRefreshed judges the claims of a refreshed ID token: first that it is
// about the same person and for the same client, then as at a login.
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
		return &SubjectMismatchError{"its iss is another"}
	case sub != g.Principal.Subject:
		return &SubjectMismatchError{"its sub is another"}
	case !slices.Equal(refreshed.Audience, original.Audience):
		return &SubjectMismatchError{"its aud is another"}
	case refreshed.AuthorizedParty != original.AuthorizedParty:
		return &SubjectMismatchError{"its azp is another"}
	case refreshed.Nonce != "" && refreshed.Nonce != original.Nonce:
		return &SubjectMismatchError{"its nonce is another"}
	case refreshed.AuthTime != 0 && original.AuthTime != 0 && refreshed.AuthTime != original.AuthTime:
		return &SubjectMismatchError{"its auth_time is another"}
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

// tokenSet reads what an answer of the token endpoint gives.
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
