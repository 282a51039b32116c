package credential

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

// mint gives tokens that live for an hour, one, two, ...
type mint struct {
	count atomic.Int64
	life  time.Duration
	takes time.Duration

	mu  sync.Mutex
	err error
}

func (m *mint) fetch(context.Context) (issuedToken, error) {
	time.Sleep(m.takes) // of the bubble's clock
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.count.Add(1)
	if m.err != nil {
		return issuedToken{}, m.err
	}
	return issuedToken{token: "token-" + string(rune('a'+n-1)), expires: time.Now().Add(m.life)}, nil
}

func (m *mint) fails(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// running runs a source to the end of the bubble.
func running(t *testing.T, s *Source) {
	ctx, stop := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { stop(); run.Wait() })
}

func token(t *testing.T, s *Source) string {
	t.Helper()
	got, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTokenIsRefreshedAtFourFifthsOfItsLifetimeWithoutAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour}
		s := newSource("argo/admin", m.fetch, quiet, time.Now)
		running(t, s)
		synctest.Wait()
		if got := token(t, s); got != "token-a" {
			t.Errorf("warm: %s", got)
		}
		time.Sleep(41 * time.Minute) // of the bubble's clock
		if got := token(t, s); got != "token-a" || m.count.Load() != 1 {
			t.Errorf("after 41 minutes: %s, asked %d times", got, m.count.Load())
		}
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		if got := token(t, s); got != "token-b" || m.count.Load() != 2 {
			t.Errorf("after 49 minutes: %s, asked %d times", got, m.count.Load())
		}
	})
}

func TestShorterLifetimeThanRequestedCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: 10 * time.Minute}
		s := newSource("argo/admin", m.fetch, quiet, time.Now)
		running(t, s)
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if got := token(t, s); got != "token-b" {
			t.Errorf("after nine of ten minutes: %s", got)
		}
	})
}

func TestLastTokenIsUsedUntilItExpiresWhileTheNextIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour}
		s := newSource("argo/admin", m.fetch, quiet, time.Now)
		running(t, s)
		synctest.Wait()
		m.fails(&ForbiddenError{"argo", "admin"})
		time.Sleep(59 * time.Minute)
		if got := token(t, s); got != "token-a" {
			t.Errorf("within its hour: %s", got)
		}
		if asked := m.count.Load(); asked < 5 || asked > 30 {
			t.Errorf("asked %d times within some 12 minutes", asked)
		}
		time.Sleep(time.Minute)
		_, err := s.Token(t.Context())
		var forbidden *ForbiddenError
		if !errors.As(err, &forbidden) || !strings.Contains(forbidden.Hint(), "create on serviceaccounts/token") || !strings.Contains(forbidden.Hint(), "[admin]") {
			t.Errorf("after it: %v", err)
		}
		m.fails(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := token(t, s); !strings.HasPrefix(got, "token-") {
			t.Error(got)
		}
	})
}

func TestConcurrentRequestsWaitForOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		s := newSource("argo/admin", func(ctx context.Context) (issuedToken, error) {
			asked.Add(1)
			select {
			case <-time.After(2 * time.Second):
				return issuedToken{"the-token", time.Now().Add(time.Hour)}, nil
			case <-ctx.Done():
				return issuedToken{}, ctx.Err()
			}
		}, quiet, time.Now)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got := token(t, s); got != "the-token" {
					t.Error(got)
				}
			})
		}
		all.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
	})
}

func TestRequestsWaitAtMostFiveSecondsForAHangingServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSource("argo/admin", func(ctx context.Context) (issuedToken, error) {
			<-ctx.Done()
			return issuedToken{}, ctx.Err()
		}, quiet, time.Now)
		began := time.Now()
		_, err := s.Token(t.Context())
		var unreachable *UnreachableError
		if !errors.As(err, &unreachable) || time.Since(began) != 5*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		<-s.startFetch() // joins the attempt, which goes on
	})
}

