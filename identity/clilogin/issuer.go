package clilogin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/text"
)

// clockSkew is how far the issuer's clock may be ahead of or behind this one.
const clockSkew = 30 * time.Second

// issuer is what discovery said.
type issuer struct {
	oauth             oauth2.Config // without a redirect URI
	verifier          *oidc.IDTokenVerifier
	sendsIssParameter bool // RFC 9207, section 3
}

// discover asks the issuer where its endpoints are.
func (c *Client) discover(ctx context.Context) (*issuer, error) {
	document, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), c.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discovering the issuer %s: %w", c.cfg.Issuer, discoveryError(ctx, err))
	}
	metadata, err := identity.ReadMetadata(document)
	if err != nil {
		return nil, fmt.Errorf("discovering the issuer %s: %w", c.cfg.Issuer, err)
	}
	endpoint := document.Endpoint()
	for name, address := range map[string]string{
		"authorization_endpoint": endpoint.AuthURL, "token_endpoint": endpoint.TokenURL, "jwks_uri": metadata.JWKSURI,
	} {
		if err := identity.CheckEndpoint(c.cfg.Issuer, address); err != nil {
			return nil, fmt.Errorf("the issuer's %s %w", name, err)
		}
	}
	endpoint.AuthStyle = c.authStyle(metadata.AuthMethods)
	return &issuer{
		oauth: oauth2.Config{
			ClientID: c.cfg.ClientID, ClientSecret: c.cfg.ClientSecret, Endpoint: endpoint,
			Scopes: c.cfg.Scopes,
		},
		// go-oidc gives no leeway on exp; for algorithms it takes the announced ones
		// that are asymmetric.
		verifier: document.Verifier(&oidc.Config{
			ClientID: c.cfg.ClientID,
			Now:      func() time.Time { return c.cfg.Now().Add(-clockSkew) },
		}),
		sendsIssParameter: metadata.SendsIssParameter,
	}, nil
}

// authStyle determines how the client authenticates. x/oauth2 would find out by
// trying, and a failed try may cost the code. A public client only names itself:
// RFC 6749, 3.2.1.
func (c *Client) authStyle(methods []string) oauth2.AuthStyle {
	if c.cfg.ClientSecret != "" && (len(methods) == 0 || slices.Contains(methods, "client_secret_basic")) {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}

// verifyResponse turns an answer of the token endpoint into what is kept. nonce is what the
// login sent along; empty where it could send none (RFC 8628).
func (c *Client) verifyResponse(
	ctx context.Context, i *issuer, tokens *oauth2.Token, nonce string,
) (cachedToken, error) {
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return cachedToken{}, errors.New("the issuer sent no ID token")
	}
	id, err := i.verifier.Verify(oidc.ClientContext(ctx, c.http), raw)
	if err != nil {
		return cachedToken{}, verificationError(ctx, err, c.cfg.Now())
	}
	var party struct {
		AZP string `json:"azp"`
	}
	if id.Claims(&party) != nil {
		return cachedToken{}, refused("its azp is not a string")
	}
	switch {
	case id.Subject == "":
		return cachedToken{}, refused("it names no subject (no sub)")
	case id.AccessTokenHash != "" && id.VerifyAccessToken(tokens.AccessToken) != nil:
		return cachedToken{}, refused("its at_hash belongs to another access token")
	case party.AZP != "" && party.AZP != c.cfg.ClientID, party.AZP == "" && len(id.Audience) > 1: // Core 1.0, 3.1.3.7
		return cachedToken{}, refused("it was asked for by another client (azp)")
	case nonce != "" && id.Nonce != nonce:
		return cachedToken{}, refused("its nonce is not the one of this login")
	}
	for _, audience := range c.cfg.Audiences {
		if !slices.Contains(id.Audience, audience) {
			return cachedToken{}, fmt.Errorf("the issuer gave an ID token that is not for %s; "+
				"in Dex, that client has to name %s in its trustedPeers", text.Quote(audience), text.Quote(c.cfg.ClientID))
		}
	}
	audience := slices.Sorted(slices.Values(id.Audience)) // it is a set
	return cachedToken{
		Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, Scopes: c.cfg.Scopes,
		IDToken: raw, Expiry: id.Expiry.UTC(), RefreshToken: tokens.RefreshToken,
		Subject: id.Subject, Audience: audience, Nonce: id.Nonce,
	}, nil
}

// refresh asks for a new ID token. A loginExpiredError means that a new login is necessary.
func (c *Client) refresh(ctx context.Context, i *issuer, cached cachedToken) (cachedToken, error) {
	tokens, err := i.oauth.TokenSource(oidc.ClientContext(ctx, c.http),
		&oauth2.Token{RefreshToken: cached.RefreshToken}).Token()
	if err != nil {
		return cachedToken{}, refreshError(ctx, err)
	}
	// Rotation: the old one is spent by now, whatever comes of the ID token. RFC
	// 6749, section 6: without a new one the old one stays good.
	if tokens.RefreshToken == "" {
		tokens.RefreshToken = cached.RefreshToken
	}
	if raw, _ := tokens.Extra("id_token").(string); raw == "" { // Core 1.0, 12.2, allows that
		return cachedToken{}, &loginExpiredError{"the issuer refreshed the login without giving an ID token"}
	}
	token, err := c.verifyResponse(ctx, i, tokens, "")
	if err != nil {
		cached.RefreshToken, cached.IDToken = tokens.RefreshToken, ""
		return cachedToken{}, errors.Join(err, c.cache.write(cached))
	}
	if token.Subject != cached.Subject || !slices.Equal(token.Audience, cached.Audience) ||
		token.Nonce != "" && token.Nonce != cached.Nonce {
		return cachedToken{},
			refused("its user or client differs from that of the previous token; `authgate token --force` logs in again")
	}
	token.Nonce = cached.Nonce
	return token, nil
}
