package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// loginNoncePrefix begins the nonce of every browser login. The issuer repeats the nonce in
// the ID tokens of that login; Dex also in those of its refreshes, and in access tokens.
// Upstreams see these tokens, so authgate must not accept them as bearer tokens. The prefix
// alone decides: refusing needs no key, no session, and no other replica.
const loginNoncePrefix = "authgate-login."

func newLoginNonce() string { return loginNoncePrefix + randomString() }

// hasLoginNonce reports whether a token's nonce says that a browser login obtained it. A
// nonce that is not a string is refused by other checks.
func (c claims) hasLoginNonce() (bool, error) {
	nonce, err := c.stringClaim("nonce")
	return strings.HasPrefix(nonce, loginNoncePrefix), err
}

// refusedLoginToken refuses a token that a browser login or its refresh obtained.
func refusedLoginToken() *TokenRefusedError {
	e := refused("a browser login or its refresh obtained it, and upstreams see it: " +
		"it is not accepted as a bearer token; use a token of `authgate token`, or of another client of the issuer")
	e.FromLogin = true
	return e
}

// isAccessToken reports whether a JWT says that it is an access token: RFC 9068, 2.1, the
// claim typ of Keycloak, or token_use of Cognito. ID tokens have no scope (RFC 8693, 4.2) or
// scp (Okta, Entra).
func isAccessToken(typ string, c claims) bool {
	if strings.EqualFold(strings.TrimPrefix(strings.ToLower(typ), "application/"), "at+jwt") {
		return true
	}
	kind, _ := c.scalar("typ")
	use, _ := c.scalar("token_use")
	return slices.Contains([]string{"bearer", "dpop", "refresh", "offline", "at+jwt"}, strings.ToLower(kind)) ||
		strings.EqualFold(use, "access") || !c.absent("scope") || !c.absent("scp")
}

// accessTokenMarked reports whether an access token can be sent to an upstream without being
// recorded: it is opaque, it has the nonce, or [Bearers] accepts no access token with its
// audience, and it says that it is one or is not for this client.
func (rp *RelyingParty) accessTokenMarked(raw string) bool {
	c, err := unverifiedClaims(raw)
	if err != nil {
		return true
	}
	marked, err := c.hasLoginNonce()
	audience, audienceErr := c.stringList("aud")
	switch {
	case marked || err != nil || audienceErr != nil:
		return true
	case slices.ContainsFunc(rp.cfg.AccessAudiences, func(one string) bool { return slices.Contains(audience, one) }):
		return false
	}
	return isAccessToken(header(raw).Typ, c) || !slices.Contains(audience, rp.clientID())
}

// unverifiedClaims reads a JWT in compact form.
func unverifiedClaims(raw string) (claims, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, refused("it is not a JWT in its compact form (RFC 7519, section 3)")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c claims
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return nil, refused("its claims are not a JSON object in base64url")
	}
	return c, nil
}

// ExpiryOf reads, unverified, when a token of the issuer's response expires. It is false if
// that is not a JWT with a time.
func ExpiryOf(raw string) (time.Time, bool) {
	c, err := unverifiedClaims(raw)
	if err != nil {
		return time.Time{}, false
	}
	at, given, err := c.numericDate("exp")
	return at, given && err == nil
}

// TokenDigest identifies a token by what its issuer signed. The signature is left out:
// several encodings of it verify.
func TokenDigest(raw string) [sha256.Size]byte {
	signed := raw
	if end := strings.LastIndexByte(raw, '.'); end >= 0 {
		signed = raw[:end]
	}
	return sha256.Sum256([]byte(signed))
}
