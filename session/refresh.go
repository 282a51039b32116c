package session

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/example-org/authgate/identity"
)

// freshness is how the groups of a session may be used.
type freshness int

const (
	fresh      freshness = iota // use them
	refreshDue                  // use them, and refresh them in the background
	stale                       // refuse requests until they are refreshed
)

// MaxClockSkew is how far the clocks of replicas and issuers may differ. A time that is
// further in the future was recorded before a clock was set back.
const MaxClockSkew = time.Minute

var (
	errNoAnswer         = errors.New("the issuer has not answered yet")
	errTooManyRefreshes = errors.New("too many refreshes in flight: the issuer is slow")
	errNotNewer         = errors.New("the refreshed tokens are not newer than the previous ones")
)

// staleError wraps the reason why stale groups were not refreshed. An unavailable store is
// not the issuer's fault, so that error stays.
func staleError(cause error) error {
	if errors.Is(cause, ErrStoreDown) || errors.Is(cause, ErrExpired) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrStale, cause)
}

// clampExpiry shortens a session that began under a longer lifetime than the configured one.
// Its end is a point on the wall clock: a clock that is set back postpones it by as much,
// but never past CreatedAt + Lifetime on that clock.
func (k *Refresher) clampExpiry(s *Session) {
	if last := s.CreatedAt.Add(k.o.Lifetime); s.Expires.After(last) {
		s.Expires = last
	}
}

// freshness takes no lock and allocates nothing: nearly every request ends here.
func (k *Refresher) freshness(s *Session, now time.Time) freshness {
	if s.RefreshToken == "" {
		return fresh // until Expires, which is that of the ID token at the latest
	}
	age := now.Sub(s.FetchedAt)
	switch {
	case age < -MaxClockSkew:
		return k.unknownAge(s, now)
	case age < k.jitteredInterval(s.ID) && !idTokenExpiring(s, now):
		return fresh
	case age < k.o.RefreshEvery+k.o.RefreshGrace:
		return refreshDue
	default:
		return stale
	}
}

// idTokenExpiring reports whether an ID token for upstreams is in the last fifth of its
// lifetime, half a minute at most.
func idTokenExpiring(s *Session, now time.Time) bool {
	if s.IDToken == "" {
		return false
	}
	left := min(30*time.Second, s.Principal.Expiry.Sub(s.FetchedAt)/5)
	return !now.Before(s.Principal.Expiry.Add(-left))
}

// The reserve of an ID token: the request that carries it takes a while, and the upstream's
// clock may be ahead.
const (
	maxTokenReserve = 10 * time.Second
	reserveWait     = 2 * time.Second // for a refresh, while the token is still valid
)

// hasReserve reports whether an ID token stays valid for a request that begins now. The
// reserve of a short token is a tenth of its lifetime.
func hasReserve(s *Session, now time.Time) bool {
	reserve := min(maxTokenReserve, s.Principal.Expiry.Sub(s.FetchedAt)/10)
	return now.Before(s.Principal.Expiry.Add(-reserve))
}

// WithValidIDToken gives the session with an ID token that does not expire while a request is
// on its way. It waits for a refresh if necessary. A token in its reserve is used only if a
// refresh fails, or if there is no refresh token. ErrStale, ErrExpired, ErrStoreDown.
func (k *Refresher) WithValidIDToken(ctx context.Context, s Session) (Session, error) {
	valid := func(s *Session) bool { return k.o.Now().Before(s.Principal.Expiry) }
	switch {
	case hasReserve(&s, k.o.Now()), s.RefreshToken == "" && valid(&s):
		return s, nil
	case s.RefreshToken == "":
		return Session{}, ErrExpired
	case !valid(&s):
		return k.refreshUntil(ctx, s, valid)
	}
	waiting, cancel := context.WithTimeout(ctx, reserveWait)
	defer cancel()
	refreshed, err := k.refreshUntil(waiting, s, valid)
	if err == nil || errors.Is(err, ErrExpired) || !valid(&s) {
		return refreshed, err
	}
	return s, nil
}

// unknownAge is for groups read in the future. They are due at once. Because their age is
// unknown, the grace counts from the issuer's first failure; otherwise a clock that was set
// back would extend it.
func (k *Refresher) unknownAge(s *Session, now time.Time) freshness {
	since, cause := k.failures.get(k.o.Store.RefreshKey(*s), s.FetchedAt, now)
	if cause != nil && now.Sub(since) >= k.o.RefreshGrace {
		return stale
	}
	return refreshDue
}

// jitteredInterval is 0.8 to 1.0 of refreshEvery, the same for all requests of a session, so
// that users who signed in together do not refresh together for ever.
func (k *Refresher) jitteredInterval(id string) time.Duration {
	jitter := uint64(k.o.RefreshEvery/5) + 1
	return k.o.RefreshEvery - time.Duration(maphash.String(k.seed, id)%jitter)
}

// refreshAsync lets the request continue with its current groups.
func (k *Refresher) refreshAsync(ctx context.Context, s Session) (Session, error) {
	r := k.tryRefresh(ctx, k.o.Store.RefreshKey(s), s, true)
	if r == nil {
		return s, nil
	}
	select {
	case <-r.done: // it ran within the request, or was quick
	default:
		return s, nil
	}
	switch {
	case errors.Is(r.err, ErrExpired):
		return Session{}, r.err
	case r.err == nil && r.session.ID == s.ID:
		return r.session, nil
	default:
		return s, nil
	}
}

// refreshSync makes the request wait for new groups. After a failure it does not wait until
// the backoff ends: an outage must not fill authgate with waiting requests.
func (k *Refresher) refreshSync(ctx context.Context, s Session) (Session, error) {
	return k.refreshUntil(ctx, s, func(s *Session) bool { return k.freshness(s, k.o.Now()) != stale })
}

