package identity_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity"
)

// wantRefused checks the class of a refusal and a part of its words.
func wantRefused(t *testing.T, err error, words string) {
	t.Helper()
	refusal, ok := errors.AsType[*identity.TokenRefusedError](err)
	if !ok || !strings.Contains(refusal.Reason, words) {
		t.Errorf("got:  %v\nwant: ID token refused: ... %s ...", err, words)
	}
}

func TestClocksMayDifferByClockSkewAndNoMore(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	type m = map[string]any

	for name, row := range map[string]struct {
		claims  m
		skew    time.Duration
		refused string
	}{
		"fresh":                                {m{}, 30 * time.Second, ""},
		"expired within the skew":              {m{"exp": at(-29 * time.Second)}, 30 * time.Second, ""},
		"expired by exactly the skew":          {m{"exp": at(-30 * time.Second)}, 30 * time.Second, "the ID token expired at 2026-03-01T11:59:30Z, this machine's clock says 2026-03-01T12:00:00Z (clockSkew 30s): do the clocks differ?"},
		"expires now, no skew":                 {m{"exp": at(0)}, 0, "expired at 2026-03-01T12:00:00Z"},
		"expires in a second, no skew":         {m{"exp": at(time.Second)}, 0, ""},
		"never expires":                        {m{"exp": nil}, time.Hour, "no exp"},
		"exp is a string":                      {m{"exp": "1772366400"}, time.Hour, "its claim exp is not a time"},
		"exp is in seconds with a fraction":    {m{"exp": float64(at(0)) + 0.5}, 30 * time.Second, ""},
		"exp is before 1970":                   {m{"exp": -1}, time.Hour, "its claim exp is not a time"},
		"exp is in microseconds":               {m{"exp": at(0) * 1_000_000}, time.Hour, "its claim exp is not a time"},
		"issued ahead within the skew":         {m{"iat": at(30 * time.Second)}, 30 * time.Second, ""},
		"issued ahead of the skew":             {m{"iat": at(31 * time.Second)}, 30 * time.Second, "the ID token was issued at 2026-03-01T12:00:31Z, which is in the future: this machine's clock says 2026-03-01T12:00:00Z (clockSkew 30s)"},
		"issued long ago":                      {m{"iat": at(-9999 * time.Hour)}, 30 * time.Second, ""},
		"valid from within the skew":           {m{"nbf": at(30 * time.Second)}, 30 * time.Second, ""},
		"valid from ahead of the skew":         {m{"nbf": at(31 * time.Second)}, 30 * time.Second, "the ID token is not valid before 2026-03-01T12:00:31Z, this machine's clock says"},
		"valid from within the skew that is 0": {m{"nbf": at(time.Second)}, 0, "is not valid before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			i.claims = func(c map[string]any) {
				c["iat"], c["exp"] = at(-time.Minute), at(time.Hour)
				maps.Copy(c, row.claims)
				maps.DeleteFunc(c, func(_ string, value any) bool { return value == nil })
			}
			cfg := config(i.url)
			cfg.ClockSkew = row.skew
			cfg.Now = func() time.Time { return now }
			p, err := i.login(t, party(t, cfg))
			if row.refused != "" {
				wantRefused(t, err, row.refused)
			} else if err != nil {
				t.Error(err)
			} else if p.Expiry.IsZero() {
				t.Error("the principal has no expiry")
			}
		})
	}
}

