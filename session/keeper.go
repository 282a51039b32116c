package session

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"time"

	"github.com/example-org/authgate/identity"
)

// KeeperOptions are the parts and times of a Keeper.
type KeeperOptions struct {
	Store Store
	Ask   Ask

	Lifetime, IdleTimeout      time.Duration // IdleTimeout 0: none
	RefreshEvery, RefreshGrace time.Duration

	// Refreshed is told of every renewal that was tried: nil, ErrStoreDown, or what
	// the issuer's answer came to. It must be safe for concurrent use.
	Refreshed func(s Session, err error)

	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

// Keeper finds the session of a request, keeps its groups fresh, and ends it. It
// is safe for concurrent use.
//
// It asks the issuer only for sessions that are in use, by a request or by an open
// stream: an idle browser costs nothing.
type Keeper struct {
	o        KeeperOptions
	seed     maphash.Seed
	renewals *renewals
	troubles *troubles
}

// NewKeeper asks nobody anything yet.
func NewKeeper(o KeeperOptions) *Keeper {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Refreshed == nil {
		o.Refreshed = func(Session, error) {}
	}
	return &Keeper{o: o, seed: maphash.MakeSeed(), renewals: newRenewals(), troubles: newTroubles(o.Log)}
}

// Find gives the session of a request, with groups that are fresh enough. The
// error says why there is none: that of [Store.Open], ErrOver or ErrStale.
//
// Groups that are due are read again beside the request. Only where they are too
// old to be used does the request wait, and not for long.
func (k *Keeper) Find(ctx context.Context, h http.Header, secure bool) (Session, error) {
	s, err := k.o.Store.Open(ctx, h, secure)
	if err != nil {
		return Session{}, err
	}
	now := k.o.Now()
	if k.cut(&s); s.Over(now) {
		return Session{}, ErrOver
	}
	switch k.freshness(&s, now) {
	case fresh:
		return s, nil
	case due:
		return k.renewBeside(ctx, s)
	default:
		return k.renewFirst(ctx, s)
	}
}

// Current is the newest copy of a session, for streams. It waits for nothing, and
// begins a renewal where one is due.
func (k *Keeper) Current(s Session) (Session, error) {
	s, err := k.o.Store.Current(s)
	if err != nil {
		return Session{}, err
	}
	now := k.o.Now()
	if k.cut(&s); s.Over(now) {
		return Session{}, ErrOver
	}
	how := k.freshness(&s, now)
	if how == fresh {
		return s, nil
	}
	owner := k.o.Store.Owner(s)
	k.tryRenewing(context.Background(), owner, s, false)
	if how == due {
		return s, nil
	}
	if _, why := k.troubles.of(owner, s.Read, now); why != nil {
		return Session{}, stale(why)
	}
	return Session{}, stale(errNoAnswer)
}

// Begin makes the session of somebody who has just signed in.
func (k *Keeper) Begin(ctx context.Context, w http.ResponseWriter, h http.Header, g identity.Grant, secure bool) (Session, error) {
	s, err := k.o.Store.Begin(ctx, w, h, Begin(g, k.o.Now(), k.o.Lifetime), secure)
	if err != nil {
		return Session{}, fmt.Errorf("keeping the new session: %w", err)
	}
	return s, nil
}

// Give hands the browser what has changed of the session; before the response
// header is sent.
func (k *Keeper) Give(w http.ResponseWriter, h http.Header, s Session, secure bool) {
	k.o.Store.Give(w, h, s, secure)
}

// End ends the session of a request, here and in the browser. The browser loses
// its cookie also where the error says that the store could not be told.
func (k *Keeper) End(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) error {
	k.o.Store.Forget(w, h, secure)
	k.troubles.drop(k.o.Store.Owner(s))
	if _, err := k.o.Store.Revoke(ctx, Which{ID: s.ID}); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// Forget takes the cookie from the browser.
func (k *Keeper) Forget(w http.ResponseWriter, h http.Header, secure bool) {
	k.o.Store.Forget(w, h, secure)
}

// Trouble says since when and why the groups of a session could not be read again;
// a zero time: they could.
func (k *Keeper) Trouble(s Session) (since time.Time, why error) {
	return k.troubles.of(k.o.Store.Owner(s), s.Read, k.o.Now())
}

// Revoke ends sessions, and says how many the store knew of.
func (k *Keeper) Revoke(ctx context.Context, which Which) (int, error) {
	return k.o.Store.Revoke(ctx, which)
}

// CheckBearer is nil for a bearer token that may say who asks.
func (k *Keeper) CheckBearer(t *identity.Token) error { return k.o.Store.CheckBearer(t) }

// RememberToken has a token refused as a bearer token, before an upstream sees it.
func (k *Keeper) RememberToken(ctx context.Context, digest [sha256.Size]byte, until time.Time) error {
	return k.o.Store.RememberToken(ctx, digest, until)
}

// List gives sessions without their tokens; ErrNoList where there is no list.
func (k *Keeper) List(ctx context.Context, which Which) ([]Session, error) {
	return k.o.Store.List(ctx, which)
}

// Down says why the store does not answer; nil: it does.
func (k *Keeper) Down() error { return k.o.Store.Down() }

// Run does the store's work, and owns the renewals that go on beside requests,
// until ctx ends. It returns when the last of them has. One Run at a time: before
// and after it, whoever needs a renewal does it within the request.
func (k *Keeper) Run(ctx context.Context) {
	finish := k.renewals.open(ctx)
	defer finish()
	k.o.Store.Run(ctx)
}
