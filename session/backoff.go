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
	maxRefreshFailures = 1 << 16 // people: some 16 MB, when the issuer fails for all of them
)

// refreshFailures remember whose groups could not be read again. Only a session that
// opened gets in, and what is forgotten for want of room costs a question to the
// issuer and nothing else.
type refreshFailures struct {
	log *slog.Logger

	mu    sync.Mutex
	byKey map[string]refreshFailure // by Store.Owner
}

// refreshFailure is a row of failures, with no success between them.
type refreshFailure struct {
	subject string
	since   time.Time
	retryAt time.Time // nobody asks again before
	count   int
	err     error
}

func newRefreshFailures(log *slog.Logger) *refreshFailures {
	return &refreshFailures{log: log, byKey: make(map[string]refreshFailure)}
}

// get gives the trouble with the groups that were read at a time; a nil why: there
// is none.
func (t *refreshFailures) get(key string, read, now time.Time) (since time.Time, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	failure := t.find(key, read, now)
	return failure.since, failure.err
}

// inBackoff says why the issuer is not asked again yet; nil: it may be.
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

// find ends a trouble that somebody else has mended: another replica, or a later
// login.
func (t *refreshFailures) find(key string, read, now time.Time) refreshFailure {
	failure, ok := t.byKey[key]
	if ok && read.After(failure.since) && !read.After(now.Add(MaxClockSkew)) {
		t.recovered(key, failure, now)
		return refreshFailure{}
	}
	return failure
}

// failed notes that a renewal came to nothing. The log has it once.
func (t *refreshFailures) failed(key, subject string, cause error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	failure, ok := t.byKey[key]
	if !ok {
		t.evict()
		failure.since, failure.subject = now, subject
		t.log.Warn("groups cannot be read again: the session goes on with the old ones for session.refreshGrace", "sub", subject, "error", cause)
	}
	failure.count++
	failure.err = cause
	failure.retryAt = now.Add(backoff.Delay(firstBackoff, maxBackoff, failure.count))
	t.byKey[key] = failure
}

// evict forgets anybody.
func (t *refreshFailures) evict() {
	for key := range t.byKey {
		if len(t.byKey) < maxRefreshFailures {
			return
		}
		delete(t.byKey, key)
	}
}

// succeeded notes that groups were read again.
func (t *refreshFailures) succeeded(key string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if failure, ok := t.byKey[key]; ok {
		t.recovered(key, failure, now)
	}
}

func (t *refreshFailures) recovered(key string, failure refreshFailure, now time.Time) {
	delete(t.byKey, key)
	t.log.Warn("groups are read again", "sub", failure.subject, "failed", failure.count, "after", now.Sub(failure.since).Round(time.Second).String())
}

// remove forgets somebody whose session is over.
func (t *refreshFailures) remove(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byKey, key)
}
