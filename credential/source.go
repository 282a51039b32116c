// Package credential gets the tokens that upstreams are shown in the place of
// people: those of Kubernetes ServiceAccounts, asked of the API server or read from
// a file. It knows nothing of requests, routes or policies.
package credential

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	patience   = 5 * time.Second  // of a request for the first token
	fetchLimit = 10 * time.Second // of one attempt, which goes on when its request gave up
	leeway     = 10 * time.Second // a token is not shown so shortly before its end: it has a way to go
	lookAgain  = time.Minute      // whatever was planned: clocks are set, machines sleep
	rereadFile = time.Second      // what has no end of its own

	firstBackoff = time.Second
	maxBackoff   = time.Minute

	sparing = time.Minute // between renewals because an upstream rejected a token: any user can bring that about
)

// fetched is a token and its end; a zero end: it has none that is known.
type fetched struct {
	token   string
	expires time.Time
}

// fetch gets a token from where it comes from.
type fetch func(ctx context.Context) (fetched, error)

// Source is one account's token, renewed before it ends. It is safe for concurrent
// use. Run keeps it warm; without it, whoever asks waits for a token that has ended.
type Source struct {
	name  string // for the log
	fetch fetch
	log   *slog.Logger
	now   func() time.Time

	held atomic.Pointer[held]

	mu      sync.Mutex
	flight  *flight // nil: nobody asks right now
	failure failure
	doubted time.Time // when a renewal was last begun because a token was rejected
	going   sync.WaitGroup
}

// held is a token at hand. It is immutable.
type held struct {
	fetched
	since, renew time.Time
}

// flight is one attempt, for all who wait for it.
type flight struct {
	done chan struct{}
	err  error
}

// failure is a row of attempts that came to nothing.
type failure struct {
	count int
	err   error
	next  time.Time
}

func newSource(name string, get fetch, log *slog.Logger, now func() time.Time) *Source {
	return &Source{name: name, fetch: get, log: log, now: now}
}

// Token is one that is good for a while. Once there is one it waits for nothing.
// The error is of this package, and says by its Mend what the operator can do.
func (s *Source) Token(ctx context.Context) (string, error) {
	if h := s.held.Load(); h != nil && h.good(s.now()) {
		return h.token, nil
	}
	f := s.begin()
	if f == nil {
		return "", s.lastError()
	}
	waited := time.NewTimer(patience)
	defer waited.Stop()
	select {
	case <-f.done:
		if f.err != nil {
			return "", f.err
		}
		if h := s.held.Load(); h != nil && h.good(s.now()) {
			return h.token, nil
		}
		return "", errEnded
	case <-waited.C:
		return "", errSlow
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

var (
	errSlow  = &UnreachableError{Reason: "it has not answered yet"}
	errEnded = &UnreachableError{Reason: "the token that it gave has ended already: do the clocks differ?"}
)

func (h *held) good(now time.Time) bool {
	return h.expires.IsZero() || now.Before(h.expires.Add(-leeway))
}

// Refused says that a server rejected a token: the account may have been deleted
// and created again, or the answer may be about something else. A new token is
// asked for in the background, at most once a minute; until it has come, the old
// one stays in use, because others with the same account depend on it.
func (s *Source) Refused(token string) {
	if s.doubt(token) {
		s.begin()
	}
}

// doubt reports whether to ask for another token than this one.
func (s *Source) doubt(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, now := s.held.Load(), s.now()
	if h == nil || h.token != token || now.Sub(s.doubted) < sparing && !now.Before(s.doubted) {
		return false
	}
	s.doubted = now
	s.log.Warn("an upstream rejected the token of an account; asking for a new one", "account", s.name)
	return true
}

// begin joins the attempt that is under way, or starts one; nil: the last one
// failed a moment ago.
func (s *Source) begin() *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	if wait := s.failure.next.Sub(s.now()); 0 < wait && wait <= maxBackoff { // more than that: the clock was set back
		return nil
	}
	f := &flight{done: make(chan struct{})}
	s.flight = f
	s.going.Go(func() { s.finish(f) })
	return f
}

func (s *Source) lastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure.err == nil {
		return errSlow
	}
	return s.failure.err
}

func (s *Source) finish(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchLimit)
	defer cancel()
	f.err = errSlow // should fetch panic
	defer func() {
		s.mu.Lock()
		s.flight = nil
		s.mu.Unlock()
		close(f.done)
	}()
	got, err := s.fetch(ctx)
	if err == nil {
		err = checkToken(got.token)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errSlow
	}
	f.err = err
	s.note(got, err)
}

// note keeps what an attempt came to. The log has each row of failures once.
func (s *Source) note(got fetched, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if err != nil {
		if s.failure.count++; s.failure.count == 1 {
			s.log.Error("no token for an account; the last one is shown as long as it is good", "account", s.name, "error", err, "mend", mendOf(err))
		}
		s.failure.err, s.failure.next = err, now.Add(backoff(s.failure.count))
		return
	}
	if s.failure.count > 0 {
		s.log.Info("there is a token for an account again", "account", s.name, "failed", s.failure.count)
	}
	s.failure = failure{}
	h := &held{fetched: got, since: now, renew: now.Add(rereadFile)}
	if !got.expires.IsZero() {
		h.renew = now.Add(renewAfter(got.expires.Sub(now)))
	}
	s.held.Store(h)
}

// renewAfter is 80 % of a life, and up to a tenth of it sooner, so that many
// replicas do not ask together (kubelet does likewise: token_manager.go).
func renewAfter(life time.Duration) time.Duration {
	if life <= 0 {
		return 0
	}
	return life*8/10 - rand.N(life/10+1)
}

// backoff is a second after the first failure and doubles up to a minute, less up
// to a quarter.
func backoff(failed int) time.Duration {
	d := maxBackoff
	if failed < 7 {
		d = min(firstBackoff<<max(failed-1, 0), maxBackoff)
	}
	return d - rand.N(d/4)
}

// Run keeps the token warm until ctx ends.
func (s *Source) Run(ctx context.Context) {
	defer s.going.Wait()
	for {
		if s.due() {
			if f := s.begin(); f != nil {
				select {
				case <-f.done:
				case <-ctx.Done():
					return
				}
			}
		}
		timer := time.NewTimer(s.untilDue())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// due also holds when the clock was set back behind the token's beginning: its end
// is of the other time.
func (s *Source) due() bool {
	h, now := s.held.Load(), s.now()
	return h == nil || !now.Before(h.renew) || now.Before(h.since.Add(-lookAgain))
}

func (s *Source) untilDue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, now, wait := s.held.Load(), s.now(), lookAgain
	if h != nil {
		wait = min(wait, h.renew.Sub(now))
	}
	if s.failure.count > 0 {
		wait = min(lookAgain, max(s.failure.next.Sub(now), wait))
		if h == nil || !now.Before(h.renew) {
			wait = min(lookAgain, s.failure.next.Sub(now))
		}
	}
	return max(wait, 10*time.Millisecond)
}

// checkToken refuses what cannot stand in a header.
func checkToken(token string) error {
	switch {
	case token == "":
		return &TokenError{"it is empty"}
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == ',' || r == ';' || r == '\\' }):
		return &TokenError{"it holds blanks or characters that no token has"}
	case len(token) > maxToken:
		return &TokenError{"it is too long for a header"}
	}
	return nil
}

const maxToken = 16 << 10
