package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

var errGateway = errors.New("bad gateway")

func TestDueGroupsAreRefreshedInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		_, h := k.signIn("alice")
		later(every*8/10 - time.Second)
		k.wants(h, "old")
		synctest.Wait()
		k.wantsAsked(0) // not before 0.8 of refreshEvery
		release := k.hanging()
		defer release()
		later(every * 2 / 10)
		for range 100 {
			k.wants(h, "old") // no wait
		}
		synctest.Wait()
		k.wantsAsked(1)
		release()
		synctest.Wait()
		k.wants(h, "new")
		k.wantsAsked(1)
		if reported := k.reported.all(); !slices.Equal(reported, []string{"alice ok"}) {
			t.Errorf("reported %q", reported)
		}
	})
}

func TestIssuerIsNotAskedForIdleSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		_, h := k.signIn("alice")
		later(11 * time.Hour)
		k.wantsAsked(0)
		k.wants(h, "new") // the first request brings them
		k.wantsAsked(1)
	})
}

func TestPeopleWhoSignedInTogetherDoNotAskTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		const people = 500
		var all []http.Header
		for i := range people {
			_, h := k.signIn(fmt.Sprint("p", i))
			all = append(all, h)
		}
		request := func() int32 {
			for _, h := range all {
				if _, err := k.groups(h); err != nil {
					t.Error(err)
				}
				synctest.Wait() // one after the other: places are not what is tried here
			}
			return k.asked.Load()
		}
		later(every * 8 / 10)
		if asked := request(); asked > people/20 {
			t.Errorf("%d of %d ask at 0.8 of refreshEvery", asked, people)
		}
		later(every / 10)
		if asked := request(); asked < people*4/10 || asked > people*6/10 {
			t.Errorf("%d of %d have asked at 0.9 of refreshEvery, want about half", asked, people)
		}
	})
}

func TestGroupsThatAreTooOldAreWaitedFor(t *testing.T) {
	t.Parallel()
	for _, grace := range []time.Duration{0, grace} {
		synctest.Test(t, func(t *testing.T) {
			k := running(t, func(o *session.RefresherOptions) { o.RefreshGrace = grace })
			_, h := k.signIn("alice")
			k.answer(func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
				time.Sleep(3 * time.Second) // of the bubble's clock
				return k.newTokens(g), nil
			})
			later(every + grace)
			began := time.Now()
			got, err := k.groups(h)
			if waited := time.Since(began); err != nil || got != "new" || waited != 3*time.Second {
				t.Errorf("got %q, %v after %s; want new groups after 3s", got, err, waited)
			}
		})
	}
}

