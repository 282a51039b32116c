package cookiestore_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/session/sessiontest"
)

// cookies keeps sessions under a key of its own, at noon; change what is not so.
func cookies(t testing.TB, changes ...func(*cookiestore.Options)) *cookiestore.Store {
	t.Helper()
	o := cookiestore.Options{Cookie: cookie.New("authgate", "", http.SameSiteLaxMode), Now: at(sessiontest.Noon)}
	for _, change := range changes {
		change(&o)
	}
	if o.Keyring == nil {
		o.Keyring = seal.NewKeyring(sessiontest.Keys(t, seal.NewKey()))
	}
	return cookiestore.New(o)
}

func under(r *seal.Keyring) func(*cookiestore.Options) {
	return func(o *cookiestore.Options) { o.Keyring = r }
}

func clocked(now func() time.Time) func(*cookiestore.Options) {
	return func(o *cookiestore.Options) { o.Now = now }
}

func at(when time.Time) func() time.Time { return func() time.Time { return when } }

// save gives the request headers of a browser that was given a session.
func save(t testing.TB, c *cookiestore.Store, s session.Session, secure bool) http.Header {
	t.Helper()
	b := sessiontest.Browser{}
	w := httptest.NewRecorder()
	if _, err := c.Create(t.Context(), w, nil, s, secure); err != nil {
		t.Fatal(err)
	}
	b.Take(w)
	return b.Headers()
}

func alice(groups int) identity.TokenSet {
	g := identity.TokenSet{RefreshToken: "refresh-0", FetchedAt: sessiontest.Noon, Principal: identity.Principal{
		Issuer: "https://dex.example.com", Subject: "alice", Email: "alice@example.com", Expiry: sessiontest.Noon.Add(24 * time.Hour),
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
	s := session.New(g, sessiontest.Noon, time.Hour)
	h := save(t, c, s, true)
	for range 2 {
		got, err := c.Open(t.Context(), h, true)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != s.ID || got.Principal.Subject != "alice" || len(got.Principal.Groups) != 2 || !got.Expires.Equal(sessiontest.Noon.Add(time.Hour)) ||
			got.IDToken != g.IDToken || got.AccessToken != g.AccessToken || got.SessionID != "sid" || got.RefreshToken != g.RefreshToken || !got.FetchedAt.Equal(sessiontest.Noon) {
			t.Errorf("got %#v, want %#v", got.Principal, s.Principal)
		}
	}
}

func TestSessionEndsWithItsLifetimeOrItsIDToken(t *testing.T) {
	t.Parallel()
	ring := seal.NewKeyring(sessiontest.Keys(t, seal.NewKey()))
	short := alice(1)
	short.Principal.Expiry, short.RefreshToken = sessiontest.Noon.Add(10*time.Minute), ""
	for name, s := range map[string]session.Session{
		"lifetime": session.New(alice(1), sessiontest.Noon, 10*time.Minute),
		"ID token": session.New(short, sessiontest.Noon, time.Hour),
	} {
		h := save(t, cookies(t, under(ring)), s, true)
		for when, want := range map[time.Duration]error{10*time.Minute - time.Second: nil, 10 * time.Minute: session.ErrExpired} {
			if _, err := cookies(t, under(ring), clocked(at(sessiontest.Noon.Add(when)))).Open(t.Context(), h, true); !errors.Is(err, want) {
				t.Errorf("%s: after %s: %v", name, when, err)
			}
		}
	}
}
