package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/example-org/authgate/text"
)

// asymmetricAlgorithms are the signatures that only the issuer can make. "none" proves
// nothing, and an HMAC's key is known to us or, if it is a public key, to everyone.
var asymmetricAlgorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512,
	oidc.ES256, oidc.ES384, oidc.ES512,
	oidc.PS256, oidc.PS384, oidc.PS512,
	oidc.EdDSA,
}

func supportedAlgorithms(announced []string) ([]string, error) {
	if len(announced) == 0 {
		return []string{oidc.RS256}, nil // the one that all issuers support: Core 1.0, section 2
	}
	var trusted []string
	for _, alg := range asymmetricAlgorithms {
		if slices.Contains(announced, alg) {
			trusted = append(trusted, alg)
		}
	}
	if trusted == nil {
		return nil, fmt.Errorf("it signs ID tokens with %s only; needed is one of %s",
			text.Sanitize(strings.Join(announced, ", ")), strings.Join(asymmetricAlgorithms, ", "))
	}
	return trusted, nil
}

// verify checks that the issuer signed the ID token, and gives its claims; checkClaims says
// whether they are for us and current.
func (rp *RelyingParty) verify(ctx context.Context, tokens *oauth2.Token) (claims, error) {
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return nil, refused("the issuer sent none")
	}
	o, err := rp.keySet.verifySignature(ctx, raw, fromTokenEndpoint)
	if err != nil {
		return nil, err
	}
	if o.token.AccessTokenHash != "" && o.token.VerifyAccessToken(tokens.AccessToken) != nil {
		return nil, refused("its at_hash belongs to another access token")
	}
	return o.claims, nil
}

// verifySignature checks that the issuer signed a JWT, and gives its claims.
func (rp *RelyingParty) verifySignature(
	ctx context.Context, p *provider, by oidc.KeySet, raw string,
) (*oidc.IDToken, claims, error) {
	if alg := header(raw).Alg; !slices.Contains(p.algorithms, alg) {
		return nil, nil, refused("it is signed with %s; the issuer announces, and authgate accepts, %s",
			text.Quote(alg), strings.Join(p.algorithms, ", "))
	}
	// go-oidc checks signature and form here. Issuer, audience and times are for
	// checkClaims: go-oidc's errors cannot be told apart, it has no leeway on exp, ignores
	// iat, and accepts an iss of Google without its scheme.
	keys := &recordingKeySet{KeySet: by}
	token, err := oidc.NewVerifier(rp.cfg.URL, keys, &oidc.Config{
		SupportedSigningAlgs: p.algorithms,
		SkipIssuerCheck:      true,
		SkipClientIDCheck:    true,
		SkipExpiryCheck:      true,
	}).Verify(ctx, raw)
	if err != nil {
		return nil, nil, verificationError(ctx, p, keys.err)
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return nil, nil, refused("its claims are not a JSON object")
	}
	return token, c, nil
}

// recordingKeySet remembers why a signature was not verified; the verifier would keep only
// the text.
type recordingKeySet struct {
	oidc.KeySet
	err error
}

func (k *recordingKeySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	var payload []byte
	payload, k.err = k.KeySet.VerifySignature(ctx, jwt)
	return payload, k.err
}

func verificationError(ctx context.Context, p *provider, keyErr error) error {
	var unreachable *UnreachableError
	var skipped *skippedKeyError
	switch {
	case keyErr == nil:
		return refused("it is not a signed JWT with claims of the types that OpenID Connect asks for")
	case errors.As(keyErr, &unreachable):
		return unreachable
	case ctx.Err() != nil:
		return &UnreachableError{Request: "GET " + p.metadata.JWKSURI, Reason: text.RedactError(ctx.Err()), cause: ctx.Err()}
	case errors.As(keyErr, &skipped):
		return refused("its signature cannot be verified: %s", skipped)
	default:
		return refused("its signature is of none of the keys that the issuer publishes now (jwks_uri)")
	}
}

// header reads the header of a token, unverified; zero if it is not a JWT.
func header(raw string) (h struct {
	Alg string `json:"alg"`
	Typ string `json:"typ"`
},
) {
	first, _, _ := strings.Cut(raw, ".")
	if decoded, err := base64.RawURLEncoding.DecodeString(first); err == nil {
		_ = json.Unmarshal(decoded, &h)
	}
	return h
}

// checkClaims checks verified claims: OpenID Connect Core 1.0, section 3.1.3.7. nonce is the
// one that the login sent.
func (rp *RelyingParty) checkClaims(c claims, nonce string) error {
	iss, err := c.stringClaim("iss")
	if err != nil {
		return err
	}
	if iss != rp.cfg.URL {
		return refused("it is of the issuer %s, the configuration says %s", text.Quote(iss), rp.cfg.URL)
	}
	if err := rp.checkAudience(c); err != nil {
		return err
	}
	if err := rp.checkTimes(c); err != nil {
		return err
	}
	got, err := c.stringClaim("nonce")
	if err != nil {
		return err
	}
	if !constantTimeEqual(nonce, got) {
		return refused("its nonce is not the one of this login")
	}
	return nil
}

func (rp *RelyingParty) checkAudience(c claims) error {
	audience, err := c.stringList("aud")
	if err != nil {
		return err
	}
	if !slices.Contains(audience, rp.clientID()) {
		return refused("it is for the client %s, the configuration says %s",
			text.Quote(strings.Join(audience, ", ")), text.Quote(rp.clientID()))
	}
	azp, err := c.stringClaim("azp")
	if err != nil {
		return err
	}
	if azp == "" && len(audience) > 1 {
		return refused("it is for several clients and does not say which of them asked for it (no azp)")
	}
	if azp != "" && azp != rp.clientID() {
		return refused("it was asked for by the client %s (azp), the configuration says %s",
			text.Quote(azp), text.Quote(rp.clientID()))
	}
	return nil
}

// checkTimes applies clockSkew in every direction, and names both clocks in every refusal: a
// wrong clock looks like an attack and is hard to find.
func (rp *RelyingParty) checkTimes(c claims) error {
	now, skew := rp.cfg.Now(), rp.cfg.ClockSkew
	clocks := fmt.Sprintf("this machine's clock says %s (clockSkew %s): do the clocks differ?", formatTime(now), skew)

	expiry, given, err := c.numericDate("exp")
	if err != nil {
		return err
	}
	if !given {
		return refused("it does not say when it expires (no exp)")
	}
	if !now.Before(expiry.Add(skew)) {
		return refused("the ID token expired at %s, %s", formatTime(expiry), clocks)
	}
	issued, given, err := c.numericDate("iat")
	if err != nil {
		return err
	}
	if !given {
		return refused("it does not say when it was issued (no iat)")
	}
	if issued.After(now.Add(skew)) {
		return refused("the ID token was issued at %s, which is in the future: %s", formatTime(issued), clocks)
	}
	begins, given, err := c.numericDate("nbf")
	if err != nil {
		return err
	}
	if given && begins.After(now.Add(skew)) {
		return refused("the ID token is not valid before %s, %s", formatTime(begins), clocks)
	}
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
