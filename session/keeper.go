package session

import (
	"context"
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
type Keeper struct {
	o KeeperOptions
}

// NewKeeper asks nobody anything yet.
func NewKeeper(o KeeperOptions) *Keeper {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Keeper{o: o}
}

// Find gives the session of a request, with groups that are fresh enough. The
// error says why there is none.
func (k *Keeper) Find(ctx context.Context, h http.Header, secure bool) (Session, error) {
	return k.o.Store.Open(ctx, h, secure)
}

// Begin makes the session of somebody who has just signed in.
func (k *Keeper) Begin(ctx context.Context, w http.ResponseWriter, h http.Header, g identity.Grant, secure bool) (Session, error) {
	s := Begin(g, k.o.Now(), k.o.Lifetime)
	return s, k.o.Store.Begin(ctx, w, h, s, secure)
}

// Give hands the browser what has changed of the session; before the response
// header is sent.
func (k *Keeper) Give(w http.ResponseWriter, h http.Header, s Session, secure bool) {
	k.o.Store.Give(w, h, s, secure)
}

// Current is the newest copy of a session, for streams. It waits for nothing, and
// begins a renewal where one is due.
func (k *Keeper) Current(s Session) (Session, error) { return k.o.Store.Current(s) }

// End ends the session of a request, here and in the browser.
func (k *Keeper) End(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) error {
	k.o.Store.Forget(w, h, secure)
	_, err := k.o.Store.Revoke(ctx, Which{ID: s.ID})
	return err
}

// Forget takes the cookie from the browser.
func (k *Keeper) Forget(w http.ResponseWriter, h http.Header, secure bool) {
	k.o.Store.Forget(w, h, secure)
}

// Trouble says since when and why the groups of a session could not be read again;
// a zero time: they could.
func (k *Keeper) Trouble(s Session) (since time.Time, why error) { return time.Time{}, nil }

// Revoke, List and Down are those of the store.
func (k *Keeper) Revoke(ctx context.Context, which Which) (int, error) {
	return k.o.Store.Revoke(ctx, which)
}

func (k *Keeper) List(ctx context.Context, which Which) ([]Session, error) {
	return k.o.Store.List(ctx, which)
}

func (k *Keeper) Down() error { return k.o.Store.Down() }

// Run works in the background until ctx ends.
func (k *Keeper) Run(ctx context.Context) { k.o.Store.Run(ctx) }