func TestRejectedTokenStaysInUseUntilAnotherHasComeAndUsersCauseOneRequestAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour, takes: 3 * time.Second}
		s := newSource("argo/admin", m.fetch, quiet, time.Now)
		running(t, s)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		s.TokenRejected("another")
		synctest.Wait()
		if got := token(t, s); got != "token-a" || m.count.Load() != 1 {
			t.Errorf("it was another one that was rejected: %s, asked %d times", got, m.count.Load())
		}
		began := time.Now()
		var users sync.WaitGroup
		for range 20 {
			users.Go(func() {
				for range 100 {
					s.TokenRejected(token(t, s))
				}
			})
		}
		users.Wait()
		if got := token(t, s); got != "token-a" || time.Since(began) != 0 {
			t.Errorf("before the next has come: %s, after %s", got, time.Since(began))
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := token(t, s); got != "token-b" || m.count.Load() != 2 {
			t.Errorf("%s, asked %d times", got, m.count.Load())
		}
		for range 10 * 60 { // one user whom the upstream rejects all the time
			s.TokenRejected(token(t, s))
			time.Sleep(time.Second)
		}
		if asked := m.count.Load(); asked < 10 || asked > 12 {
			t.Errorf("asked %d times in 10 minutes", asked)
		}
	})
}

func TestRejectedTokenStaysInUseWhileTheAPIServerIsDown(t *testing.T) {
	t.Parallel()
	for _, down := range []error{&UnreachableError{"connection refused"}, &ForbiddenError{"argo", "admin"}, context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			m := &mint{life: time.Hour}
			s := newSource("argo/admin", m.fetch, quiet, time.Now)
			running(t, s)
			synctest.Wait()
			m.fails(down)
			for range 40 * 60 { // before its own renewal at 80 %
				s.TokenRejected("token-a")
				if got := token(t, s); got != "token-a" {
					t.Fatalf("others are shown %s", got)
				}
				time.Sleep(time.Second)
			}
			if asked := m.count.Load(); asked > 41 {
				t.Errorf("asked %d times in 40 minutes", asked)
			}
			time.Sleep(20 * time.Minute)
			if _, err := s.Token(t.Context()); err == nil {
				t.Error("it is shown after its end")
			}
		})
	}
}

func TestRejectedTokenIsReplacedAlsoWhereNothingKeepsItWarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour}
		s := newSource("argo/admin", m.fetch, quiet, time.Now)
		s.TokenRejected(token(t, s))
		synctest.Wait()
		if got := token(t, s); got != "token-b" {
			t.Error(got)
		}
	})
}

func TestAClockThatIsSetBackMakesNoTokenLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Int64
		m := &mint{life: time.Hour}
		s := newSource("argo/admin", m.fetch, quiet, func() time.Time { return time.Now().Add(-time.Duration(back.Load())) })
		running(t, s)
		synctest.Wait()
		back.Store(int64(2 * time.Hour))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if m.count.Load() < 2 {
			t.Error("the token is kept by a clock that is another")
		}
	})
}

func TestInvalidTokenIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "a b", "a\nb", "a\x00b", "a,b", "a;b", "ä", strings.Repeat("x", maxToken+1)} {
		s := newSource("argo/admin", func(context.Context) (issuedToken, error) {
			return issuedToken{bad, time.Now().Add(time.Hour)}, nil
		}, quiet, time.Now)
		_, err := s.Token(t.Context())
		if err == nil || len(bad) > 2 && strings.Contains(err.Error(), bad) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}

func TestFindingATokenAllocatesNothing(t *testing.T) {
	m := &mint{life: time.Hour}
	s := newSource("argo/admin", m.fetch, quiet, time.Now)
	token(t, s)
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Token(t.Context()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzTokenRequest(f *testing.F) {
	for _, seed := range []string{`{"status":{"token":"a.b.c","expirationTimestamp":"2030-01-01T00:00:00Z"}}`, `{"status":{"token":"a"}}`, `{}`, `null`, `[]`, `{"status":{"token":5}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseTokenResponse(strings.NewReader(string(body)))
		if err == nil && got.expires.IsZero() {
			t.Error("a token without an end")
		}
		if err == nil && checkToken(got.token) == nil && strings.ContainsAny(got.token, " \r\n") {
			t.Errorf("%q would break a header", got.token)
		}
	})
}
