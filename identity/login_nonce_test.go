package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity"
)

// tokenClaims are the claims of a person's token, with what a case adds.
func tokenClaims(more map[string]any) []map[string]any {
	return []map[string]any{{
		"sub": "CgVhbGljZQ", "aud": clientID, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"email": "alice@example.com", "email_verified": true,
	}, more}
}

func TestATokenOfABrowserLoginIsNoBearerToken(t *testing.T) {
	t.Parallel()
	dex := serve(t)
	rp := party(t, config(dex.url))
	other := serve(t).machines()
	b := running(t, identity.NewBearers(rp, []identity.Bearer{
		{Issuer: dex.url, Audience: "argo-cd-cli"},
		{Issuer: dex.url, Audience: clientID},
		{Issuer: other.url, Audience: "authgate", SubjectClaim: "sub"},
	}, discard))
	wantOfLogin := func(what, raw string) {
		t.Helper()
		for range 2 { // nothing of it is remembered as accepted
			_, err := b.Verify(t.Context(), raw)
			var refused *identity.TokenRefusedError
			if !errors.As(err, &refused) || !refused.FromLogin || !strings.Contains(refused.Reason, "authgate token") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	login := granted(t, dex, rp)
	wantOfLogin("the ID token of a login", login.IDToken)
	next, err := rp.Refresh(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	wantOfLogin("that of its refresh", next.IDToken)
	if !login.IDTokenMarked || !next.IDTokenMarked || !login.AccessTokenMarked {
		t.Error("the tokens tell themselves what they are")
	}
	nonce := login.Original.Nonce
	for name, more := range map[string]map[string]any{
		"for another client":           {"nonce": nonce, "aud": "argo-cd-cli"},
		"for several clients":          {"nonce": nonce, "aud": []string{"argo-cd", clientID}, "azp": clientID},
		"for a client of no one":       {"nonce": nonce, "aud": "unknown"},
		"the mark alone":               {"nonce": "authgate-login."},
		"of another authgate's login":  {"nonce": "authgate-login.of-another-replica-with-other-keys"},
		"an access token with a nonce": {"nonce": nonce, "typ": "Bearer", "aud": "argo-cd-cli"},
	} {
		wantOfLogin(name, dex.jwt(tokenClaims(more)...))
	}
	wantOfLogin("an issuer of bearer", other.jwt(actions(), map[string]any{"nonce": nonce}))
	_, err = b.Verify(t.Context(), dex.jwt(tokenClaims(map[string]any{"nonce": []string{nonce}})...))
	wantRefused(t, err, "claims of the types that OpenID Connect asks for")

	for name, more := range map[string]map[string]any{
		"of the device flow":         nil,
		"of a terminal's browser":    {"nonce": "V2x9LrJvT0mZ5Qn1cE8sYw7uKp3aHd6fGb4iXoNjRtk"},
		"with the mark further on":   {"nonce": "x authgate-login."},
		"of another listed audience": {"aud": "argo-cd-cli"},
		"that Keycloak calls an ID":  {"typ": "ID"},
	} {
		if _, err := b.Verify(t.Context(), dex.jwt(tokenClaims(more)...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAccessTokenIsAcceptedOnlyForAnAudienceOfBearer(t *testing.T) {
	t.Parallel()
	dex := serve(t)
	b := running(t, identity.NewBearers(party(t, config(dex.url)), []identity.Bearer{{Issuer: dex.url, Audience: "api"}}, discard))
	typed := func(typ string, more map[string]any) string {
		options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", "one")
		s := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: rsaKeys[0]()}, options))
		c := map[string]any{"iss": dex.url}
		for _, set := range tokenClaims(more) {
			for k, v := range set {
				c[k] = v
			}
		}
		return must(must(s.Sign(must(json.Marshal(c)))).CompactSerialize())
	}
	for name, row := range map[string]struct {
		typ     string
		more    map[string]any
		refused bool
	}{
		"RFC 9068":                       {"at+jwt", nil, true},
		"RFC 9068, with its prefix":      {"application/AT+JWT", nil, true},
		"Keycloak":                       {"JWT", map[string]any{"typ": "Bearer"}, true},
		"Keycloak, offline":              {"JWT", map[string]any{"typ": "Offline"}, true},
		"Cognito":                        {"JWT", map[string]any{"token_use": "access"}, true},
		"that says its scope":            {"JWT", map[string]any{"scope": "openid profile"}, true},
		"that lists its scopes":          {"", map[string]any{"scp": []string{"openid"}}, true},
		"with a scope, for an API":       {"JWT", map[string]any{"aud": "api", "scope": "openid"}, false},
		"for the client and an API":      {"at+jwt", map[string]any{"aud": []string{clientID, "api"}, "azp": clientID}, false},
		"for an audience of bearer":      {"at+jwt", map[string]any{"aud": "api"}, false},
		"of Keycloak for such an API":    {"JWT", map[string]any{"aud": "api", "typ": "Bearer"}, false},
		"for an audience that is no API": {"at+jwt", map[string]any{"aud": "account"}, true},
		"an ID token":                    {"JWT", nil, false},
	} {
		_, err := b.Verify(t.Context(), typed(row.typ, row.more))
		if row.refused {
			wantRefused(t, err, "it is an access token for the audience")
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATokenHasOneDigestHoweverItsSignatureIsSpelled(t *testing.T) {
	t.Parallel()
	i := serve(t)
	raw := i.jwt(tokenClaims(nil)...)
	end := strings.LastIndexByte(raw, '.') + 1
	signature := must(base64.RawURLEncoding.DecodeString(raw[end:]))
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", raw[len(raw)-1])
	again := raw[:len(raw)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1])
	if got := must(base64.RawURLEncoding.DecodeString(again[end:])); string(got) != string(signature) {
		t.Fatal("this is another signature")
	}
	b := running(t, identity.NewBearers(party(t, config(i.url)), nil, discard))
	one, err := b.Verify(t.Context(), raw)
	two, err2 := b.Verify(t.Context(), again)
	if err != nil || err2 != nil || one.Digest != two.Digest || one.Digest != identity.TokenDigest(raw) {
		t.Errorf("%v, %v, %x, %x", err, err2, one.Digest, two.Digest)
	}
	if other, err := b.Verify(t.Context(), i.jwt(tokenClaims(map[string]any{"sub": "bob"})...)); err != nil || other.Digest == one.Digest {
		t.Errorf("%v: two tokens have one digest", err)
	}
}

// Issuers may drop the nonce at a refresh (OpenID Connect Core 1.0, 12.2), and may
// sign access tokens that look like ID tokens.
func TestAGrantSaysWhichOfItsTokensDoNotTellThemselves(t *testing.T) {
	t.Parallel()
	i := serve(t)
	cfg := config(i.url)
	cfg.AccessAudiences = []string{"shown-api"}
	rp := party(t, cfg)
	g := granted(t, i, rp)
	unmarked := i.jwt(tokenClaims(nil)...)
	i.bend(func(i *issuer) {
		i.claims = func(c map[string]any) { delete(c, "nonce") }
		i.tokens = func(m map[string]any) { m["access_token"] = unmarked }
	})
	next, err := rp.Refresh(t.Context(), g)
	if err != nil || next.IDTokenMarked || next.AccessTokenMarked {
		t.Errorf("%v: ID token %v, access token %v", err, next.IDTokenMarked, next.AccessTokenMarked)
	}
	for name, more := range map[string]map[string]any{
		"for another audience": {"aud": "api"}, "that says what it is": {"typ": "Bearer"}, "that says its scope": {"scope": "openid"}, "with the mark": {"nonce": g.Original.Nonce},
	} {
		raw := i.jwt(tokenClaims(more)...)
		i.bend(func(i *issuer) { i.tokens = func(m map[string]any) { m["access_token"] = raw } })
		if next, err = rp.Refresh(t.Context(), next); err != nil || !next.AccessTokenMarked {
			t.Errorf("%s: %v, %v", name, err, next.AccessTokenMarked)
		}
	}
	for name, more := range map[string]map[string]any{
		"for an audience of bearer":      {"aud": "shown-api"},
		"that says what it is, for such": {"aud": []string{clientID, "shown-api"}, "typ": "Bearer"},
	} {
		raw := i.jwt(tokenClaims(more)...)
		i.bend(func(i *issuer) { i.tokens = func(m map[string]any) { m["access_token"] = raw } })
		if next, err = rp.Refresh(t.Context(), next); err != nil || next.AccessTokenMarked {
			t.Errorf("%s: %v, %v", name, err, next.AccessTokenMarked)
		}
	}
}

// Callers that pass tokens of other issuers on check KnownIssuer first.
func TestEveryRefusalOfATokenOfAnIssuerHereSaysThatItIsKnown(t *testing.T) {
	t.Parallel()
	dex, stranger := serve(t), serve(t)
	rp := party(t, config(dex.url))
	b := running(t, identity.NewBearers(rp, nil, discard))
	login := granted(t, dex, rp).IDToken
	head, rest, _ := strings.Cut(login, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	many := make([]string, 800)
	for i := range many {
		many[i] = "example-org:some-team"
	}
	for name, raw := range map[string]string{
		"of a login":             login,
		"that has expired":       dex.jwt(tokenClaims(map[string]any{"exp": 1})...),
		"of another audience":    dex.jwt(tokenClaims(map[string]any{"aud": "x"})...),
		"larger than is read":    dex.jwt(tokenClaims(map[string]any{"groups": many, "nonce": "authgate-login.x"})...),
		"with another signature": head + "." + payload + ".AAAA",
		"without a signature":    head + "." + payload + ".",
		"padded":                 head + "." + payload + "==." + signature,
		"with a blank in it":     head + "." + payload[:9] + " " + payload[9:] + "." + signature,
		"an event":               dex.jwt(tokenClaims(map[string]any{"events": map[string]any{}})...),
	} {
		_, err := b.Verify(t.Context(), raw)
		var refused *identity.TokenRefusedError
		if !errors.As(err, &refused) || !refused.KnownIssuer {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, raw := range map[string]string{
		"of a stranger":             stranger.jwt(tokenClaims(nil)...),
		"a large one of a stranger": stranger.jwt(tokenClaims(map[string]any{"groups": many})...),
		"no JWT":                    "glsa_xyz",
		"no JWT, and long":          strings.Repeat("glsa", 4096),
	} {
		_, err := b.Verify(t.Context(), raw)
		var refused *identity.TokenRefusedError
		if !errors.As(err, &refused) || refused.KnownIssuer {
			t.Errorf("%s: %v", name, err)
		}
	}
}
