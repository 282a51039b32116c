package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// withToken signs a user in whose ID token lasts for a while.
func (k *kept) withToken(lasts time.Duration, refreshToken string) session.Session {
	s, _ := k.signInWith(identity.TokenSet{
		FetchedAt: k.now(), IDToken: "first", RefreshToken: refreshToken,
		Principal: identity.Principal{Subject: "alice", Groups: []string{"old"}, Expiry: k.now().Add(lasts)},
	})
	return s
}

// tokens has the issuer give a token that lasts, or an error, after a while.
func (k *kept) tokens(lasts, after time.Duration, err error) {
	k.answer(func(ctx context.Context, before identity.TokenSet) (identity.TokenSet, error) {
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return identity.TokenSet{}, ctx.Err()
		}
		before.IDToken, before.FetchedAt, before.Principal.Expiry = "second", k.now(), k.now().Add(lasts)
		return before, err
	})
}

func TestUpstreamGetsNoIDTokenThatExpiresInFlight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lasts, left time.Duration
		want        string
	}{
		"an hour, long before its end":  {time.Hour, time.Minute, "first"},
		"an hour, before the reserve":   {time.Hour, 10*time.Second + time.Millisecond, "first"},
		"an hour, in the reserve":       {time.Hour, 10 * time.Second, "second"},
		"an hour, its last millisecond": {time.Hour, time.Millisecond, "second"},
		"an hour, at its end":           {time.Hour, 0, "second"},
		"30 seconds, before a tenth":    {30 * time.Second, 3*time.Second + time.Millisecond, "first"},
		"30 seconds, the last tenth":    {30 * time.Second, 3 * time.Second, "second"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := running(t, nil)
				s := k.withToken(c.lasts, "refresh")
				k.tokens(c.lasts, 0, nil)
				later(c.lasts - c.left)
				got, err := k.WithValidIDToken(t.Context(), s)
				if err != nil || got.IDToken != c.want {
					t.Errorf("%q, %v; want the %s token", got.IDToken, err, c.want)
				}
			})
		})
	}
}

func TestValidIDTokenIsUsedWhereItCannotBeRefreshed(t *testing.T) {
	t.Parallel()
	down := errors.New("the issuer is down")
	for name, c := range map[string]struct {
		refreshToken string
		after        time.Duration
		err          error
		left         time.Duration
		ended        bool
	}{
		"the issuer fails":                      {"refresh", 0, down, 5 * time.Second, false},
		"the issuer is slow":                    {"refresh", time.Hour, nil, 5 * time.Second, false},
		"the issuer is slow, and it expires":    {"refresh", time.Hour, nil, time.Second, true},
		"the issuer has ended the session":      {"refresh", 0, &identity.RefreshRefusedError{}, 5 * time.Second, true},
		"there is no refresh token":             {"", 0, nil, time.Millisecond, false},
		"there is no refresh token, at the end": {"", 0, nil, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := running(t, nil)
				s := k.withToken(time.Hour, c.refreshToken)
				k.tokens(time.Hour, c.after, c.err)
				later(time.Hour - c.left)
				began := k.now()
				got, err := k.WithValidIDToken(t.Context(), s)
				if c.ended != (err != nil) || !c.ended && got.IDToken != "first" {
					t.Errorf("%q, %v; ended: want %t", got.IDToken, err, c.ended)
				}
				if waited := k.now().Sub(began); waited > 2*time.Second {
					t.Errorf("the request waited for %s", waited)
				}
			})
		})
	}
}
