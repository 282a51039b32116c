package identity_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity"
)

// members gives a key as the members of its JSON, bent.
func members(key jose.JSONWebKey, bend func(map[string]any)) string {
	m := map[string]any{}
	if err := json.Unmarshal(must(key.MarshalJSON()), &m); err != nil {
		panic(err)
	}
	if bend != nil {
		bend(m)
	}
	return string(must(json.Marshal(m)))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// unusable are keys that some issuers publish next to a good one, and under which
// reason each is counted.
func unusable() map[string]struct{ key, reason string } {
	ec := jose.JSONWebKey{KeyID: "bad", Key: ecKey().Public()}
	rsaKey := jose.JSONWebKey{KeyID: "bad", Key: rsaKeys[1]().Public()}
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	set := func(member string, value any) func(map[string]any) {
		return func(m map[string]any) { m[member] = value }
	}
	return map[string]struct{ key, reason string }{
		"EC with three-byte coordinates": {members(ec, func(m map[string]any) { m["x"], m["y"] = b64([]byte{1, 2, 3}), b64([]byte{4, 5, 6}) }), "malformed"},
		"EC not on its curve":            {members(ec, set("y", b64(bytes.Repeat([]byte{7}, 32)))), "malformed"},
		"EC without a coordinate":        {members(ec, func(m map[string]any) { delete(m, "y") }), "malformed"},
		"EC on an unknown curve":         {members(ec, set("crv", "secp256k1")), "malformed"},
		"RSA without n":                  {members(rsaKey, func(m map[string]any) { delete(m, "n") }), "malformed"},
		"RSA with an empty n":            {members(rsaKey, set("n", "")), "weak"},
		"RSA with n that is no base64":   {members(rsaKey, set("n", "%%%")), "malformed"},
		"RSA of eight bits":              {members(rsaKey, set("n", b64([]byte{251}))), "weak"},
		"RSA of 1024 bits":               {members(jose.JSONWebKey{KeyID: "bad", Key: small.Public()}, nil), "weak"},
		"RSA with the exponent 1":        {members(rsaKey, set("e", "AQ")), "malformed"},
		"RSA with a large exponent":      {members(rsaKey, set("e", b64(new(big.Int).Lsh(big.NewInt(1), 200).Bytes()))), ""},
		"an unknown kind":                {`{"kty":"XYZ","kid":"bad"}`, "malformed"},
		"no kind":                        {`{"kid":"bad"}`, "malformed"},
		"a kind that is no string":       {`{"kty":5,"kid":"bad"}`, "malformed"},
		"an unknown algorithm":           {members(rsaKey, set("alg", "RS1")), "alg"},
		"an algorithm for encryption":    {members(rsaKey, set("alg", "RSA-OAEP")), "alg"},
		"none":                           {members(rsaKey, set("alg", "none")), "alg"},
		"for encryption":                 {members(rsaKey, set("use", "enc")), "use"},
		"for signing alone":              {members(rsaKey, set("key_ops", []string{"sign"})), "use"},
		"symmetric":                      {`{"kty":"oct","kid":"bad","k":"` + b64([]byte(clientSecret)) + `"}`, "symmetric"},
		"private":                        {members(jose.JSONWebKey{KeyID: "bad", Key: rsaKeys[1]()}, nil), "private"},
		"null":                           {`null`, "malformed"},
		"a number":                       {`5`, "malformed"},
		"a string":                       {`"` + strings.Repeat("x", 10000) + `"`, "malformed"},
		"a list":                         {`[{"kty":"RSA"}]`, "malformed"},
		"a certificate that is none":     {members(rsaKey, set("x5c", []string{"AAAA"})), "malformed"},
	}
}

func TestOneKeyThatCannotBeUsedMakesTheOthersNoWorse(t *testing.T) {
	t.Parallel()
	for name, row := range unusable() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			good := members(i.published[0], nil)
			i.instead["/keys"] = func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"keys":[` + row.key + `,` + good + `]}`))
			}
			var log locked
			var counted sync.Map
			cfg := config(i.url)
			cfg.KeySkipped = func(reason string) { counted.Store(reason, true) }
			rp := identity.New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
			rp.Look(t.Context())
			for range 2 {
				if _, err := i.login(t, rp); err != nil {
					t.Errorf("a login: %v", err)
				}
			}
			b := identity.NewBearers(rp, nil, discard)
			b.Fetch(t.Context())
			person := map[string]any{"sub": "alice", "aud": clientID, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
			if _, err := b.Verify(t.Context(), i.jwt(person)); err != nil {
				t.Errorf("a bearer token: %v", err)
			}
			if _, ok := counted.Load(row.reason); !ok && row.reason != "" {
				t.Errorf("it is not counted as %s", row.reason)
			}
			warned := 1
			if row.reason == "use" || row.reason == "" {
				warned = 0
			}
			if n := strings.Count(log.String(), "unusable keys"); row.reason != "" && (n > 0) != (warned > 0) || strings.Count(log.String(), "level=WARN") > 1 {
				t.Errorf("it is logged %d times:\n%s", n, log.String())
			}
			if strings.Contains(log.String(), b64([]byte(clientSecret))) {
				t.Error("a key is in the log")
			}
		})
	}
}

// A symmetric key never verifies, whatever a token says of itself.
func TestNothingVerifiesByASharedSecret(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte("s"), 32)
	i := serve(t)
	i.sign = signer("bad", jose.HS256, secret)
	i.document = func(d map[string]any) { d["id_token_signing_alg_values_supported"] = []string{"HS256", "RS256"} }
	i.instead["/keys"] = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"oct","kid":"bad","k":%q,"alg":"HS256","use":"sig"}]}`, b64(secret))
	}
	_, err := i.login(t, party(t, config(i.url)))
	wantRefused(t, err, `it is signed with "HS256"`)
}

