package identity_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity"
)

// TestOpenIDConformance has a row for each module of the OpenID Foundation's plans
// oidcc-client-basic-certification-test-plan and
// oidcc-client-config-certification-test-plan, by its name there; some take several.
func TestOpenIDConformance(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(*issuer) {
		return func(i *issuer) { i.claims = func(c map[string]any) { c[name] = value } }
	}
	without := func(name string) func(*issuer) {
		return func(i *issuer) { i.claims = func(c map[string]any) { delete(c, name) } }
	}
	announce := func(name string, value any) func(*issuer) {
		return func(i *issuer) { i.document = func(d map[string]any) { d[name] = value } }
	}
	signedBy := func(kid string, alg jose.SignatureAlgorithm, key any) func(*issuer) {
		return func(i *issuer) { i.sign = signer(kid, alg, key) }
	}
	rotate := func(i *issuer) { i.signWith("two", jose.RS256, rsaKeys[1]()) }
	public := must(x509.MarshalPKIXPublicKey(rsaKeys[0]().Public()))
	all := func(bends ...func(*issuer)) func(*issuer) {
		return func(i *issuer) {
			for _, bend := range bends {
				bend(i)
			}
		}
	}

	for _, row := range []struct {
		module  string
		bend    func(*issuer) // before discovery
		later   func(*issuer) // after a first good login, before a second
		refused string        // in the TokenRefusedError; empty: the login is good
		broken  string        // in what Ready says
		check   func(*testing.T, *issuer, identity.Principal)
	}{
		// Basic RP
		{module: "oidcc-client-test"},
		{module: "oidcc-client-test-client-secret-basic", check: authenticatedBy("client_secret_basic")},
		{
			module: "oidcc-client-test-client-secret-basic (both are offered)",
			bend:   announce("token_endpoint_auth_methods_supported", []string{"client_secret_post", "client_secret_basic"}),
			check:  authenticatedBy("client_secret_basic"),
		},
		{
			module: "oidcc-client-test-client-secret-basic (only post is offered)",
			bend:   announce("token_endpoint_auth_methods_supported", []string{"client_secret_post"}),
			check:  authenticatedBy("client_secret_post"),
		},
		{module: "oidcc-client-test-invalid-iss", bend: set("iss", "https://other.example.com"), refused: `it is of the issuer "https://other.example.com", the configuration says http://127.0.0.1:`},
		{module: "oidcc-client-test-invalid-iss (missing)", bend: without("iss"), refused: `it is of the issuer ""`},
		{module: "oidcc-client-test-missing-sub", bend: without("sub"), refused: "no sub"},
		{module: "oidcc-client-test-missing-sub (empty)", bend: set("sub", ""), refused: "no sub"},
		{module: "oidcc-client-test-invalid-aud", bend: set("aud", "argo-cd"), refused: `it is for the client "argo-cd", the configuration says "authgate"`},
		{module: "oidcc-client-test-invalid-aud (missing)", bend: without("aud"), refused: `it is for the client ""`},
		{module: "oidcc-client-test-missing-iat", bend: without("iat"), refused: "no iat"},
		{module: "oidcc-client-test-kid-absent-single-jwks", bend: signedBy("", jose.RS256, rsaKeys[0]())},
		{
			module: "oidcc-client-test-kid-absent-multiple-jwks", // the plan takes a yes and a no
			bend: func(i *issuer) {
				i.published = append([]jose.JSONWebKey{{KeyID: "two", Algorithm: "RS256", Use: "sig", Key: rsaKeys[1]().Public()}}, i.published...)
				i.sign = signer("", jose.RS256, rsaKeys[0]())
			},
		},
		{module: "oidcc-client-test-idtoken-sig-none", bend: unsigned, refused: `it is signed with "none"; the issuer announces, and authgate accepts, RS256`},
		{
			module:  "oidcc-client-test-idtoken-sig-none (announced)",
			bend:    all(unsigned, announce("id_token_signing_alg_values_supported", []string{"RS256", "none"})),
			refused: `it is signed with "none"`,
		},
		{module: "oidcc-client-test-idtoken-sig-rs256"},
		{
			module: "oidcc-client-test-idtoken-sig-rs256 (ES256 in its place)",
			bend: all(
				func(i *issuer) { i.signWith("ec", jose.ES256, ecKey()) },
				announce("id_token_signing_alg_values_supported", []string{"ES256"}),
			),
		},
		{
			module:  "oidcc-client-test-idtoken-sig-rs256 (PS256, not announced)",
			bend:    signedBy("one", jose.PS256, rsaKeys[0]()),
			refused: `it is signed with "PS256"`,
		},
		{module: "oidcc-client-test-invalid-sig-rs256", bend: signedBy("one", jose.RS256, rsaKeys[1]()), refused: "its signature is of none of the keys"},
		{
			module: "oidcc-client-test-invalid-sig-rs256 (claims changed)",
			bend: func(i *issuer) {
				sign := i.sign
				i.sign = func(claims []byte) string {
					parts := strings.Split(sign(claims), ".")
					parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claims), "alice", "carol", 1)))
					return strings.Join(parts, ".")
				}
			},
			refused: "its signature is of none of the keys",
		},
		{module: "oidcc-client-test-invalid-sig-hs256 (public key, DER)", bend: signedBy("one", jose.HS256, public), refused: `it is signed with "HS256"`},
		{
			module:  "oidcc-client-test-invalid-sig-hs256 (public key, PEM)",
			bend:    signedBy("one", jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
			refused: `it is signed with "HS256"`,
		},
		{
			module:  "oidcc-client-test-invalid-sig-hs256 (client secret, announced)",
			bend:    all(signedBy("", jose.HS256, []byte(clientSecret+strings.Repeat("\x00", 32))), announce("id_token_signing_alg_values_supported", []string{"HS256", "RS256"})),
			refused: `it is signed with "HS256"`,
		},
		{module: "oidcc-client-test-nonce-invalid", bend: set("nonce", "another"), refused: "its nonce is not the one of this login"},
		{module: "oidcc-client-test-nonce-invalid (missing)", bend: without("nonce"), refused: "its nonce is not the one of this login"},
		// That userinfo is never asked is checked for every row.
		{module: "oidcc-client-test-userinfo-invalid-sub"},
		{module: "oidcc-client-test-userinfo-bearer-header"},
		{module: "oidcc-client-test-userinfo-bearer-body"},
		{module: "oidcc-client-test-scope-userinfo-claims", check: func(t *testing.T, _ *issuer, p identity.Principal) {
			if p.Email != "alice@example.com" || !p.EmailVerified || p.Name != "Alice" || p.Username != "alice" {
				t.Errorf("claims of the scopes profile and email: %+v", p)
			}
		}},

		// Config RP
		{module: "oidcc-client-test-discovery-openid-config", check: func(t *testing.T, i *issuer, _ identity.Principal) {
			if i.wasAsked("/.well-known/openid-configuration") == 0 || i.wasAsked("/token") != 1 {
				t.Error("the endpoints do not come from the discovery document")
			}
		}},
		{
			module: "oidcc-client-test-discovery-openid-config (no algorithm that proves anything)",
			bend:   announce("id_token_signing_alg_values_supported", []string{"HS256", "none"}),
			broken: "it signs ID tokens with HS256, none only",
		},
		{module: "oidcc-client-test-discovery-jwks-uri-keys", check: func(t *testing.T, i *issuer, _ identity.Principal) {
			if i.wasAsked("/keys") != 1 {
				t.Error("the keys do not come from jwks_uri")
			}
		}},
		{module: "oidcc-client-test-discovery-issuer-mismatch", bend: announce("issuer", "https://other.example.com"), broken: "the issuer calls itself https://other.example.com, the configuration says http://127.0.0.1:"},
		{module: "oidcc-client-test-signing-key-rotation", later: rotate},
		{module: "oidcc-client-test-signing-key-rotation-just-before-signing", later: func(i *issuer) {
			i.onToken = func() { rotate(i) }
		}},
	} {
		t.Run(row.module, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			if row.bend != nil {
				i.bend(row.bend)
			}
			rp := identity.New(config(i.url), discard)
			rp.Look(t.Context())
			if row.broken != "" {
				err := rp.Ready()
				if !errors.Is(err, identity.ErrNotReady) || !strings.Contains(err.Error(), row.broken) {
					t.Errorf("Ready: %v\nwant: ... %s ...", err, row.broken)
				}
				return
			}
			p, err := i.login(t, rp)
			if row.later != nil {
				if err != nil {
					t.Fatal("first login:", err)
				}
				i.bend(row.later)
				p, err = i.login(t, rp)
			}
			if n := i.wasAsked("/userinfo"); n != 0 {
				t.Errorf("userinfo was asked %d times", n)
			}
			if row.refused != "" {
				refusal, ok := errors.AsType[*identity.TokenRefusedError](err)
				if !ok || !strings.Contains(refusal.Reason, row.refused) {
					t.Fatalf("principal %v, error: %v\nwant: ... %s ...", p, err, row.refused)
				}
				if p.Subject != "" {
					t.Errorf("a refused login names %v", p)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Subject != "CgVhbGljZQ" || p.Issuer != i.url {
				t.Errorf("principal: %+v", p)
			}
			if row.check != nil {
				row.check(t, i, p)
			}
		})
	}
}

func authenticatedBy(method string) func(*testing.T, *issuer, identity.Principal) {
	return func(t *testing.T, i *issuer, _ identity.Principal) {
		if i.authBy != method {
			t.Errorf("the client authenticated by %s, want %s", i.authBy, method)
		}
	}
}

func unsigned(i *issuer) {
	i.sign = func(claims []byte) string {
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(claims) + "."
	}
}
