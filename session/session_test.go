package session_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func keys(t *testing.T, lines ...string) session.Keys {
	t.Helper()
	k, err := session.ParseKeys(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func cookies(t *testing.T, k session.Keys, domain string, now func() time.Time) *session.Cookies {
	t.Helper()
	c, err := session.NewCookies(k, "authgate", domain, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(when time.Time) func() time.Time { return func() time.Time { return when } }

// save gives the cookie that a browser keeps, and the request headers that it
// sends from then on.
func save(t *testing.T, c *session.Cookies, s session.Session, secure bool) (*http.Cookie, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := c.Save(w, s, secure); err != nil {
		t.Fatal(err)
	}
	kept := w.Result().Cookies()[0]
	return kept, http.Header{"Cookie": {kept.Name + "=" + kept.Value}}
}

func alice(groups int) identity.Principal {
	p := identity.Principal{Issuer: "https://dex.example.com", Subject: "alice", Email: "alice@example.com", Expiry: noon.Add(24 * time.Hour)}
	for i := range groups {
		p.Groups = append(p.Groups, fmt.Sprintf("example-org:platform-team-%04d", i))
	}
	return p
}

func TestSessionComesBackAsItWasSaved(t *testing.T) {
	t.Parallel()
	c := cookies(t, keys(t, session.NewKey()), "", at(noon))
	s := session.Begin(alice(2), noon, time.Hour)
	cookie, h := save(t, c, s, true)
	got, err := c.Open(h, true)
	if err != nil || got.ID != s.ID || got.Principal.Subject != "alice" || len(got.Principal.Groups) != 2 || !got.Expires.Equal(noon.Add(time.Hour)) {
		t.Errorf("got %+v, %v; want %+v", got, err, s)
	}
	for _, secret := range []string{"alice", "platform"} {
		plain, _ := base64.URLEncoding.DecodeString(cookie.Value)
		if strings.Contains(string(plain), secret) || strings.Contains(cookie.Value, secret) {
			t.Errorf("the cookie shows %q", secret)
		}
	}
}

func TestCookieIsBoundToItsHostOnHTTPSAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		secure       bool
		domain, name string
	}{
		{true, "", "__Host-authgate"},
		{false, "", "authgate"},
		{true, "example.com", "authgate"},
	} {
		c := cookies(t, keys(t, session.NewKey()), test.domain, at(noon))
		cookie, _ := save(t, c, session.Begin(alice(1), noon, time.Hour), test.secure)
		if cookie.Name != test.name || cookie.Secure != test.secure || cookie.Domain != test.domain ||
			cookie.Path != "/" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
			t.Errorf("secure %v, domain %q: %v", test.secure, test.domain, cookie)
		}
	}
}

func TestSessionEndsWithItsLifetimeOrItsIDToken(t *testing.T) {
	t.Parallel()
	k := keys(t, session.NewKey())
	short := alice(1)
	short.Expiry = noon.Add(10 * time.Minute)
	for name, s := range map[string]session.Session{
		"lifetime": session.Begin(alice(1), noon, 10*time.Minute),
		"ID token": session.Begin(short, noon, time.Hour),
	} {
		_, h := save(t, cookies(t, k, "", at(noon)), s, true)
		if _, err := cookies(t, k, "", at(noon.Add(10*time.Minute-time.Second))).Open(h, true); err != nil {
			t.Errorf("%s: a second before the end: %v", name, err)
		}
		if _, err := cookies(t, k, "", at(noon.Add(10*time.Minute))).Open(h, true); !errors.Is(err, session.ErrOver) {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

func TestFirstKeySealsAndEveryKeyOpens(t *testing.T) {
	t.Parallel()
	old, fresh := session.NewKey(), session.NewKey()
	_, h := save(t, cookies(t, keys(t, old), "", at(noon)), session.Begin(alice(1), noon, time.Hour), true)
	if _, err := cookies(t, keys(t, fresh, old), "", at(noon)).Open(h, true); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	_, h = save(t, cookies(t, keys(t, fresh, old), "", at(noon)), session.Begin(alice(1), noon, time.Hour), true)
	if _, err := cookies(t, keys(t, fresh), "", at(noon)).Open(h, true); err != nil {
		t.Errorf("the first key did not seal: %v", err)
	}
	if _, err := cookies(t, keys(t, old), "", at(noon)).Open(h, true); err == nil {
		t.Error("a key that is gone still opens")
	}
}

func TestChangedOrForeignCookiesDoNotOpen(t *testing.T) {
	t.Parallel()
	k := keys(t, session.NewKey())
	c := cookies(t, k, "", at(noon))
	cookie, _ := save(t, c, session.Begin(alice(1), noon, time.Hour), true)
	login, err := k.Sealer("login")
	if err != nil {
		t.Fatal(err)
	}
	other, err := login.Seal("__Host-authgate", session.Begin(alice(1), noon, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(cookie.Value)
	flipped[len(flipped)/2] ^= 1
	for name, line := range map[string]string{
		"flipped bit":            cookie.Name + "=" + string(flipped),
		"truncated":              cookie.Name + "=" + cookie.Value[:len(cookie.Value)-4],
		"empty":                  cookie.Name + "=",
		"sealed for a login":     cookie.Name + "=" + other,
		"name without __Host-":   "authgate=" + cookie.Value,
		"name in another case":   "__host-authgate=" + cookie.Value,
		"blank before the sign":  cookie.Name + " =" + cookie.Value,
		"twice":                  cookie.Name + "=" + cookie.Value + "; " + cookie.Name + "=" + cookie.Value,
		"planted before it":      cookie.Name + "=x; " + cookie.Name + "=" + cookie.Value,
		"longer than any cookie": cookie.Name + "=" + strings.Repeat("A", 5000),
	} {
		if s, err := c.Open(http.Header{"Cookie": {line}}, true); err == nil {
			t.Errorf("%s: opened as %+v", name, s)
		} else if strings.Contains(err.Error(), cookie.Value[:20]) {
			t.Errorf("%s: the error shows the cookie: %v", name, err)
		}
	}
}

func TestSessionThatFitsNoCookieIsRefused(t *testing.T) {
	t.Parallel()
	c := cookies(t, keys(t, session.NewKey()), "", at(noon))
	w := httptest.NewRecorder()
	err := c.Save(w, session.Begin(alice(300), noon, time.Hour), true)
	if !errors.Is(err, session.ErrTooLarge) || len(w.Result().Cookies()) != 0 {
		t.Errorf("got %v and %d cookies", err, len(w.Result().Cookies()))
	}
	if err := c.Save(w, session.Begin(alice(40), noon, time.Hour), true); err != nil {
		t.Errorf("40 groups do not fit: %v", err)
	}
}

func TestKeysThatAreNoKeysAreRefused(t *testing.T) {
	t.Parallel()
	good := session.NewKey()
	for text, want := range map[string]string{
		"":                           "no session key",
		"# only a comment\n":         "no session key",
		"c2hvcnQ=":                   "line 1 is short: 5 bytes",
		good + "\n\nnot base64!":     "line 3 is not base64",
		good + "\nc2hvcnQ=\n" + good: "line 2 is short",
	} {
		_, err := session.ParseKeys(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "authgate keygen") {
			t.Errorf("%q: got %v, want %q and how to mend it", text, err, want)
		}
	}
	if _, err := session.ParseKeys("# rotated today\r\n" + good + "\r\n"); err != nil {
		t.Errorf("comment and CRLF: %v", err)
	}
}

func TestUpstreamSeesEveryCookieButAuthgates(t *testing.T) {
	t.Parallel()
	c := cookies(t, keys(t, session.NewKey()), "", at(noon))
	for _, test := range []struct{ sent, want []string }{
		{[]string{"a=1; b=2"}, []string{"a=1; b=2"}},
		{[]string{`a="1"; b=x y; c=` + "\xe9"}, []string{`a="1"; b=x y; c=` + "\xe9"}},
		{[]string{"a=1; __Host-authgate=s; b=2"}, []string{"a=1; b=2"}},
		{[]string{"__Host-authgate=s; b=2"}, []string{"b=2"}},
		{[]string{"__Host-authgate=s"}, nil},
		{[]string{"authgate=s", "b=2"}, []string{"b=2"}},
		{[]string{"a=1", "AUTHGATE=s; b=2", "c=3"}, []string{"a=1", "b=2", "c=3"}},
		{[]string{"authgate-login-abc=s; a=1"}, []string{"a=1"}},
		{[]string{"__host-authgate-login-abc=s; a=1"}, []string{"a=1"}},
		{[]string{"=__Host-authgate=s; a=1"}, []string{"a=1"}},
		{[]string{"\u2000__Host-authgate=s; a=1"}, []string{"a=1"}},
		{[]string{`"__Host-authgate"=s; a=1`}, []string{"a=1"}},
		{[]string{"authgate =s; a=1"}, []string{"a=1"}},
		{[]string{"authgateway=1; xauthgate=2"}, []string{"authgateway=1; xauthgate=2"}},
		{nil, nil},
	} {
		h := http.Header{}
		if test.sent != nil {
			h["Cookie"] = test.sent
		}
		c.Strip(h)
		if got := h["Cookie"]; fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%q became %q, want %q", test.sent, got, test.want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k, err := session.ParseKeys(session.NewKey())
	if err != nil {
		f.Fatal(err)
	}
	c, err := session.NewCookies(k, "authgate", "", at(noon))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("__Host-authgate=x; a=1")
	f.Add(";;=;authgate")
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		if s, err := c.Open(h, true); err == nil {
			t.Errorf("%q opened as %+v", line, s)
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
