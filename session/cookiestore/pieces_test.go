package cookiestore_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/session/sessiontest"
)

// incompressible is alice with an access token of so many random bytes.
func incompressible(n int) identity.TokenSet {
	g := alice(1)
	random, raw := rand.New(rand.NewPCG(1, 2)), make([]byte, n) //nolint:gosec // a test that repeats
	for i := range raw {
		raw[i] = byte(random.Uint32())
	}
	g.AccessToken = base64.StdEncoding.EncodeToString(raw)
	return g
}

// sizes are access tokens with which a session takes one, two and three pieces.
var sizes = [...]int{0, 4000, 5700}

// ofPieces gives a browser whose session takes so many pieces.
func ofPieces(t testing.TB, c *cookiestore.Store, who string, n int) sessiontest.Browser {
	t.Helper()
	b := sessiontest.Browser{}
	w := httptest.NewRecorder()
	g := called(who, incompressible(sizes[n-1]))
	if _, err := c.Create(t.Context(), w, nil, session.New(g, sessiontest.Noon, time.Hour), true); err != nil {
		t.Fatal(err)
	}
	b.Take(w)
	if len(b) != n {
		t.Fatalf("%d pieces, want %d", len(b), n)
	}
	return b
}

const (
	first  = "__Host-authgate"
	second = first + "-1"
	third  = first + "-2"
)

