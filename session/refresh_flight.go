package session

import (
	"context"
	"sync"
	"time"
)

const (
	maxRenewals = 16               // at a time: an issuer that was away is not met by everybody at once
	maxWait     = 10 * time.Second // of a request for a renewal
	maxRenewal  = 20 * time.Second // of a renewal, which goes on when its request gave up
	finishing   = 3 * time.Second  // of renewals at shutdown: what the issuer has given already should be kept
)

// renewals are those under way: one for each owner, and no more than maxRenewals.
type renewals struct {
	places chan struct{}

	mu    sync.Mutex
	of    map[string]*renewal // by Store.Owner
	run   context.Context     // what goes on beside requests belongs to Run, not to them; nil: nobody runs
	going sync.WaitGroup
}

// renewal is one that is under way. What it came to is there once done is closed.
type renewal struct {
	done    chan struct{}
	session Session
	err     error
}

func newRenewals() *renewals {
	return &renewals{places: make(chan struct{}, maxRenewals), of: make(map[string]*renewal)}
}

// open lets renewals go on beside requests. finish begins none any more and waits
// for those under way; what takes too long is cancelled.
func (r *renewals) open(ctx context.Context) (finish func()) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.mu.Lock()
	r.run = run
	r.mu.Unlock()
	return func() {
		r.mu.Lock()
		r.run = nil
		r.mu.Unlock()
		late := time.AfterFunc(finishing, cancel)
		r.going.Wait()
		late.Stop()
		cancel()
	}
}

// tryRenewing begins a renewal unless one is under way, too many are, or the last
// one failed a moment ago; nil: it did not. Where nobody runs and the caller may
// wait, the renewal is over when this returns.
func (k *Keeper) tryRenewing(ctx context.Context, owner string, s Session, mayWait bool) *renewal {
	if k.troubles.holdOff(owner, s.Read, k.o.Now()) != nil || k.renewals.find(owner) != nil {
		return nil
	}
	select {
	case k.renewals.places <- struct{}{}:
		return k.beginRenewal(ctx, owner, s, mayWait)
	default:
		return nil
	}
}

// joinRenewal gives the renewal that is under way, or begins one as soon as there
// is a place. The error says why there is none.
func (k *Keeper) joinRenewal(ctx context.Context, owner string, s Session) (*renewal, error) {
	if r := k.renewals.find(owner); r != nil {
		return r, nil
	}
	if why := k.troubles.holdOff(owner, s.Read, k.o.Now()); why != nil {
		return nil, why
	}
	select {
	case k.renewals.places <- struct{}{}:
		return k.beginRenewal(ctx, owner, s, true), nil
	case <-ctx.Done():
		return nil, errBusy
	}
}

func (r *renewals) find(owner string) *renewal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[owner]
}

// beginRenewal is called with a place, which it gives back.
func (k *Keeper) beginRenewal(ctx context.Context, owner string, s Session, mayWait bool) *renewal {
	r := k.renewals
	r.mu.Lock()
	if other := r.of[owner]; other != nil {
		r.mu.Unlock()
		<-r.places
		return other
	}
	if r.run == nil && !mayWait {
		r.mu.Unlock()
		<-r.places
		return nil
	}
	it := &renewal{done: make(chan struct{})}
	r.of[owner] = it
	if run := r.run; run != nil {
		r.going.Go(func() { k.finishRenewal(run, it, owner, s) })
		r.mu.Unlock()
		return it
	}
	r.mu.Unlock()
	k.finishRenewal(context.WithoutCancel(ctx), it, owner, s)
	return it
}

func (k *Keeper) finishRenewal(ctx context.Context, it *renewal, owner string, s Session) {
	ctx, cancel := context.WithTimeout(ctx, maxRenewal)
	defer cancel()
	it.err = errNoAnswer // should renew panic: net/http goes on after that
	defer func() {
		k.renewals.mu.Lock()
		delete(k.renewals.of, owner)
		k.renewals.mu.Unlock()
		<-k.renewals.places
		close(it.done)
	}()
	it.session, it.err = k.renew(ctx, owner, s)
}
