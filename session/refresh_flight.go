package session

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	maxRefreshes           = 16               // at a time: an issuer that was away is not met by everybody at once
	maxRefreshWait         = 10 * time.Second // of a request for a renewal
	refreshTimeout         = 20 * time.Second // of a renewal, which goes on when its request gave up
	refreshShutdownTimeout = 3 * time.Second  // of renewals at shutdown: what the issuer has given already should be kept
)

// refreshGroup holds the refreshes in flight: one per Store.RefreshKey, and no more than
// maxRefreshes. It is not a singleflight.Group, which can only join a call: each request
// that passes while a refresh is in flight would leave a channel in it.
type refreshGroup struct {
	slots *semaphore.Weighted

	mu     sync.Mutex
	calls  map[string]*refreshCall // by Store.Owner
	runCtx context.Context         // what goes on beside requests belongs to Run, not to them; nil: nobody runs
	wg     sync.WaitGroup
}

// refreshCall is one that is under way. What it came to is there once done is closed.
type refreshCall struct {
	done    chan struct{}
	session Session
	err     error
}

func newRefreshGroup() *refreshGroup {
	return &refreshGroup{slots: semaphore.NewWeighted(maxRefreshes), calls: make(map[string]*refreshCall)}
}

// start lets renewals go on beside requests. finish begins none any more and waits
// for those under way; what takes too long is cancelled.
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

// tryRefresh begins a renewal unless one is under way, too many are, or the last
// one failed a moment ago; nil: it did not. Where nobody runs and the caller may
// wait, the renewal is over when this returns.
func (k *Refresher) tryRefresh(ctx context.Context, key string, s Session, mayWait bool) *refreshCall {
	if k.failures.inBackoff(key, s.FetchedAt, k.o.Now()) != nil || k.refreshes.find(key) != nil {
		return nil
	}
	if !k.refreshes.slots.TryAcquire(1) {
		return nil
	}
	return k.startRefresh(ctx, key, s, mayWait)
}

// joinRefresh gives the renewal that is under way, or begins one as soon as there
// is a place. The error says why there is none.
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
	return k.startRefresh(ctx, key, s, true), nil
}

func (r *refreshGroup) find(key string) *refreshCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[key]
}

// startRefresh is called with a place, which it gives back.
func (k *Refresher) startRefresh(ctx context.Context, key string, s Session, mayWait bool) *refreshCall {
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
	call := &refreshCall{done: make(chan struct{})}
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
	call.err = errNoAnswer // should renew panic: net/http goes on after that
	defer func() {
		k.refreshes.mu.Lock()
		delete(k.refreshes.calls, key)
		k.refreshes.mu.Unlock()
		k.refreshes.slots.Release(1)
		close(call.done)
	}()
	call.session, call.err = k.refresh(ctx, key, s)
}