func TestChunksThatAreTamperedWithAreRefused(t *testing.T) {
	t.Parallel()
	ring := seal.NewKeyring(sessiontest.Keys(t, seal.NewKey()))
	c := cookies(t, under(ring))
	mine, other, two := ofPieces(t, c, "alice", 3), ofPieces(t, c, "bob", 3), ofPieces(t, c, "carol", 2)
	login, err := ring.SecureCodec("login").Encode(first, "x")
	if err != nil {
		t.Fatal(err)
	}
	boxed := base64.RawURLEncoding.EncodeToString(ring.AEAD("redis session").Seal([]byte("x"), first))
	flip := func(s string, at int) string {
		b := []byte(s)
		b[at] = "AB"[btoi(b[at] == 'A')]
		return string(b)
	}
	for name, change := range map[string]func(b sessiontest.Browser){
		"first of another":         func(b sessiontest.Browser) { b[first] = other[first] },
		"second of another":        func(b sessiontest.Browser) { b[second] = other[second] },
		"third of another":         func(b sessiontest.Browser) { b[third] = other[third] },
		"second of a shorter":      func(b sessiontest.Browser) { b[second] = two[second] },
		"second and third swapped": func(b sessiontest.Browser) { b[second], b[third] = b[third], b[second] },
		"first and second swapped": func(b sessiontest.Browser) { b[first], b[second] = b[second], b[first] },
		"second missing":           func(b sessiontest.Browser) { delete(b, second) },
		"third missing":            func(b sessiontest.Browser) { delete(b, third) },
		"third not counted":        func(b sessiontest.Browser) { b[first] = "2" + b[first][1:] },
		"one alone counted":        func(b sessiontest.Browser) { b[first] = "1" + b[first][1:] },
		"third empty":              func(b sessiontest.Browser) { b[third] = "" },
		"third doubled":            func(b sessiontest.Browser) { b[third] += b[third] },
		"first cut":                func(b sessiontest.Browser) { b[first] = b[first][:len(b[first])-1] },
		"third cut":                func(b sessiontest.Browser) { b[third] = b[third][:len(b[third])-1] },
		"third longer":             func(b sessiontest.Browser) { b[third] += "A" },
		"key's name flipped":       func(b sessiontest.Browser) { b[first] = flip(b[first], 2) },
		"nonce flipped":            func(b sessiontest.Browser) { b[first] = flip(b[first], 10) },
		"first flipped":            func(b sessiontest.Browser) { b[first] = flip(b[first], 1000) },
		"second flipped":           func(b sessiontest.Browser) { b[second] = flip(b[second], 100) },
		"third flipped":            func(b sessiontest.Browser) { b[third] = flip(b[third], len(b[third])-2) },
		"sealed for a login":       func(b sessiontest.Browser) { clear(b); b[first] = "1" + login },
		"sealed for redis":         func(b sessiontest.Browser) { clear(b); b[first] = "1" + boxed },
		"no base64":                func(b sessiontest.Browser) { clear(b); b[first] = "1+/=~" },
		"a second part in between": func(b sessiontest.Browser) { b[second] = b[second][:10] + "\n" + b[second][10:] },
	} {
		b := sessiontest.Browser{}
		for k, v := range mine {
			b[k] = v
		}
		change(b)
		h := http.Header{"Cookie": {first + "=" + b[first] + "; " + second + "=" + b[second] + "; " + third + "=" + b[third]}}
		if _, there := b[second]; !there {
			h = b.Headers()
		}
		for range 2 {
			if s, err := c.Open(t.Context(), h, true); !errors.Is(err, session.ErrInvalid) {
				t.Errorf("%s: %+v, %v", name, s.Principal, err)
			} else if strings.Contains(err.Error(), mine[first][:20]) {
				t.Errorf("%s: the error shows the cookie: %v", name, err)
			}
		}
	}
	under := http.Header{"Cookie": {"authgate=" + mine[first] + "; authgate-1=" + mine[second] + "; authgate-2=" + mine[third]}}
	if _, err := c.Open(t.Context(), under, false); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("under the names of plain http: %v", err)
	}
	for _, b := range []sessiontest.Browser{mine, other, two} {
		if _, err := c.Open(t.Context(), b.Headers(), true); err != nil {
			t.Errorf("as it was given: %v", err)
		}
	}
	two[third] = other[third]
	if s, err := c.Open(t.Context(), two.Headers(), true); err != nil || s.Principal.Subject != "carol" {
		t.Errorf("with a piece left over: %v, %v", s.Principal.Subject, err)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestCookieTellsNothing(t *testing.T) {
	t.Parallel()
	g := alice(3)
	g.IDToken = "eyJhIjoxfQ.eyJiIjoyfQ.AAEC"
	cookie := save(t, cookies(t), session.New(g, sessiontest.Noon, time.Hour), true).Get("Cookie")
	plain, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(cookie, first+"=1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"alice", "platform", "refresh", "eyJ", "AAEC"} {
		if strings.Contains(string(plain), secret) || strings.Contains(cookie, secret) {
			t.Errorf("the cookie shows %q", secret)
		}
	}
}

// jwt is an ID token as Dex makes them, with a signature that does not compress.
func jwt(groups []string) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	signature := make([]byte, 256)
	for i := range signature {
		signature[i] = byte(i * i * 167 >> 3)
	}
	return part(`{"alg":"RS256","kid":"1"}`) + "." + part(fmt.Sprintf(`{"iss":"https://dex.example.com","groups":["%s"]}`, strings.Join(groups, `","`))) +
		"." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestPersonWithHundredsOfTeamsFitsWithTheirTokens(t *testing.T) {
	t.Parallel()
	c := cookies(t)
	g := alice(500)
	g.IDToken, g.AccessToken = jwt(g.Principal.Groups), jwt(g.Principal.Groups[:490])
	h := save(t, c, session.New(g, sessiontest.Noon, time.Hour), true)
	t.Logf("500 teams, ID token of %d bytes: cookies of %d bytes", len(g.IDToken), len(h.Get("Cookie")))
	got, err := c.Open(t.Context(), h, true)
	if err != nil || got.IDToken != g.IDToken || got.AccessToken != g.AccessToken || !slices.Equal(got.Principal.Groups, g.Principal.Groups) || got.DroppedGroups != 0 {
		t.Errorf("it came back otherwise: %v", err)
	}
}

func TestTokensComeBackByteForByteWhateverTheyAre(t *testing.T) {
	t.Parallel()
	c := cookies(t)
	for _, token := range []string{
		"", ".", "..", "...", "a", "a.b.c", "YQ.YQ.YQ", "YQ.YQ", "YQ==.YQ.YQ", "YR.YQ.YQ", "Y\nQ.YQ.YQ", "YQ..YQ", "\x00.\xff", strings.Repeat("YQ.", 5),
	} {
		g := alice(1)
		g.IDToken, g.AccessToken = token, token+"x"
		got, err := c.Open(t.Context(), save(t, c, session.New(g, sessiontest.Noon, time.Hour), true), true)
		if err != nil || got.IDToken != token || got.AccessToken != token+"x" {
			t.Errorf("%q came back as %q and %q, %v", token, got.IDToken, got.AccessToken, err)
		}
	}
}

func TestGroupsThatThePolicyDoesNotNameAreLeftOutOfASessionThatDoesNotFit(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test that repeats
	crowd := alice(3)
	for range 600 {
		crowd.Principal.Groups = append(crowd.Principal.Groups, fmt.Sprintf("example-org:%016x", random.Uint64()))
	}
	heavy := crowd
	heavy.AccessToken = incompressible(8000).AccessToken
	named := func(g string) bool { return strings.HasPrefix(g, "example-org:platform") }
	for name, test := range map[string]struct {
		grant identity.TokenSet
		named func(string) bool
		left  int
		err   error
	}{
		"it fits":                {alice(3), named, 0, nil},
		"too many groups":        {crowd, named, 600, nil},
		"all are named":          {crowd, func(string) bool { return true }, 0, session.ErrTooLarge},
		"no policy names groups": {crowd, nil, 0, session.ErrTooLarge},
		"too large a token":      {heavy, named, 0, session.ErrTooLarge},
	} {
		c := cookies(t, func(o *cookiestore.Options) { o.PolicyNames = test.named })
		w := httptest.NewRecorder()
		_, err := c.Create(t.Context(), w, nil, session.New(test.grant, sessiontest.Noon, time.Hour), true)
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			if len(w.Result().Cookies()) > 0 {
				t.Errorf("%s: and yet there are cookies", name)
			}
			continue
		}
		b := sessiontest.Browser{}
		b.Take(w)
		got, err := c.Open(t.Context(), b.Headers(), true)
		if err != nil || got.DroppedGroups != test.left || len(got.Principal.Groups) != 3 {
			t.Errorf("%s: %d left out, %d kept, %v", name, got.DroppedGroups, len(got.Principal.Groups), err)
		}
	}
	if len(crowd.Principal.Groups) != 603 {
		t.Error("the grant was written to")
	}
}

func FuzzOpen(f *testing.F) {
	c := cookies(f)
	b := ofPieces(f, c, "alice", 2)
	f.Add("__Host-authgate=x; a=1")
	f.Add("__Host-authgate=1AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("__Host-authgate=3a; __Host-authgate-1=b; __Host-authgate-2=c")
	f.Add(";;=;authgate")
	f.Add(b[first][:100])
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 8192 {
			return
		}
		h := http.Header{"Cookie": {line}}
		if s, err := c.Open(t.Context(), h, true); err == nil {
			t.Errorf("%q opened as %+v", line, s.Principal)
		}
		if value, err := c.Read(h, false); err == nil && value == "" {
			t.Errorf("%q is an empty value", line)
		}
		c.Strip(h)
		for _, left := range h["Cookie"] {
			for part := range strings.SplitSeq(left, ";") {
				if c.Owns(part) {
					t.Errorf("%q left %q behind", line, part)
				}
			}
		}
	})
}
