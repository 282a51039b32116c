package session

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstBackoff = 5 * time.Second
	maxBackoff   = time.Minute
	maxTroubles  = 1 << 16 // people: some 16 MB, when the issuer fails for all of them
)

// troubles remember whose groups could not be read again. Only a session that
// opened gets in, and what is forgotten for want of room costs a question to the
// issuer and nothing else.
type troubles struct {
	log *slog.Logger

	mu   sync.Mutex
	each map[string]trouble // by Store.Owner
}

// trouble is a row of failures, with no success between them.
type trouble struct {
	subject string
	since   time.Time
	next    time.Time // nobody asks again before
	failed  int
	why     error
}

func newTroubles(log *slog.Logger) *troubles {
	return &troubles{log: log, each: make(map[string]trouble)}
}

// of gives the trouble with the groups that were read at a time; a nil why: there
// is none.
func (t *troubles) of(owner string, read, now time.Time) (since time.Time, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.find(owner, read, now)
	return one.since, one.why
}

// holdOff says why the issuer is not asked again yet; nil: it may be.
func (t *troubles) holdOff(owner string, read, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.find(owner, read, now)
	wait := one.next.Sub(now)
	if wait <= 0 || wait > maxBackoff { // more than that: the clock was set back
		return nil
	}
	return one.why
}

// find ends a trouble that somebody else has mended: another replica, or a later
// login.
func (t *troubles) find(owner string, read, now time.Time) trouble {
	one, ok := t.each[owner]
	if ok && read.After(one.since) && !read.After(now.Add(maxSkew)) {
		t.mended(owner, one, now)
		return trouble{}
	}
	return one
}

// fail notes that a renewal came to nothing. The log has it once.
func (t *troubles) fail(owner, subject string, why error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one, ok := t.each[owner]
	if !ok {
		t.makeRoom()
		one.since, one.subject = now, subject
		t.log.Warn("groups cannot be read again: the session goes on with the old ones for session.refreshGrace", "sub", subject, "error", why)
	}
	one.failed++
	one.why = why
	one.next = now.Add(backoff(one.failed))
	t.each[owner] = one
}

// makeRoom forgets anybody.
func (t *troubles) makeRoom() {
	for owner := range t.each {
		if len(t.each) < maxTroubles {
			return
		}
		delete(t.each, owner)
	}
}

// end notes that groups were read again.
func (t *troubles) end(owner string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one, ok := t.each[owner]; ok {
		t.mended(owner, one, now)
	}
}

func (t *troubles) mended(owner string, one trouble, now time.Time) {
	delete(t.each, owner)
	t.log.Warn("groups are read again", "sub", one.subject, "failed", one.failed, "after", now.Sub(one.since).Round(time.Second).String())
}

// drop forgets somebody whose session is over.
func (t *troubles) drop(owner string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.each, owner)
}

// backoff is 5 s after the first failure and doubles up to a minute, less up to a
// quarter: those who failed together do not ask together again.
func backoff(failed int) time.Duration {
	d := maxBackoff
	if doubled := failed - 1; doubled < 4 { // 5 s << 4 is more than a minute
		d = min(firstBackoff<<max(doubled, 0), maxBackoff)
	}
	return d - rand.N(d/4)
}