func TestKeysOfOneNameAreAllTried(t *testing.T) {
	t.Parallel()
	i := serve(t)
	other := jose.JSONWebKey{KeyID: "one", Algorithm: "RS256", Use: "sig", Key: rsaKeys[1]().Public()}
	i.published = append([]jose.JSONWebKey{other}, i.published...)
	if _, err := i.login(t, party(t, config(i.url))); err != nil {
		t.Error(err)
	}
}

func TestATokenOfAKeyThatIsSkippedSaysSo(t *testing.T) {
	t.Parallel()
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	i := serve(t)
	i.signWith("weak", jose.RS256, small)
	_, err := i.login(t, party(t, config(i.url)))
	wantRefused(t, err, `the key "weak" cannot be used: it is an RSA key of 1024 bits`)
}

func TestALoginDoesNotWaitForAKeyThatTheIssuerHasJustBegunToUse(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	for n := range 3 {
		i.bend(func(i *issuer) { i.signWith(fmt.Sprint("key ", n), jose.RS256, rsaKeys[n%2]()) })
		if _, err := i.login(t, rp); err != nil {
			t.Error(err)
		}
	}
}

// Any client can send a logout token: a failure also counts as an attempt.
func TestLogoutTokensFetchNoKeysInAStorm(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		keys http.HandlerFunc
		bent map[string]any
	}{
		"while the keys cannot be fetched": {failing, nil},
		"of keys that are not published":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }, nil},
	} {
		i := serve(t)
		i.instead["/keys"] = row.keys
		rp := party(t, config(i.url))
		raw := i.jwt(map[string]any{"aud": clientID, "sub": "alice"}, maps.Clone(row.bent))
		var posts sync.WaitGroup
		for range 200 {
			posts.Go(func() { _, _ = rp.ReadLogout(t.Context(), raw) })
		}
		posts.Wait()
		if n := i.wasAsked("/keys"); n != 1 {
			t.Errorf("%s: keys were fetched %d times", name, n)
		}
	}
}
