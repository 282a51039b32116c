package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

func TestOldGroupsAreUsedWithinTheGraceAndNotAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, h := k.signIn("alice")
		if since, why := k.RefreshFailure(s); !since.IsZero() || why != nil {
			t.Errorf("trouble from the start: %s, %v", since, why)
		}
		k.failing(errGateway)
		later(every)
		began := k.now()
		for k.now().Before(s.FetchedAt.Add(every + grace)) {
			k.wants(h, "old")
			later(time.Second)
		}
		if since, why := k.RefreshFailure(s); !since.Equal(began) || !errors.Is(why, errGateway) {
			t.Errorf("trouble since %s, %v; want %s and why", since, why, began)
		}
		for range 20 { // the first may ask once more; none waits
			before := time.Now()
			if _, err := k.groups(h); !errors.Is(err, session.ErrStale) || !errors.Is(err, errGateway) || time.Since(before) > 0 {
				t.Errorf("got %v after %s; want ErrStale and why, at once", err, time.Since(before))
			}
		}
		k.issuer.Store(nil)
		later(time.Minute)
		k.wants(h, "new")
		if since, why := k.RefreshFailure(s); !since.IsZero() || why != nil {
			t.Errorf("trouble after it has ended: %s, %v", since, why)
		}
		log := k.log.all()
		if len(log) != 2 || !strings.Contains(log[0], "level=WARN") || !strings.Contains(log[0], "bad gateway") ||
			!strings.Contains(log[0], "sub=alice") || !strings.Contains(log[1], "level=WARN") || !strings.Contains(log[1], "refreshed again") {
			t.Errorf("logged\n%s\nwant one line for the begin and one for the end", strings.Join(log, "\n"))
		}
		reported := k.reported.all()
		if len(reported) < 5 || reported[0] != "alice bad gateway" || reported[len(reported)-1] != "alice ok" || len(reported) != int(k.asked.Load()) {
			t.Errorf("reported %q of %d renewals", reported, k.asked.Load())
		}
	})
}

func TestFailuresBackOffFromFiveSecondsToAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, func(o *session.RefresherOptions) { o.RefreshGrace = 5 * time.Minute })
		_, h := k.signIn("alice")
		k.failing(errGateway)
		later(every)
		for range 15 * 60 * 10 { // ten minutes beyond the grace: waiting requests back off alike
			_, _ = k.groups(h)
			later(100 * time.Millisecond)
		}
		var gaps []time.Duration
		var last time.Time
		for i, text := range k.when.all() {
			when, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				gaps = append(gaps, when.Sub(last))
			}
			last = when
		}
		if len(gaps) < 12 {
			t.Fatalf("%d failures in 15 minutes", len(gaps)+1)
		}
		different := map[time.Duration]bool{}
		for i, gap := range gaps {
			most := time.Minute
			if i < 4 {
				most = 5 * time.Second << i
			}
			if gap < most*3/4 || gap > most+100*time.Millisecond {
				t.Errorf("after failure %d it waits %s; want 0.75 to 1.0 of %s", i+1, gap, most)
			}
			if i >= 4 {
				different[gap] = true
			}
		}
		if len(different) < 3 {
			t.Errorf("no jitter: %v", gaps)
		}
	})
}

func TestTroubleEndsWithTheSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*kept, session.Session, http.Header){
		"refused": func(k *kept, _ session.Session, h http.Header) {
			k.failing(&identity.RefreshRefusedError{Status: 400, Code: "invalid_grant"})
			later(time.Minute)
			k.wants(h, "old")
			synctest.Wait()
		},
		"signed out": func(k *kept, s session.Session, h http.Header) {
			if err := k.End(k.t.Context(), httptest.NewRecorder(), h, s, true); err != nil {
				k.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := running(t, nil)
				s, h := k.signIn("alice")
				k.failing(errGateway)
				later(every)
				k.wants(h, "old")
				synctest.Wait()
				if _, why := k.RefreshFailure(s); !errors.Is(why, errGateway) {
					t.Errorf("trouble %v; want why", why)
				}
				end(k, s, h)
				if since, why := k.RefreshFailure(s); why != nil || !since.IsZero() {
					t.Errorf("trouble since %s: %v", since, why)
				}
			})
		})
	}
}

func TestStoreThatIsDownIsNotBlamedOnTheIssuer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		_, h := k.signIn("alice")
		k.failing(fmt.Errorf("taking the lock: %w", session.ErrStoreDown))
		later(every + grace)
		for range 2 { // asked, and backing off
			if _, err := k.groups(h); !errors.Is(err, session.ErrStoreDown) || errors.Is(err, session.ErrStale) {
				t.Errorf("got %v; want ErrStoreDown", err)
			}
		}
		k.wantsAsked(1)
		if reported := k.reported.all(); len(reported) != 1 || !strings.Contains(reported[0], session.ErrStoreDown.Error()) {
			t.Errorf("reported %q", reported)
		}
	})
}

func TestAnswerThatIsNoNewerCountsAsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		_, h := k.signIn("alice")
		k.answer(func(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) { return g, nil })
		later(every)
		for range 10 {
			k.wants(h, "old")
			synctest.Wait()
		}
		k.wantsAsked(1)
		later(grace)
		if _, err := k.groups(h); !errors.Is(err, session.ErrStale) {
			t.Errorf("got %v; want ErrStale", err)
		}
	})
}

func TestTroubleEndsWhereAnotherReplicaHasReadTheGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := running(t, nil)
		s, h := k.signIn("alice")
		k.failing(errGateway)
		later(every)
		k.wants(h, "old")
		later(time.Second)
		k.shelf.change(s.ID, func(s *session.Session) { s.TokenSet = k.newTokens(s.TokenSet) })
		got, err := k.Find(t.Context(), h, true)
		if err != nil || got.Principal.Groups[0] != "new" {
			t.Fatalf("got %v, %v", got.Principal.Groups, err)
		}
		if _, why := k.RefreshFailure(got); why != nil {
			t.Errorf("trouble goes on: %v", why)
		}
		if log := k.log.all(); len(log) != 2 {
			t.Errorf("logged %q", log)
		}
	})
}
