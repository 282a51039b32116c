package cookiestore_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/sessiontest"
)

func TestRevokedUsersBearerTokensAreRefusedFromThenOn(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		which   session.Filter
		refused []string // of who's token, and its sid
	}{
		"by e-mail":               {session.Filter{Email: "Alice@example.com"}, []string{"alice ", "alice 1", "alice 2"}},
		"by subject":              {session.Filter{Issuer: sessiontest.DexURL, Subject: "alice"}, []string{"alice ", "alice 1", "alice 2"}},
		"one of the issuer's":     {session.Filter{Issuer: sessiontest.DexURL, Subject: "alice", IssuerSession: "1"}, []string{"alice ", "alice 1"}},
		"one of an unknown user":  {session.Filter{Issuer: sessiontest.DexURL, IssuerSession: "2"}, []string{"alice 2"}},
		"one of whom is known":    {session.Filter{Issuer: sessiontest.DexURL, IssuerSession: "sid-bob"}, []string{"bob "}},
		"all":                     {session.Filter{All: true}, []string{"alice ", "alice 1", "alice 2", "bob "}},
		"all of one user":         {session.Filter{All: true, Email: "bob@example.com"}, []string{"bob "}},
		"of another issuer":       {session.Filter{Issuer: "https://other.example.com", Subject: "alice"}, nil},
		"one session of authgate": {session.Filter{ID: "some"}, nil},
		"nothing":                 {session.Filter{}, nil},
	} {
		clock := &watch{sessiontest.Noon}
		c := cookies(t, clock.in)
		g := called("bob", alice(1))
		g.SessionID = "sid-bob"
		openAs(t, c, save(t, c, session.New(g, sessiontest.Noon, time.Hour), true))
		clock.pass(10*time.Second + 300*time.Millisecond)
		if _, err := c.Revoke(t.Context(), row.which); err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{"alice ", "alice 1", "alice 2", "bob "} {
			var who, sid string
			_, _ = fmt.Sscanf(token, "%s %s", &who, &sid)
			var want error
			for _, refused := range row.refused {
				if refused == token {
					want = session.ErrTokenRevoked
				}
			}
			for _, issued := range []time.Duration{0, 10 * time.Second} { // in the second of the revocation, too
				if got := c.CheckBearer(sessiontest.BearerToken(who, sid, sessiontest.Noon.Add(issued))); !errors.Is(got, want) {
					t.Errorf("%s: %q issued after %s: %v, want %v", name, token, issued, got, want)
				}
			}
			if err := c.CheckBearer(sessiontest.BearerToken(who, sid, sessiontest.Noon.Add(11*time.Second))); err != nil {
				t.Errorf("%s: %q issued after that: %v", name, token, err)
			}
		}
	}
}

func TestTokensThatAreRememberedAreRefusedAndThereIsABound(t *testing.T) {
	t.Parallel()
	clock := &watch{sessiontest.Noon}
	c := cookies(t, clock.in)
	token := sessiontest.BearerToken("alice", "", sessiontest.Noon.Add(time.Minute))
	if err := c.CheckBearer(token); err != nil {
		t.Fatal(err)
	}
	if err := c.DenyBearer(t.Context(), token.Digest, sessiontest.Noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := c.CheckBearer(token); !errors.Is(err, session.ErrLoginToken) {
		t.Error(err)
	}
	full := 0
	for n := range 1<<16 + 10 {
		if err := c.DenyBearer(t.Context(), sha256.Sum256([]byte(fmt.Sprint(n))), sessiontest.Noon.Add(2*time.Hour)); errors.Is(err, session.ErrTooManyTokens) {
			full++
		}
	}
	if full != 11 {
		t.Errorf("%d did not find room", full)
	}
	if err := c.CheckBearer(token); !errors.Is(err, session.ErrLoginToken) {
		t.Error("others pushed it out:", err)
	}
	clock.pass(90 * time.Minute) // what has expired makes room
	if err := c.DenyBearer(t.Context(), sha256.Sum256([]byte("one more")), sessiontest.Noon.Add(3*time.Hour)); err != nil {
		t.Error(err)
	}
}
