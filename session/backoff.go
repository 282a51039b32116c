package session

import (
	"log/slog"
	"sync"
	"time"

	"github.com/example-org/authgate/backoff"
)

const (
	firstBackoff       = 5 * time.Second
	maxBackoff         = time.Minute
	maxRefreshFailures = 1 << 16 // users: some 16 MB, when the issuer fails for all of them
)

// refreshFailures remembers whose groups could not be refreshed. Only valid sessions get in.
// One that is evicted costs a request to the issuer and nothing else.
type refreshFailures struct {
	log *slog.Logger

	mu    sync.Mutex
	byKey map[string]refreshFailure // by Store.RefreshKey
}

// refreshFailure is a series of failures without a success.
type refreshFailure struct {
	subject string
	since   time.Time
	retryAt time.Time // no refresh before
	count   int
	err     error
}

func newRefreshFailures(log *slog.Logger) *refreshFailures {
	return &refreshFailures{log: log, byKey: make(map[string]refreshFailure)}
}

// get gives the failure to refresh groups that were read at a time; a nil cause: there is
// none.
func (t *refreshFailures) get(key string, read, now time.Time) (since time.Time, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	failure := t.find(key, read, now)
	return failure.since, failure.err
}

// inBackoff gives the cause for which the issuer is not asked yet; nil: it may be asked.
func (t *refreshFailures) inBackoff(key string, read, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	failure := t.find(key, read, now)
	wait := failure.retryAt.Sub(now)
	if wait <= 0 || wait > maxBackoff { // more than that: the clock was set back
		return nil
	}
	return failure.err
}

// find ends a failure that another replica or a later login has ended.
func (t *refreshFailures) find(key string, read, now time.Time) refreshFailure {
	failure, ok := t.byKey[key]
	if ok && read.After(failure.since) && !read.After(now.Add(MaxClockSkew)) {
		t.recovered(key, failure, now)
		return refreshFailure{}
	}
	return failure
}

// failed records a failed refresh. The log has the first of a series.
func (t *refreshFailures) failed(key, subject string, cause error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	failure, ok := t.byKey[key]
	if !ok {
		t.evict()
		failure.since, failure.subject = now, subject
		t.log.Warn("cannot refresh groups; keeping the previous groups for session.refreshGrace",
			"sub", subject, "error", cause)
	}
	failure.count++
	failure.err = cause
	failure.retryAt = now.Add(backoff.Delay(firstBackoff, maxBackoff, failure.count))
	t.byKey[key] = failure
}

// evict forgets any user.
func (t *refreshFailures) evict() {
	for key := range t.byKey {
		if len(t.byKey) < maxRefreshFailures {
			return
		}
		delete(t.byKey, key)
	}
}

// succeeded records a successful refresh.
func (t *refreshFailures) succeeded(key string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if failure, ok := t.byKey[key]; ok {
		t.recovered(key, failure, now)
	}
}

func (t *refreshFailures) recovered(key string, failure refreshFailure, now time.Time) {
	delete(t.byKey, key)
	t.log.Warn("groups refreshed again",
		"sub", failure.subject, "failed", failure.count, "after", now.Sub(failure.since).Round(time.Second).String())
}

// remove forgets a user whose session has ended.
func (t *refreshFailures) remove(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byKey, key)
}