func TestTokenIsForThisClientAlone(t *testing.T) {
	t.Parallel()
	hash := sha256.Sum256([]byte(accessToken))
	ours := base64.RawURLEncoding.EncodeToString(hash[:16])
	type m = map[string]any

	for name, row := range map[string]struct {
		claims  m
		refused string
	}{
		"one audience in a list":                  {m{"aud": []string{"authgate"}}, ""},
		"cross-client token that we asked for":    {m{"aud": []string{"argo-cd", "authgate"}, "azp": "authgate"}, ""},
		"several audiences, azp missing":          {m{"aud": []string{"argo-cd", "authgate"}}, "no azp"},
		"several audiences, another asked":        {m{"aud": []string{"argo-cd", "authgate"}, "azp": "argo-cd"}, `by the client "argo-cd" (azp), the configuration says "authgate"`},
		"one audience, another asked":             {m{"azp": "argo-cd"}, `by the client "argo-cd" (azp)`},
		"we asked, but it is for another":         {m{"aud": []string{"argo-cd"}, "azp": "authgate"}, `for the client "argo-cd"`},
		"audience that only begins like ours":     {m{"aud": "authgate-dev"}, `for the client "authgate-dev"`},
		"audience is a number":                    {m{"aud": 5}, "not a signed JWT with claims of the types"},
		"audience name that would break a log":    {m{"aud": "a\nb\x1b[31m"}, `for the client "a\nb\x1b[31m"`},
		"at_hash of the access token":             {m{"at_hash": ours}, ""},
		"at_hash of another access token":         {m{"at_hash": "AAAA" + ours[4:]}, "its at_hash belongs to another access token"},
		"nonce under a name of another case":      {m{"nonce": nil, "Nonce": "x"}, "its nonce"},
		"issuer with a trailing slash":            {m{"iss": "https://x/"}, `it is of the issuer "https://x/"`},
		"sub of 255 characters":                   {m{"sub": strings.Repeat("a", 255)}, ""},
		"sub of 256 characters":                   {m{"sub": strings.Repeat("a", 256)}, "longer than 255"},
		"sub beyond ASCII":                        {m{"sub": "älice"}, "other than printable ASCII"},
		"sub with a line break":                   {m{"sub": "alice\nX-Admin: yes"}, "other than printable ASCII"},
		"sub is a number":                         {m{"sub": 5}, "not a signed JWT with claims of the types"},
		"sub is a null":                           {m{"sub": nil}, "no sub"},
		"claims come from elsewhere (aggregated)": {m{"_claim_names": m{"groups": "nowhere"}}, "not a signed JWT with claims of the types"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			i.claims = func(c map[string]any) {
				maps.Copy(c, row.claims)
			}
			_, err := i.login(t, party(t, config(i.url)))
			if row.refused != "" {
				wantRefused(t, err, row.refused)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatIsNoTokenIsRefusedWithoutBeingQuoted(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]any{
		"missing":             nil,
		"empty":               "",
		"a number":            42,
		"one word":            "SECRETWORD",
		"dots":                "..",
		"header is no JSON":   "SECRETWORD.e30.AAAA",
		"no signature":        "eyJhbGciOiJSUzI1NiJ9.e30",
		"payload is no JSON":  "eyJhbGciOiJSUzI1NiJ9.SECRETWORD.AAAA",
		"encrypted":           "eyJhbGciOiJSUzI1NiJ9.a.SECRETWORD.c.d",
		"JSON serialisation":  `{"payload":"SECRETWORD","signatures":[]}`,
		"alg is not a string": "eyJhbGciOjV9.e30.AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			i.tokens = func(m map[string]any) { m["id_token"] = token }
			_, err := i.login(t, party(t, config(i.url)))
			wantRefused(t, err, "")
			if err != nil && strings.Contains(err.Error(), "SECRETWORD") {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
}

func TestPayloadThatIsNoObjectIsRefused(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{`null`, `[]`, `"x"`, `5`, ``, `{`, `{}`} {
		i := serve(t)
		sign := i.sign
		i.sign = func([]byte) string { return sign([]byte(payload)) }
		_, err := i.login(t, party(t, config(i.url)))
		wantRefused(t, err, "")
	}
}

func TestWithdrawnKeyIsForgottenOnceTheNewOneWasSeen(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	old := i.sign
	for _, bend := range []func(*issuer){
		func(*issuer) {},
		func(i *issuer) { i.signWith("two", jose.RS256, rsaKeys[1]()) },
	} {
		i.bend(bend)
		if _, err := i.login(t, rp); err != nil {
			t.Fatal(err)
		}
	}
	i.bend(func(i *issuer) { i.sign = old })
	_, err := i.login(t, rp)
	wantRefused(t, err, "its signature is of none of the keys")
}

func TestKeysThatCannotBeHadAreSaidToBeSo(t *testing.T) {
	t.Parallel()
	const secret = "SECRETWORD"
	for name, row := range map[string]struct {
		keys        http.HandlerFunc
		unreachable string
		refused     string
	}{
		"server error": {keys: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "token="+secret, http.StatusServiceUnavailable)
		}, unreachable: "/dex/keys: it answered 503 Service Unavailable"},
		"redirect": {keys: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x?"+secret, http.StatusFound) }, unreachable: "it redirects to http://127.0.0.1:"},
		"hangs up": {keys: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unreachable: "it closed the connection without an answer"},
		"not JSON": {keys: func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("token=" + secret)) }, unreachable: "are not a JSON Web Key Set"},
		"endless": {keys: func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"keys":[` + strings.Repeat(" ", 2<<20) + `]}`))
		}, unreachable: "larger than 1 MiB"},
		"none": {keys: func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) }, refused: "its signature is of none of the keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			i.instead["/keys"] = row.keys
			_, err := i.login(t, party(t, config(i.url)))
			if row.refused != "" {
				wantRefused(t, err, row.refused)
			} else {
				wantUnreachable(t, err, row.unreachable)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error repeats the answer: %v", err)
			}
		})
	}
}

func wantUnreachable(t *testing.T, err error, words string) {
	t.Helper()
	unreachable, ok := errors.AsType[*identity.UnreachableError](err)
	if !ok || !strings.Contains(unreachable.Error(), words) {
		t.Errorf("got:  %v\nwant: no usable answer: ... %s ...", err, words)
	}
}

// Some issuers publish unsupported keys next to good ones.
func TestForeignKeysInTheSetAreSkipped(t *testing.T) {
	t.Parallel()
	i := serve(t)
	good := must(i.published[0].MarshalJSON())
	i.instead["/keys"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"keys":[{"kty":"OKP","crv":"Ed448","x":"AA","kid":"one"},{"kty":"oct","k":"AAAA","kid":"one"},` + string(good) + `]}`))
	}
	if _, err := i.login(t, party(t, config(i.url))); err != nil {
		t.Error(err)
	}
}
