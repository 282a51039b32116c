package redisstore_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/session/sessiontest"
)

// both is a request with the cookies of two browsers.
func both(one, two sessiontest.Browser) http.Header {
	return http.Header{"Cookie": {one.Headers().Get("Cookie") + "; " + two.Headers().Get("Cookie")}}
}

func TestOfTwoSessionsOfOneUserInRedisTheLatestCounts(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, startRedis(t).url())
	at := r.add()
	old, _ := r.login(at, "alice", "one")
	r.clock.move(time.Second)
	late, want := r.login(at, "alice", "two")
	bob, _ := r.login(at, "bob", "three")
	for _, h := range []http.Header{both(old, late), both(late, old)} {
		s, err := at.Open(t.Context(), h, true)
		if err != nil || s.ID != want.ID {
			t.Fatalf("%s, %v; want %s", s.ID, err, want.ID)
		}
		w := httptest.NewRecorder()
		at.WriteCookie(w, h, s, true)
		if c := w.Result().Cookies(); len(c) != 1 || c[0].Value != late[c[0].Name] {
			t.Errorf("the browser is given %v", c)
		}
	}
	for what, h := range map[string]http.Header{"another user": both(late, bob), "what is not known": both(late, r.stranger())} {
		if _, err := at.Open(t.Context(), h, true); !errors.Is(err, session.ErrAmbiguous) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := at.Revoke(t.Context(), session.Filter{ID: want.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := at.Open(t.Context(), both(old, late), true); err == nil {
		t.Error("an older session came back when the latest had ended")
	}
}

func TestDuplicateChunksAreOneSessionOrNone(t *testing.T) {
	t.Parallel()
	now := time.Now()
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	c := cookiestore.New(cookiestore.Options{Cookie: cookie.New("authgate", "", http.SameSiteLaxMode), Keyring: seal.NewKeyring(keys)})
	begin := func(who string, groups int, at time.Time) sessiontest.Browser {
		t.Helper()
		g := (&replicas{}).grant(who, "x")
		g.Principal.Expiry = now.Add(time.Hour)
		for range groups {
			g.Principal.Groups = append(g.Principal.Groups, seal.NewKey())
		}
		b, w := sessiontest.Browser{}, httptest.NewRecorder()
		if _, err := c.Create(t.Context(), w, nil, session.New(g, at, time.Hour), true); err != nil {
			t.Fatal(err)
		}
		b.Take(w)
		return b
	}
	small, large := begin("alice", 0, now), begin("alice", 150, now.Add(-time.Minute))
	if len(large) < 2 {
		t.Fatalf("%d pieces", len(large))
	}
	other := begin("bob", 150, now.Add(-time.Minute))
	open := func(h http.Header) (session.Session, error) { return c.Open(t.Context(), h, true) }
	for _, h := range []http.Header{both(small, large), both(large, small)} {
		if s, err := open(h); err != nil || len(s.Principal.Groups) != 1 {
			t.Errorf("%d groups, %v", len(s.Principal.Groups), err)
		}
	}
	for what, h := range map[string]http.Header{"two users": both(large, other), "a small one and another's": both(small, other)} {
		if _, err := open(h); !errors.Is(err, session.ErrAmbiguous) {
			t.Errorf("%s: %v", what, err)
		}
	}
	cut := sessiontest.Browser{}
	for name, value := range other { // its last piece is lost
		if !strings.HasSuffix(name, "-"+string(rune('0'+len(other)-1))) {
			cut[name] = value
		}
	}
	if s, err := open(both(small, cut)); err == nil && s.Principal.Subject != "alice" {
		t.Errorf("opens as %s", s.Principal.Subject)
	}
}
