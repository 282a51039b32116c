// Package credential gets the tokens of Kubernetes ServiceAccounts that upstreams get in
// place of the user's: from the API server, or from a file. It knows nothing of requests,
// routes or policies.
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

	"github.com/example-org/authgate/backoff"
	"golang.org/x/sync/singleflight"
)

const (
	waitTimeout        = 5 * time.Second  // of a request for the first token
	fetchTimeout       = 10 * time.Second // of one attempt, which continues when its request ends
	expiryMargin       = 10 * time.Second // a token is not used so shortly before its expiry: the request takes a while
	maxRefreshInterval = time.Minute      // in any case: clocks are set, machines sleep
	fileRereadInterval = time.Second      // of a token without a known expiry

	firstBackoff = time.Second
	maxBackoff   = time.Minute

	rejectionCooldown = time.Minute // between fetches because an upstream rejected a token: any user can cause that
)

// issuedToken is a token and its expiry; a zero time: unknown.
type issuedToken struct {
	token   string
	expires time.Time
}

// fetchFunc fetches a token from its origin.
type fetchFunc func(ctx context.Context) (issuedToken, error)

// Source is one account's token, refreshed before it expires. It is safe for concurrent use.
// Run refreshes it in advance; without it, a request waits for a new token.
type Source struct {
	name  string // for the log
	fetch fetchFunc
	log   *slog.Logger
	now   func() time.Time

	cached atomic.Pointer[cachedToken]

	flight singleflight.Group

	mu         sync.Mutex
	failure    failure
	rejectedAt time.Time // when a token was last fetched because an upstream rejected one
}

// cachedToken is a token at hand. It is immutable.
type cachedToken struct {
	issuedToken
	fetchedAt, refreshAt time.Time
}

// failure is a series of failed attempts.
type failure struct {
	count   int
	err     error
	retryAt time.Time
}

func newSource(name string, fetch fetchFunc, log *slog.Logger, now func() time.Time) *Source {
	return &Source{name: name, fetch: fetch, log: log, now: now}
}

// Token gives a token that is valid for a while. It waits only for the first one.
// Errors are of this package, and their Hint says what the operator can do.
func (s *Source) Token(ctx context.Context) (string, error) {
	if h := s.cached.Load(); h != nil && h.isFresh(s.now()) {
		return h.token, nil
	}
	timeout := time.NewTimer(waitTimeout)
	defer timeout.Stop()
	select {
	case attempt := <-s.startFetch():
		if attempt.Err != nil {
			return "", attempt.Err
		}
		if h := s.cached.Load(); h != nil && h.isFresh(s.now()) {
			return h.token, nil
		}
		return "", errExpired
	case <-timeout.C:
		return "", errTimeout
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

var (
	errTimeout = &UnreachableError{Reason: "it has not answered yet"}
	errExpired = &UnreachableError{Reason: "the token that it gave has expired already: do the clocks differ?"}
)

func (h *cachedToken) isFresh(now time.Time) bool {
	return h.expires.IsZero() || now.Before(h.expires.Add(-expiryMargin))
}

// TokenRejected says that a server rejected a token: the account may have been deleted and
// created again, or the response may have another cause. A new token is fetched in the
// background, at most once a minute. Until then the old one stays in use, because other
// users with the same account depend on it.
func (s *Source) TokenRejected(token string) {
	if s.noteRejection(token) {
		s.startFetch()
	}
}

// noteRejection reports whether to fetch another token than this one.
func (s *Source) noteRejection(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, now := s.cached.Load(), s.now()
	if h == nil || h.token != token || now.Sub(s.rejectedAt) < rejectionCooldown && !now.Before(s.rejectedAt) {
		return false
	}
	s.rejectedAt = now
	s.log.Warn("an upstream rejected the token of an account; asking for a new one", "account", s.name)
	return true
}

// startFetch joins the attempt that is in flight, or starts one.
func (s *Source) startFetch() <-chan singleflight.Result {
	return s.flight.DoChan("", func() (any, error) { return nil, s.attempt() })
}

// attempt fetches a token, unless the last attempt failed a moment ago. It does not end with
// the request that started it.
func (s *Source) attempt() error {
	if err := s.inBackoff(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	issued, err := s.fetch(ctx)
	if err == nil {
		err = checkToken(issued.token)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errTimeout
	}
	s.record(issued, err)
	return err
}

// inBackoff gives the last failure until it is time to retry.
func (s *Source) inBackoff() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.failure.retryAt.Sub(s.now()); wait <= 0 || wait > maxBackoff { // more than that: the clock was set back
		return nil
	}
	return s.failure.err
}

// record stores the result of an attempt. The log has each series of failures once.
func (s *Source) record(issued issuedToken, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if err != nil {
		if s.failure.count++; s.failure.count == 1 {
			s.log.Error("cannot get a service account token; the previous one stays in use until it expires",
				"account", s.name, "error", err, "hint", hintOf(err))
		}
		s.failure.err, s.failure.retryAt = err, now.Add(backoff.Delay(firstBackoff, maxBackoff, s.failure.count))
		return
	}
	if s.failure.count > 0 {
		s.log.Info("service account token restored", "account", s.name, "failed", s.failure.count)
	}
	s.failure = failure{}
	h := &cachedToken{issuedToken: issued, fetchedAt: now, refreshAt: now.Add(fileRereadInterval)}
	if !issued.expires.IsZero() {
		h.refreshAt = now.Add(refreshAfter(issued.expires.Sub(now)))
	}
	s.cached.Store(h)
}

// refreshAfter is 80 % of a lifetime, minus up to a tenth at random, so that many replicas
// do not ask together (as kubelet does: token_manager.go).
func refreshAfter(lifetime time.Duration) time.Duration {
	if lifetime <= 0 {
		return 0
	}
	return lifetime*8/10 - rand.N(lifetime/10+1)
}

// Run refreshes the token in advance until ctx ends.
func (s *Source) Run(ctx context.Context) {
	for {
		if s.needsRefresh() {
			<-s.startFetch()
		}
		timer := time.NewTimer(s.untilRefresh())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// needsRefresh also holds if the clock was set back before the token was fetched: its expiry
// is then wrong.
func (s *Source) needsRefresh() bool {
	h, now := s.cached.Load(), s.now()
	return h == nil || !now.Before(h.refreshAt) || now.Before(h.fetchedAt.Add(-maxRefreshInterval))
}

func (s *Source) untilRefresh() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, now, wait := s.cached.Load(), s.now(), maxRefreshInterval
	if h != nil {
		wait = min(wait, h.refreshAt.Sub(now))
	}
	if s.failure.count > 0 {
		wait = min(maxRefreshInterval, max(s.failure.retryAt.Sub(now), wait))
		if h == nil || !now.Before(h.refreshAt) {
			wait = min(maxRefreshInterval, s.failure.retryAt.Sub(now))
		}
	}
	return max(wait, 10*time.Millisecond)
}

// checkToken refuses what cannot be sent in a header.
func checkToken(token string) error {
	switch {
	case token == "":
		return &TokenError{"it is empty"}
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",;\`, r) }):
		return &TokenError{"it has spaces or characters that no token has"}
	case len(token) > maxToken:
		return &TokenError{"it is too long for a header"}
	}
	return nil
}

const maxToken = 16 << 10
