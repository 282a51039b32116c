package session

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	maxRefreshes           = 16               // at a time: an issuer that comes back does not get all at once
	maxRefreshWait         = 10 * time.Second // of a request for a refresh
	refreshTimeout         = 20 * time.Second // of a refresh, which continues when its request ends
	refreshShutdownTimeout = 3 * time.Second  // of refreshes at shutdown: issued tokens should be stored
)

// refreshGroup holds the refreshes in flight: one per Store.RefreshKey, and no more than
// maxRefreshes. It is not a singleflight.Group, which can only join a call: each request
// that passes while a refresh is in flight would leave a channel in it.
type refreshGroup struct {
	slots *semaphore.Weighted

	mu     sync.Mutex
	calls  map[string]*refreshCall // by Store.RefreshKey
	runCtx context.Context         // of Run, which owns background refreshes; nil: it does not run
	wg     sync.WaitGroup
}

// refreshCall is a refresh in flight. Its result is there once done is closed.
type refreshCall struct {
	mode    refreshMode
	done    chan struct{}
	session Session
	err     error
}

func newRefreshGroup() *refreshGroup {
	return &refreshGroup{slots: semaphore.NewWeighted(maxRefreshes), calls: make(map[string]*refreshCall)}
}

// start allows background refreshes. finish allows no new ones and waits for those in
// flight; slow ones are cancelled.
func (r *refreshGroup) start(ctx context.Context) (finish func()) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.mu.Lock()
	r.runCtx = run
	r.mu.Unlock()
	return func() {
		r.mu.Lock()
		r.runCtx = nil
		r.mu.Unlock()
		late := time.AfterFunc(refreshShutdownTimeout, cancel)
		r.wg.Wait()
		late.Stop()
		cancel()
	}
}

// tryRefresh starts a refresh unless one is in flight, too many are, or the last one failed
// a moment ago; nil: it did not. If Run does not run and the caller may wait, the refresh
// has ended when this returns.
func (k *Refresher) tryRefresh(ctx context.Context, key string, s Session, mayWait bool) *refreshCall {
	if k.failures.inBackoff(key, s.FetchedAt, k.o.Now()) != nil || k.refreshes.find(key) != nil {
		return nil
	}
	if !k.refreshes.slots.TryAcquire(1) {
		return nil
	}
	return k.startRefresh(ctx, key, s, mayWait, ifDue)
}

// joinRefresh gives the refresh in flight, or starts one as soon as there is a slot. The
// error says why there is none.
func (k *Refresher) joinRefresh(ctx context.Context, key string, s Session) (*refreshCall, error) {
	if r := k.refreshes.find(key); r != nil {
		return r, nil
	}
	if cause := k.failures.inBackoff(key, s.FetchedAt, k.o.Now()); cause != nil {
		return nil, cause
	}
	if k.refreshes.slots.Acquire(ctx, 1) != nil {
		return nil, errTooManyRefreshes
	}
	return k.startRefresh(ctx, key, s, true, ifDue), nil
}

// joinForcedRefresh is joinRefresh for groups that are read again although they are fresh. A user
// asks for it, so it does not wait for the end of a backoff.
func (k *Refresher) joinForcedRefresh(ctx context.Context, key string, s Session) (*refreshCall, error) {
	if r := k.refreshes.find(key); r != nil {
		return r, nil
	}
	if k.refreshes.slots.Acquire(ctx, 1) != nil {
		return nil, errTooManyRefreshes
	}
	return k.startRefresh(ctx, key, s, true, forced), nil
}

func (r *refreshGroup) find(key string) *refreshCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[key]
}

// refreshMode says when a refresh asks the issuer.
type refreshMode int

const (
	ifDue  refreshMode = iota // if the groups are due, and the last attempt did not just fail
	forced                    // if nothing has refreshed them since the caller looked
)

// startRefresh needs a slot, which it releases.
func (k *Refresher) startRefresh(ctx context.Context, key string, s Session, mayWait bool, mode refreshMode,
) *refreshCall {
	r := k.refreshes
	r.mu.Lock()
	if other := r.calls[key]; other != nil {
		r.mu.Unlock()
		r.slots.Release(1)
		return other
	}
	if r.runCtx == nil && !mayWait {
		r.mu.Unlock()
		r.slots.Release(1)
		return nil
	}
	call := &refreshCall{mode: mode, done: make(chan struct{})}
	r.calls[key] = call
	if run := r.runCtx; run != nil {
		r.wg.Go(func() { k.runRefresh(run, call, key, s) })
		r.mu.Unlock()
		return call
	}
	r.mu.Unlock()
	k.runRefresh(context.WithoutCancel(ctx), call, key, s)
	return call
}

func (k *Refresher) runRefresh(ctx context.Context, call *refreshCall, key string, s Session) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	call.err = errNoAnswer // if refresh panics: net/http recovers
	defer func() {
		k.refreshes.mu.Lock()
		delete(k.refreshes.calls, key)
		k.refreshes.mu.Unlock()
		k.refreshes.slots.Release(1)
		close(call.done)
	}()
	call.session, call.err = k.refresh(ctx, key, s, call.mode)
}