func (k *Refresher) refreshUntil(ctx context.Context, s Session, done func(*Session) bool) (Session, error) {
	key := k.o.Store.RefreshKey(s)
	ctx, cancel := context.WithTimeout(ctx, maxRefreshWait)
	defer cancel()
	for range 3 {
		r, err := k.joinRefresh(ctx, key, s)
		if err != nil {
			return Session{}, staleError(err)
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return Session{}, staleError(errNoAnswer)
		}
		if r.err != nil {
			return Session{}, staleError(r.err)
		}
		newest := r.session
		if newest.ID != s.ID { // of another browser of the same user
			if newest, err = k.o.Store.Current(s); err != nil {
				return Session{}, err
			}
		}
		now := k.o.Now()
		if k.clampExpiry(&newest); newest.Expired(now) {
			return Session{}, ErrExpired
		}
		if done(&newest) {
			return newest, nil
		}
		s = newest
	}
	return Session{}, staleError(errNotNewer)
}

// RefreshNow reads the groups of a session again although they are fresh enough, because the
// user asks for it. The error is ErrNoRefreshToken, ErrExpired if the issuer has ended the
// session, ErrStoreDown, or that of the issuer: then the session continues with its groups.
func (k *Refresher) RefreshNow(ctx context.Context, s Session) (Session, error) {
	if s.RefreshToken == "" {
		return Session{}, ErrNoRefreshToken
	}
	key := k.o.Store.RefreshKey(s)
	ctx, cancel := context.WithTimeout(ctx, maxRefreshWait)
	defer cancel()
	for range 2 { // a refresh that was in flight may have found the groups fresh
		call, err := k.joinForcedRefresh(ctx, key, s)
		if err != nil {
			return Session{}, err
		}
		select {
		case <-call.done:
		case <-ctx.Done():
			return Session{}, errNoAnswer
		}
		if call.err != nil {
			return Session{}, call.err
		}
		newest := call.session
		if newest.ID != s.ID { // of another browser of the same user
			if newest, err = k.o.Store.Current(s); err != nil {
				return Session{}, err
			}
		}
		if k.clampExpiry(&newest); newest.Expired(k.o.Now()) {
			return Session{}, ErrExpired
		}
		if call.mode == forced || newest.FetchedAt.After(s.FetchedAt) {
			return newest, nil
		}
	}
	return Session{}, errNotNewer
}

// refresh does one refresh. It never runs twice at a time for one key.
func (k *Refresher) refresh(ctx context.Context, key string, s Session, mode refreshMode) (Session, error) {
	// The caller's copy may be older than a refresh that has just ended. A refresh token
	// that is used twice costs the session (RFC 9700, 4.14.2).
	newest, err := k.o.Store.Current(s)
	if err != nil {
		return Session{}, err
	}
	now := k.o.Now()
	switch mode {
	case forced:
		if newest.FetchedAt.After(s.FetchedAt) {
			return newest, nil
		}
	case ifDue:
		if k.freshness(&newest, now) == fresh {
			return newest, nil
		}
		if cause := k.failures.inBackoff(key, newest.FetchedAt, now); cause != nil {
			return Session{}, cause
		}
	}
	got, err := k.o.Store.Refresh(ctx, newest, k.refreshSameSubject)
	now = k.o.Now()
	if err == nil && k.freshness(&got, now) != fresh && !got.FetchedAt.After(newest.FetchedAt) {
		err = errNotNewer // or every request would ask again at once
	}
	return k.finish(ctx, key, newest, got, err, now)
}

// refreshSameSubject makes sure that no user gets the groups of another (OpenID Connect Core
// 1.0, section 12.2).
func (k *Refresher) refreshSameSubject(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
	got, err := k.o.Refresh(ctx, g)
	if err != nil {
		return got, err // an error may come with a rotated refresh token
	}
	if got.Principal.Issuer != g.Principal.Issuer || got.Principal.Subject != g.Principal.Subject {
		return identity.TokenSet{}, &identity.SubjectMismatchError{Reason: "another issuer or subject"}
	}
	return got, nil
}

// finish records the result of a refresh, logs it and reports it.
func (k *Refresher) finish(ctx context.Context, key string, s, got Session, err error, now time.Time) (Session, error) {
	var refused *identity.RefreshRefusedError
	var mismatch *identity.SubjectMismatchError
	switch {
	case err == nil:
		k.failures.succeeded(key, now)
		k.o.Refreshed(got, nil)
		return got, nil
	case errors.As(err, &mismatch):
		k.o.Log.Error("the refreshed ID token belongs to another user: session ended",
			"sub", s.Principal.Subject, "issuer", s.Principal.Issuer, "session", s.ID, "reason", mismatch.Reason)
	case errors.As(err, &refused):
		k.o.Log.Info("the issuer refused the refresh token: session ended",
			"sub", s.Principal.Subject, "session", s.ID, "status", refused.Status, "code", refused.Code)
	case errors.Is(err, ErrExpired): // signed out or revoked meanwhile
		k.failures.remove(key)
		return Session{}, err
	case errors.Is(ctx.Err(), context.Canceled): // authgate is shutting down: not a failure
		return Session{}, err
	default:
		k.failures.failed(key, s.Principal.Subject, err, now)
		k.o.Refreshed(s, err)
		return Session{}, err
	}
	k.failures.remove(key)
	k.o.Refreshed(s, err)
	if !errors.Is(err, ErrExpired) {
		err = fmt.Errorf("%w: %w", ErrExpired, err)
	}
	return Session{}, err
}
