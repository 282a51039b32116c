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

// RefresherOptions are the parts and times of a Refresher.
type RefresherOptions struct {
	Store   Store
	Refresh RefreshFunc

	Lifetime, IdleTimeout      time.Duration // IdleTimeout 0: none
	RefreshEvery, RefreshGrace time.Duration

	// Refreshed is called after every refresh attempt: with nil, ErrStoreDown, or the error
	// of the issuer's response. It must be safe for concurrent use.
	Refreshed func(s Session, err error)

	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

// Refresher finds the session of a request, keeps its groups fresh, and ends it. It is safe
// for concurrent use.
//
// It asks the issuer only for sessions in use, by a request or by an open stream: an idle
// browser costs nothing.
type Refresher struct {
	o         RefresherOptions
	seed      maphash.Seed
	refreshes *refreshGroup
	failures  *refreshFailures
}

// NewRefresher makes no requests.
func NewRefresher(o RefresherOptions) *Refresher {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Refreshed == nil {
		o.Refreshed = func(Session, error) {}
	}
	return &Refresher{o: o, seed: maphash.MakeSeed(), refreshes: newRefreshGroup(), failures: newRefreshFailures(o.Log)}
}

// Find gives the session of a request, with groups that are fresh enough. The error says why
// there is none: that of [Store.Open], ErrExpired or ErrStale.
//
// Groups that are due are refreshed in the background. The request waits for a moment only
// if its groups are stale.
func (k *Refresher) Find(ctx context.Context, h http.Header, secure bool) (Session, error) {
	s, err := k.o.Store.Open(ctx, h, secure)
	if err != nil {
		return Session{}, err
	}
	now := k.o.Now()
	if k.clampExpiry(&s); s.Expired(now) {
		return Session{}, ErrExpired
	}
	switch k.freshness(&s, now) {
	case fresh:
		return s, nil
	case refreshDue:
		return k.refreshAsync(ctx, s)
	default:
		return k.refreshSync(ctx, s)
	}
}

// Peek gives the session of a request without refreshing its groups, to end a session. The
// error is that of [Store.Open].
func (k *Refresher) Peek(ctx context.Context, h http.Header, secure bool) (Session, error) {
	return k.o.Store.Open(ctx, h, secure)
}

// Current gives the newest copy of a session, for streams. It does not wait, and starts a
// refresh if one is due.
func (k *Refresher) Current(s Session) (Session, error) {
	s, err := k.o.Store.Current(s)
	if err != nil {
		return Session{}, err
	}
	now := k.o.Now()
	if k.clampExpiry(&s); s.Expired(now) {
		return Session{}, ErrExpired
	}
	status := k.freshness(&s, now)
	if status == fresh {
		return s, nil
	}
	key := k.o.Store.RefreshKey(s)
	k.tryRefresh(context.Background(), key, s, false)
	if status == refreshDue {
		return s, nil
	}
	if _, cause := k.failures.get(key, s.FetchedAt, now); cause != nil {
		return Session{}, staleError(cause)
	}
	return Session{}, staleError(errNoAnswer)
}

// Create stores the session of a user who has just signed in.
func (k *Refresher) Create(
	ctx context.Context, w http.ResponseWriter, h http.Header, g identity.TokenSet, secure bool,
) (Session, error) {
	s, err := k.o.Store.Create(ctx, w, h, New(g, k.o.Now(), k.o.Lifetime), secure)
	if err != nil {
		return Session{}, fmt.Errorf("storing the new session: %w", err)
	}
	return s, nil
}

// WriteCookie updates the browser's cookie if the session has changed; call it before the
// response header is sent.
func (k *Refresher) WriteCookie(w http.ResponseWriter, h http.Header, s Session, secure bool) {
	k.o.Store.WriteCookie(w, h, s, secure)
}

// End ends the session of a request, in the store and in the browser. The browser loses its
// cookie even if the error says that the store is unavailable.
func (k *Refresher) End(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) error {
	k.o.Store.ClearCookie(w, h, secure)
	k.failures.remove(k.o.Store.RefreshKey(s))
	if _, err := k.o.Store.Revoke(ctx, Filter{ID: s.ID}); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// ClearCookie removes the cookie from the browser.
func (k *Refresher) ClearCookie(w http.ResponseWriter, h http.Header, secure bool) {
	k.o.Store.ClearCookie(w, h, secure)
}

// RefreshFailure says since when and why the groups of a session could not be refreshed; a
// zero time: they could.
func (k *Refresher) RefreshFailure(s Session) (since time.Time, cause error) {
	return k.failures.get(k.o.Store.RefreshKey(s), s.FetchedAt, k.o.Now())
}

// Revoke ends sessions, and gives how many the store knew.
func (k *Refresher) Revoke(ctx context.Context, filter Filter) (int, error) {
	return k.o.Store.Revoke(ctx, filter)
}

// CheckBearer is nil for a bearer token that may authenticate a request.
func (k *Refresher) CheckBearer(t *identity.Token) error { return k.o.Store.CheckBearer(t) }

// DenyBearer denies a token as a bearer token. Call it before an upstream sees the token.
func (k *Refresher) DenyBearer(ctx context.Context, digest [sha256.Size]byte, until time.Time) error {
	return k.o.Store.DenyBearer(ctx, digest, until)
}

// List gives sessions without their tokens; ErrNotListable if the store has no list.
func (k *Refresher) List(ctx context.Context, filter Filter) ([]Session, error) {
	return k.o.Store.List(ctx, filter)
}

// Down says why the store is unavailable; nil: it is available.
func (k *Refresher) Down() error { return k.o.Store.Down() }

// Run does the store's work and owns background refreshes, until ctx ends. It returns when
// the last of them has ended. Only one Run at a time: without it, refreshes run within
// requests.
func (k *Refresher) Run(ctx context.Context) {
	finish := k.refreshes.start(ctx)
	defer finish()
	k.o.Store.Run(ctx)
}
