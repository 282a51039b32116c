package session_test

import (
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

func keys(t testing.TB, lines ...string) session.Keys {
	t.Helper()
	k, err := session.ParseKeys(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// cookies keeps sessions under a key of its own, at noon; change what is not so.
func cookies(t testing.TB, changes ...func(*session.CookieOptions)) *session.Cookies {
	t.Helper()
	o := session.CookieOptions{Cookie: session.NewChunkedCookie("authgate", "", http.SameSiteLaxMode), Now: at(noon)}
	for _, change := range changes {
		change(&o)
	}
	if o.Keyring == nil {
		o.Keyring = session.NewKeyring(keys(t, session.NewKey()))
	}
	return session.NewCookies(o)
}

func under(r *session.Keyring) func(*session.CookieOptions) {
	return func(o *session.CookieOptions) { o.Keyring = r }
}

func clocked(now func() time.Time) func(*session.CookieOptions) {
	return func(o *session.CookieOptions) { o.Now = now }
}

func at(when time.Time) func() time.Time { return func() time.Time { return when } }

// save gives the request headers of a browser that was given a session.
func save(t testing.TB, c *session.Cookies, s session.Session, secure bool) http.Header {
	t.Helper()
	b := visitor{}
	w := httptest.NewRecorder()
	if _, err := c.Create(t.Context(), w, nil, s, secure); err != nil {
		t.Fatal(err)
	}
	b.take(w)
	return b.headers()
}

func alice(groups int) identity.TokenSet {
	g := identity.TokenSet{RefreshToken: "refresh-0", FetchedAt: noon, Principal: identity.Principal{
		Issuer: "https://dex.example.com", Subject: "alice", Email: "alice@example.com", Expiry: noon.Add(24 * time.Hour),
	}}
	for i := range groups {
		g.Principal.Groups = append(g.Principal.Groups, fmt.Sprintf("example-org:platform-team-%04d", i))
	}
	return g
}

func called(who string, g identity.TokenSet) identity.TokenSet {
	g.Principal.Subject, g.Principal.Email = who, who+"@example.com"
	return g
}

func TestSessionComesBackAsItWasSaved(t *testing.T) {
	t.Parallel()
	c := cookies(t)
	g := alice(2)
	g.IDToken, g.AccessToken, g.SessionID = "eyJhIjoxfQ.eyJiIjoyfQ.AAEC", "no.jwt", "sid"
	s := session.New(g, noon, time.Hour)
	h := save(t, c, s, true)
	for range 2 {
		got, err := c.Open(t.Context(), h, true)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != s.ID || got.Principal.Subject != "alice" || len(got.Principal.Groups) != 2 || !got.Expires.Equal(noon.Add(time.Hour)) ||
			got.IDToken != g.IDToken || got.AccessToken != g.AccessToken || got.SessionID != "sid" || got.RefreshToken != g.RefreshToken || !got.FetchedAt.Equal(noon) {
			t.Errorf("got %#v, want %#v", got.Principal, s.Principal)
		}
	}
}

func TestSessionEndsWithItsLifetimeOrItsIDToken(t *testing.T) {
	t.Parallel()
	ring := session.NewKeyring(keys(t, session.NewKey()))
	short := alice(1)
	short.Principal.Expiry, short.RefreshToken = noon.Add(10*time.Minute), ""
	for name, s := range map[string]session.Session{
		"lifetime": session.New(alice(1), noon, 10*time.Minute),
		"ID token": session.New(short, noon, time.Hour),
	} {
		h := save(t, cookies(t, under(ring)), s, true)
		for when, want := range map[time.Duration]error{10*time.Minute - time.Second: nil, 10 * time.Minute: session.ErrExpired} {
			if _, err := cookies(t, under(ring), clocked(at(noon.Add(when)))).Open(t.Context(), h, true); !errors.Is(err, want) {
				t.Errorf("%s: after %s: %v", name, when, err)
			}
		}
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