func TestSessionIsOverWhenTheIssuerSaysSo(t *testing.T) {
	t.Parallel()
	another := func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
		g.Principal.Subject = "mallory"
		return g, nil
	}
	elsewhere := func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
		g.Principal.Issuer = "https://evil.example.com"
		return g, nil
	}
	fails := func(err error) session.RefreshFunc {
		return func(context.Context, identity.TokenSet) (identity.TokenSet, error) { return identity.TokenSet{}, err }
	}
	for name, test := range map[string]struct {
		answer session.RefreshFunc
		attack bool
	}{
		"refresh token refused":      {answer: fails(&identity.RefreshRefusedError{Status: 400, Code: "invalid_grant"})},
		"impostor":                   {answer: fails(fmt.Errorf("at dex: %w", &identity.SubjectMismatchError{Reason: "aud"})), attack: true},
		"another subject unnoticed":  {answer: another, attack: true},
		"another issuer unnoticed":   {answer: elsewhere, attack: true},
		"refused, and wrapped so":    {answer: fails(fmt.Errorf("at dex: %w", &identity.RefreshRefusedError{Status: 400}))},
		"refused, already over here": {answer: fails(fmt.Errorf("%w: %w", session.ErrExpired, &identity.RefreshRefusedError{Status: 400}))},
	} {
		for _, age := range []time.Duration{every, every + grace} {
			t.Run(fmt.Sprint(name, " at ", age), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					k := running(t, nil)
					s, h := k.signIn("alice")
					k.answer(test.answer)
					later(age)
					if age == every {
						k.wants(h, "old") // it is asked only in the background
						synctest.Wait()
						if _, err := k.groups(h); !errors.Is(err, session.ErrExpired) {
							t.Errorf("the next request got %v; want ErrOver", err)
						}
					} else if _, err := k.groups(h); !errors.Is(err, session.ErrExpired) || !ends(err) {
						t.Errorf("got %v; want ErrOver and why", err)
					}
					if _, err := k.Current(s); !errors.Is(err, session.ErrExpired) {
						t.Errorf("a stream got %v; want ErrOver", err)
					}
					k.wantsAsked(1)
					log := strings.Join(k.log.all(), "\n")
					if attack := strings.Contains(log, "level=ERROR") && strings.Contains(log, `"the refreshed ID token belongs to another user`) &&
						strings.Contains(log, "sub=alice"); attack != test.attack {
						t.Errorf("logged %s", log)
					}
					if reported := k.reported.all(); len(reported) != 1 || !strings.HasPrefix(reported[0], "alice the ") && !strings.HasPrefix(reported[0], "alice at dex") && !strings.HasPrefix(reported[0], "alice "+session.ErrExpired.Error()) {
						t.Errorf("reported %q", reported)
					}
					if since, why := k.RefreshFailure(s); why != nil {
						t.Errorf("trouble since %s: %v", since, why)
					}
				})
			})
		}
	}
}

func TestSessionRevokedDuringItsRenewalIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, h := k.signIn("alice")
		k.answer(func(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
			_, err := k.Revoke(ctx, session.Filter{ID: s.ID})
			return k.newTokens(g), err
		})
		later(every + grace)
		if _, err := k.groups(h); !errors.Is(err, session.ErrExpired) || errors.Is(err, session.ErrStale) {
			t.Errorf("got %v; want ErrOver", err)
		}
		if reported, log := k.reported.all(), k.log.all(); len(reported)+len(log) != 0 {
			t.Errorf("reported %q, logged %q: it is no failure", reported, log)
		}
	})
}

func TestClockThatIsSetBackMakesNoGroupsLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, h := k.signIn("alice")
		k.shift.Store(int64(-time.Minute))
		k.wants(h, "old") // as far as clocks may stand apart
		synctest.Wait()
		k.wantsAsked(0)

		k.shift.Store(int64(-6 * time.Hour))
		k.failing(errGateway)
		k.wants(h, "old") // due at once
		synctest.Wait()
		k.wantsAsked(1)
		for range grace / time.Second {
			later(time.Second)
			_, _ = k.groups(h)
		}
		if _, err := k.groups(h); !errors.Is(err, session.ErrStale) {
			t.Errorf("a grace after the first failure a request got %v; want ErrStale", err)
		}
		if _, err := k.Current(s); !errors.Is(err, session.ErrStale) {
			t.Errorf("a grace after the first failure a stream got %v; want ErrStale", err)
		}
		k.issuer.Store(nil)
		later(time.Minute)
		k.wants(h, "new")
		asked := k.asked.Load()
		k.wants(h, "new")
		synctest.Wait()
		k.wantsAsked(asked)
	})
}

func TestClockThatIsSetForwardHasGroupsReadAndThenGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		_, h := k.signIn("alice")
		k.failing(errGateway)
		later(every)
		k.wants(h, "old")
		k.shift.Store(int64(6 * time.Hour))
		if _, err := k.groups(h); !errors.Is(err, session.ErrStale) {
			t.Errorf("got %v; want ErrStale", err)
		}
		k.issuer.Store(nil)
		k.shift.Store(0) // and back: the failures of the future do not count
		k.wants(h, "old")
		synctest.Wait()
		k.wants(h, "new")
	})
}
