package session_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

func TestAUserReadsGroupsAgainBeforeTheyAreDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, h := k.signIn("alice")
		later(time.Second)
		k.wants(h, "old")
		got, err := k.RefreshNow(t.Context(), s)
		if err != nil || len(got.Principal.Groups) != 1 || got.Principal.Groups[0] != "new" || got.ID != s.ID {
			t.Fatalf("%v, %v", got.Principal.Groups, err)
		}
		k.wants(h, "new")
		k.wantsAsked(1)
	})
}

func TestManyWhoReadGroupsAgainAtOnceAskTheIssuerOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, _ := k.signIn("alice")
		later(time.Second)
		release := k.hanging()
		var asking sync.WaitGroup
		for range 10 {
			asking.Go(func() {
				if got, err := k.RefreshNow(t.Context(), s); err != nil || got.Principal.Groups[0] != "new" {
					t.Errorf("%v, %v", got.Principal.Groups, err)
				}
			})
		}
		synctest.Wait()
		later(time.Second)
		release()
		asking.Wait()
		k.wantsAsked(1)
	})
}

func TestASessionContinuesWhenItsGroupsCannotBeReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, h := k.signIn("alice")
		later(time.Second)
		k.failing(errGateway)
		for range 2 { // also while background refreshes back off
			if _, err := k.RefreshNow(t.Context(), s); !errors.Is(err, errGateway) {
				t.Errorf("got %v", err)
			}
		}
		k.wantsAsked(2)
		k.wants(h, "old")

		k.failing(&identity.RefreshRefusedError{Status: 400, Code: "invalid_grant"})
		if _, err := k.RefreshNow(t.Context(), s); !errors.Is(err, session.ErrExpired) {
			t.Errorf("got %v", err)
		}
		if _, err := k.groups(h); !errors.Is(err, session.ErrExpired) {
			t.Errorf("a session that the issuer ended: %v", err)
		}
	})
}

func TestWithoutARefreshTokenGroupsCannotBeReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, h := k.signInWith(identity.TokenSet{FetchedAt: k.now(), Principal: identity.Principal{
			Subject: "alice", Groups: []string{"old"}, Expiry: k.now().Add(time.Hour),
		}})
		if _, err := k.RefreshNow(t.Context(), s); !errors.Is(err, session.ErrNoRefreshToken) {
			t.Errorf("got %v", err)
		}
		k.wants(h, "old")
		k.wantsAsked(0)
	})
}
