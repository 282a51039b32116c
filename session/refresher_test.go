package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// ends reports whether the issuer's response ends a session.
func ends(err error) bool {
	var refused *identity.RefreshRefusedError
	var impostor *identity.SubjectMismatchError
	return errors.As(err, &refused) || errors.As(err, &impostor)
}

func TestSessionWithoutRefreshTokenLastsAsLongAsItsIDTokenWithoutRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		_, h := k.signInWith(identity.TokenSet{FetchedAt: k.now(), Principal: identity.Principal{
			Subject: "alice", Groups: []string{"old"}, Expiry: k.now().Add(2 * time.Hour),
		}})
		later(2*time.Hour - time.Second)
		k.wants(h, "old")
		later(time.Second)
		if _, err := k.groups(h); !errors.Is(err, session.ErrExpired) {
			t.Errorf("got %v; want ErrOver", err)
		}
		k.wantsAsked(0)
	})
}

func TestSessionEndsAfterItsLifetimeHoweverOftenItIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, func(o *session.RefresherOptions) { o.Lifetime = time.Hour })
		s, h := k.signIn("alice")
		for range 59 {
			later(time.Minute)
			if _, err := k.groups(h); err != nil {
				t.Fatal(err)
			}
		}
		later(time.Minute)
		if _, err := k.groups(h); !errors.Is(err, session.ErrExpired) {
			t.Errorf("a request got %v; want ErrOver", err)
		}
		if _, err := k.Current(s); !errors.Is(err, session.ErrExpired) {
			t.Errorf("a stream got %v; want ErrOver", err)
		}
		if k.asked.Load() < 5 {
			t.Errorf("the groups were read %d times in an hour; want every ten minutes", k.asked.Load())
		}
	})
}

func TestLifetimeThatIsConfiguredShorterHoldsForSessionsThatBeganBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		before := keep(t, nil)
		k := keep(t, func(o *session.RefresherOptions) { o.Store, o.Lifetime = before.shelf, time.Hour })
		s, h := before.signIn("alice")
		got, err := k.Find(t.Context(), h, true)
		if want := s.CreatedAt.Add(time.Hour); err != nil || !got.Expires.Equal(want) {
			t.Errorf("it lasts until %s, %v; want %s", got.Expires, err, want)
		}
		later(time.Hour)
		if _, err := k.Find(t.Context(), h, true); !errors.Is(err, session.ErrExpired) {
			t.Errorf("a request got %v; want ErrOver", err)
		}
		if _, err := k.Current(s); !errors.Is(err, session.ErrExpired) {
			t.Errorf("a stream got %v; want ErrOver", err)
		}
	})
}

func TestWhatTheStoreSaysOfARequestIsPassedOn(t *testing.T) {
	t.Parallel()
	for _, want := range []error{session.ErrNoCookie, session.ErrAmbiguous, session.ErrInvalid, session.ErrExpired, session.ErrStoreDown} {
		synctest.Test(t, func(t *testing.T) {
			k := running(t, nil)
			s, h := k.signIn("alice")
			k.shelf.set(want)
			if got, err := k.Find(t.Context(), h, true); !errors.Is(err, want) || got.ID != "" {
				t.Errorf("a request got %v, %v; want %v", got.ID, err, want)
			}
			if got, err := k.Current(s); !errors.Is(err, want) || got.ID != "" {
				t.Errorf("a stream got %v, %v; want %v", got.ID, err, want)
			}
			if _, err := k.Create(t.Context(), httptest.NewRecorder(), http.Header{}, s.TokenSet, true); !errors.Is(err, want) {
				t.Errorf("a login got %v; want %v", err, want)
			}
		})
	}
}

func TestSignOutEndsTheSessionHereAndInTheBrowser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, h := k.signIn("alice")
		w := httptest.NewRecorder()
		if err := k.End(t.Context(), w, h, s, true); err != nil {
			t.Fatal(err)
		}
		if _, err := k.groups(h); !errors.Is(err, session.ErrExpired) {
			t.Errorf("the old cookie gives %v; want ErrOver", err)
		}
		if w.Header().Get("Cookie") != "gone" {
			t.Error("the browser keeps its cookie")
		}
		s, h = k.signIn("alice")
		k.shelf.set(session.ErrStoreDown)
		w = httptest.NewRecorder()
		if err := k.End(t.Context(), w, h, s, true); !errors.Is(err, session.ErrStoreDown) {
			t.Errorf("with the store down: %v; want ErrStoreDown", err)
		}
		if w.Header().Get("Cookie") != "gone" {
			t.Error("with the store down the browser keeps its cookie")
		}
	})
}

func TestStreamIsKeptFreshAndNeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, _ := k.signIn("alice")
		release := k.hanging()
		defer release()
		later(every)
		current := func() (string, error) {
			t.Helper()
			began := time.Now()
			got, err := k.Current(s)
			if waited := time.Since(began); waited > 0 {
				t.Errorf("the stream waited %s", waited)
			}
			return strings.Join(got.Principal.Groups, " "), err
		}
		if got, err := current(); err != nil || got != "old" {
			t.Errorf("while the issuer is asked: %q, %v", got, err)
		}
		release()
		synctest.Wait()
		if got, err := current(); err != nil || got != "new" {
			t.Errorf("after the issuer answered: %q, %v", got, err)
		}
		k.wantsAsked(1)

		k.failing(errors.New("bad gateway"))
		for range int((every + grace) / time.Second) {
			later(time.Second)
			_, _ = current()
		}
		if _, err := current(); !errors.Is(err, session.ErrStale) || !strings.Contains(err.Error(), "bad gateway") {
			t.Errorf("after the grace: %v; want ErrStale and why", err)
		}
	})
}

func TestStreamOfAPausedProcessIsStaleUntilTheIssuerAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, _ := k.signIn("alice")
		later(every + grace)
		if _, err := k.Current(s); !errors.Is(err, session.ErrStale) {
			t.Errorf("got %v; want ErrStale", err)
		}
		synctest.Wait()
		if got, err := k.Current(s); err != nil || got.Principal.Groups[0] != "new" {
			t.Errorf("got %v, %v; want new groups", got.Principal.Groups, err)
		}
	})
}

func TestWithoutRunARefreshRunsWithinTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, nil)
		s, h := k.signIn("alice")
		later(every)
		if got, err := k.Current(s); err != nil || got.Principal.Groups[0] != "old" {
			t.Errorf("a stream got %v, %v", got.Principal.Groups, err)
		}
		k.wantsAsked(0) // a stream waits for nothing
		k.wants(h, "new")
		later(every)
		k.failing(errors.New("bad gateway"))
		k.wants(h, "new") // due, but unavailable: the old groups stay
		k.wantsAsked(2)
		later(every)
		k.failing(&identity.RefreshRefusedError{Code: "invalid_grant"})
		if _, err := k.groups(h); !errors.Is(err, session.ErrExpired) {
			t.Errorf("got %v; want ErrOver", err)
		}

		ctx, stop := context.WithCancel(t.Context())
		var ran sync.WaitGroup
		ran.Go(func() { k.Run(ctx) })
		synctest.Wait()
		stop()
		ran.Wait()
		k.issuer.Store(nil)
		_, h = k.signIn("bob")
		later(every + grace)
		k.wants(h, "new")
	})
}

func TestShutdownWaitsForRenewalsThatAreUnderWayAndNotForever(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ takes, waits time.Duration }{
		"an issuer that answers": {takes: time.Second, waits: time.Second},
		"an issuer that hangs":   {takes: time.Hour, waits: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := keep(t, nil)
				ctx, stop := context.WithCancel(t.Context())
				ran := make(chan struct{})
				go func() { k.Run(ctx); close(ran) }()
				synctest.Wait()
				s, h := k.signIn("alice")
				k.answer(func(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
					select {
					case <-time.After(test.takes):
						return k.newTokens(g), nil
					case <-ctx.Done():
						return identity.TokenSet{}, ctx.Err()
					}
				})
				later(every)
				k.wants(h, "old")
				synctest.Wait()
				began := time.Now()
				stop()
				<-ran
				if got := time.Since(began); got != test.waits {
					t.Errorf("Run returned after %s, want %s", got, test.waits)
				}
				if k.at.Load() != 0 {
					t.Error("a refresh outlives Run")
				}
				if _, why := k.RefreshFailure(s); why != nil {
					t.Errorf("a shutdown is noted as a failure of the issuer: %v", why)
				}
				if name == "an issuer that answers" {
					k.wants(h, "new")
				}
			})
		})
	}
}

func TestFindingAFreshSessionAllocatesNothing(t *testing.T) {
	k, h := freshlyKept(t)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := k.Find(t.Context(), h, true); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for each request", n)
	}
}

func BenchmarkFindAFreshSession(b *testing.B) {
	k, h := freshlyKept(b)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := k.Find(ctx, h, true); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// oneSession is a store that costs nothing, so that the keeper's own cost shows.
type oneSession struct {
	*shelf
	s session.Session
}

func (o *oneSession) Open(context.Context, http.Header, bool) (session.Session, error) {
	return o.s, nil
}

func freshlyKept(tb testing.TB) (*session.Refresher, http.Header) {
	tb.Helper()
	now := time.Now()
	s := session.New(identity.TokenSet{RefreshToken: "r", FetchedAt: now, Principal: identity.Principal{
		Subject: "alice", Groups: []string{"old"}, Expiry: now.Add(24 * time.Hour),
	}}, now, 12*time.Hour)
	return session.NewRefresher(session.RefresherOptions{
		Store: &oneSession{s: s}, Lifetime: 12 * time.Hour, RefreshEvery: every, RefreshGrace: grace,
	}), http.Header{"Cookie": {"id=" + s.ID}}
}
