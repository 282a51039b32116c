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

// Grant is what the issuer gave for a login or a refresh. Its JSON is what a
// session keeps, sealed; it must reach no log and no browser in clear.
type Grant struct {
	Principal Principal `json:"p"`
	Refresh   string    `json:"rt,omitempty"`  // refresh token; empty: the issuer gave none
	IDToken   string    `json:"it,omitempty"`  // as signed; empty where nobody needs it
	Access    string    `json:"at,omitempty"`  // access token; empty where nobody needs it
	Session   string    `json:"sid,omitempty"` // the issuer's own session, for its logout
	Read      time.Time `json:"r"`             // when the issuer said all this

	// IDMarked and AccessMarked say that a token tells by itself that it is no bearer
	// token: every replica refuses it as one. Others have to be remembered before an
	// upstream sees them.
	IDMarked     bool `json:"im,omitempty"`
	AccessMarked bool `json:"am,omitempty"`

	Origin Origin `json:"o"`
}

// Origin is what every later ID token must repeat of the first (OpenID Connect
// Core 1.0, section 12.2), beside issuer and subject.
type Origin struct {
	Audience []string `json:"aud,omitempty"`
	Party    string   `json:"azp,omitempty"`
	Nonce    string   `json:"n,omitempty"`
	AuthTime int64    `json:"t,omitempty"`
}

// String, GoString and LogValue keep a Grant out of logs.
func (Grant) String() string       { return "[redacted]" }
func (Grant) GoString() string     { return "[redacted]" }
func (Grant) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// RefreshRefusedError says that the refresh token is no good any more: the
// session that holds it has ended.
type RefreshRefusedError struct {
	Status int
	Code   string // OAuth error code (RFC 6749, 5.2), or empty
}

func (e *RefreshRefusedError) Error() string {
	return "the issuer refused the refresh token: " + e.Code
}

// ImpostorError says that a refreshed ID token speaks of somebody else, or for
// somebody else, than the first.
type ImpostorError struct{ Reason string }

func (e *ImpostorError) Error() string { return "the refreshed ID token is another's: " + e.Reason }

// UnverifiedError says that the issuer gave a new refresh token, for which the
// old one is spent, beside an ID token that could not be believed this time: its
// keys were not to be had, for instance. Grant is the old one with the new refresh
// token, and must be kept.
type UnverifiedError struct {
	Grant Grant
	cause error
}

func (e *UnverifiedError) Error() string {
	if e.cause == nil {
		return "the refreshed ID token could not be verified"
	}
	return e.cause.Error()
}
func (e *UnverifiedError) Unwrap() error { return e.cause }

// unverified keeps a rotated refresh token, unless it is another's.
func unverified(cause error, old Grant, rotated string) error {
	var impostor *ImpostorError
	if rotated == "" || rotated == old.Refresh || errors.As(cause, &impostor) {
		return cause
	}
	old.Refresh = rotated
	return &UnverifiedError{Grant: old, cause: cause}
}

// Refresh asks the issuer again who somebody is. An error is a
// [RefreshRefusedError], an [ImpostorError], or something that may pass.
func (rp *RelyingParty) Refresh(ctx context.Context, g Grant) (Grant, error) {
	p, err := rp.provider()
	if err != nil {
		return Grant{}, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, rp.client), attemptTimeout)
	defer cancel()
	tokens, err := rp.oauth(p, Login{}).TokenSource(ctx, &oauth2.Token{RefreshToken: g.Refresh}).Token()
	if err != nil {
		return Grant{}, refreshError(exchangeError(ctx, p, err))
	}
	c, err := rp.verify(ctx, tokens)
	if err == nil {
		err = rp.checkRefreshed(c, g)
	}
	var next Grant
	if err == nil {
		next, err = rp.grant(ctx, c, tokens)
	}
	if err != nil {
		return Grant{}, unverified(err, g, tokens.RefreshToken)
	}
	next.Origin = g.Origin
	if next.Refresh == "" { // RFC 6749, section 6: then the old one stays good
		next.Refresh = g.Refresh
	}
	if next.Session == "" {
		next.Session = g.Session
	}
	return next, nil
}

// refreshError tells a refresh token that is no good from whatever may pass. Dex
// says invalid_request where others say invalid_grant (RFC 6749, 5.2); a fault of
// the client's registration is no fault of the session.
func refreshError(err error) error {
	var answer *ExchangeError
	if !errors.As(err, &answer) || answer.Status != http.StatusBadRequest || answer.credentials {
		return err
	}
	switch answer.Code {
	case "unauthorized_client", "unsupported_grant_type", "invalid_scope", "temporarily_unavailable", "server_error", "slow_down":
		return err
	}
	return &RefreshRefusedError{Status: answer.Status, Code: answer.Code}
}

// checkRefreshed judges the claims of a refreshed ID token: first that it is
// about the same person and for the same client, then as at a login.
func (rp *RelyingParty) checkRefreshed(c claims, g Grant) error {
	now, err := c.origin()
	if err != nil {
		return err
	}
	iss, err := c.text("iss")
	if err != nil {
		return err
	}
	sub, err := c.text("sub")
	if err != nil {
		return err
	}
	was := g.Origin
	switch {
	case iss != g.Principal.Issuer:
		return &ImpostorError{"its iss is another"}
	case sub != g.Principal.Subject:
		return &ImpostorError{"its sub is another"}
	case !slices.Equal(now.Audience, was.Audience):
		return &ImpostorError{"its aud is another"}
	case now.Party != was.Party:
		return &ImpostorError{"its azp is another"}
	case now.Nonce != "" && now.Nonce != was.Nonce:
		return &ImpostorError{"its nonce is another"}
	case now.AuthTime != 0 && was.AuthTime != 0 && now.AuthTime != was.AuthTime:
		return &ImpostorError{"its auth_time is another"}
	}
	if err := rp.checkAudience(c); err != nil {
		return err
	}
	return rp.checkTimes(c)
}

// origin reads what later ID tokens must repeat.
func (c claims) origin() (Origin, error) {
	var o Origin
	var err error
	if o.Audience, err = c.texts("aud"); err != nil {
		return Origin{}, err
	}
	slices.Sort(o.Audience) // it is a set
	if o.Party, err = c.text("azp"); err != nil {
		return Origin{}, err
	}
	if o.Nonce, err = c.text("nonce"); err != nil {
		return Origin{}, err
	}
	at, given, err := c.date("auth_time")
	if err != nil {
		return Origin{}, err
	}
	if given {
		o.AuthTime = at.Unix()
	}
	return o, nil
}

// grant reads what an answer of the token endpoint gives.
func (rp *RelyingParty) grant(ctx context.Context, c claims, tokens *oauth2.Token) (Grant, error) {
	who, err := rp.principal(c)
	if err != nil {
		return Grant{}, err
	}
	origin, err := c.origin()
	if err != nil {
		return Grant{}, err
	}
	sid, err := c.text("sid")
	if err != nil {
		return Grant{}, err
	}
	mark, err := c.marked()
	if err != nil {
		return Grant{}, err
	}
	rp.tellGroups(ctx, c, who)
	raw, _ := tokens.Extra("id_token").(string)
	return Grant{
		Principal: who, Refresh: tokens.RefreshToken, IDToken: raw, Access: tokens.AccessToken,
		Session: sid, Read: rp.cfg.Now(), Origin: origin,
		IDMarked: mark, AccessMarked: rp.accessTellsItself(tokens.AccessToken),
	}, nil
}
