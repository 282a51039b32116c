package session

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/example-org/authgate/identity"
)

// freshness is what may be done with the groups of a session.
type freshness int

const (
	fresh freshness = iota // use them
	due                    // use them, and have them read again beside the request
	old                    // no request gets past them
)

// maxSkew is how far clocks of replicas and issuers may stand apart. What was read
// later than that in the future was read before a clock was set back.
const maxSkew = time.Minute

var (
	errNoAnswer = errors.New("the issuer has not answered yet")
	errBusy     = errors.New("as many renewals as may be are under way: the issuer is slow")
	errNotNewer = errors.New("what the renewal gave is no newer than what was there")
)

// stale wraps the reason why groups that are too old were not read again. A store
// that does not answer is no fault of the issuer's, and said as what it is.
func stale(why error) error {
	if errors.Is(why, ErrStoreDown) || errors.Is(why, ErrOver) {
		return why
	}
	return fmt.Errorf("%w: %w", ErrStale, why)
}

// cut shortens a session that began under a longer lifetime than is configured
// now. Its end is a point on the wall clock: a clock that is set back puts it off
// by as much, and never past Begun + Lifetime on that clock.
func (k *Keeper) cut(s *Session) {
	if last := s.Begun.Add(k.o.Lifetime); s.Expires.After(last) {
		s.Expires = last
	}
}

// freshness takes no lock and allocates nothing: nearly every request ends here.
func (k *Keeper) freshness(s *Session, now time.Time) freshness {
	if s.Refresh == "" {
		return fresh // until Expires, which is that of the ID token at the latest
	}
	age := now.Sub(s.Read)
	switch {
	case age < -maxSkew:
		return k.unknownAge(s, now)
	case age < k.dueAfter(s.ID) && !tokenEnds(s, now):
		return fresh
	case age < k.o.RefreshEvery+k.o.RefreshGrace:
		return due
	default:
		return old
	}
}

// tokenEnds reports whether an ID token that is kept for upstreams is in the last
// fifth of its life, half a minute at most.
func tokenEnds(s *Session, now time.Time) bool {
	if s.IDToken == "" {
		return false
	}
	left := min(30*time.Second, s.Principal.Expiry.Sub(s.Read)/5)
	return !now.Before(s.Principal.Expiry.Add(-left))
}

// WithToken is the session with an ID token that has not expired: the request
// waits for a renewal where it has. ErrStale, ErrOver, ErrStoreDown.
func (k *Keeper) WithToken(ctx context.Context, s Session) (Session, error) {
	expired := func(s *Session) bool { return !k.o.Now().Before(s.Principal.Expiry) }
	switch {
	case !expired(&s):
		return s, nil
	case s.Refresh == "":
		return Session{}, ErrOver
	}
	return k.renewUntil(ctx, s, func(s *Session) bool { return !expired(s) })
}

// unknownAge is for groups read in the future. They are due at once; and since
// their age says nothing, the grace is counted from when the issuer began to fail,
// or a clock set back would make them last for as long.
func (k *Keeper) unknownAge(s *Session, now time.Time) freshness {
	since, why := k.troubles.of(k.o.Store.Owner(*s), s.Read, now)
	if why != nil && now.Sub(since) >= k.o.RefreshGrace {
		return old
	}
	return due
}

// dueAfter is 0.8 to 1.0 of refreshEvery, the same for all requests of a session,
// so that people who signed in together do not ask together for ever.
func (k *Keeper) dueAfter(id string) time.Duration {
	spread := uint64(k.o.RefreshEvery/5) + 1
	return k.o.RefreshEvery - time.Duration(maphash.String(k.seed, id)%spread)
}

// renewBeside lets the request go on with the groups that it has.
func (k *Keeper) renewBeside(ctx context.Context, s Session) (Session, error) {
	r := k.tryRenewing(ctx, k.o.Store.Owner(s), s, true)
	if r == nil {
		return s, nil
	}
	select {
	case <-r.done: // it went on within the request, or was quick
	default:
		return s, nil
	}
	switch {
	case errors.Is(r.err, ErrOver):
		return Session{}, r.err
	case r.err == nil && r.session.ID == s.ID:
		return r.session, nil
	default:
		return s, nil
	}
}

// renewFirst has the request wait for new groups. After a failure it waits no
// more until the issuer is asked again: an outage must not fill authgate with
// requests that wait.
func (k *Keeper) renewFirst(ctx context.Context, s Session) (Session, error) {
	return k.renewUntil(ctx, s, func(s *Session) bool { return k.freshness(s, k.o.Now()) != old })
}

func (k *Keeper) renewUntil(ctx context.Context, s Session, enough func(*Session) bool) (Session, error) {
	owner := k.o.Store.Owner(s)
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	for range 3 {
		r, err := k.joinRenewal(ctx, owner, s)
		if err != nil {
			return Session{}, stale(err)
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return Session{}, stale(errNoAnswer)
		}
		if r.err != nil {
			return Session{}, stale(r.err)
		}
		newest := r.session
		if newest.ID != s.ID { // of another browser of the same person
			if newest, err = k.o.Store.Current(s); err != nil {
				return Session{}, err
			}
		}
		now := k.o.Now()
		if k.cut(&newest); newest.Over(now) {
			return Session{}, ErrOver
		}
		if enough(&newest) {
			return newest, nil
		}
		s = newest
	}
	return Session{}, stale(errNotNewer)
}

// renew does one renewal. It is never called twice at a time for one owner.
func (k *Keeper) renew(ctx context.Context, owner string, s Session) (Session, error) {
	// The caller's copy may be older than a renewal that has just ended. A refresh
	// token that is shown twice costs the session (RFC 9700, 4.14.2).
	newest, err := k.o.Store.Current(s)
	if err != nil {
		return Session{}, err
	}
	now := k.o.Now()
	if k.freshness(&newest, now) == fresh {
		return newest, nil
	}
	if why := k.troubles.holdOff(owner, newest.Read, now); why != nil {
		return Session{}, why
	}
	got, err := k.o.Store.Renew(ctx, newest, k.ask)
	now = k.o.Now()
	if err == nil && k.freshness(&got, now) != fresh && !got.Read.After(newest.Read) {
		err = errNotNewer // or every request would ask again at once
	}
	return k.settle(ctx, owner, newest, got, err, now)
}

// ask makes sure, whoever answers, that nobody gets the groups of another (OpenID
// Connect Core 1.0, section 12.2).
func (k *Keeper) ask(ctx context.Context, g identity.Grant) (identity.Grant, error) {
	got, err := k.o.Ask(ctx, g)
	if err != nil {
		return got, err // an error may come with a rotated refresh token
	}
	if got.Principal.Issuer != g.Principal.Issuer || got.Principal.Subject != g.Principal.Subject {
		return identity.Grant{}, &identity.ImpostorError{Reason: "issuer or subject is another"}
	}
	return got, nil
}

// settle notes what a renewal came to, tells the log, and the rest of authgate.
func (k *Keeper) settle(ctx context.Context, owner string, s, got Session, err error, now time.Time) (Session, error) {
	var refused *identity.RefreshRefusedError
	var impostor *identity.ImpostorError
	switch {
	case err == nil:
		k.troubles.end(owner, now)
		k.o.Refreshed(got, nil)
		return got, nil
	case errors.As(err, &impostor):
		k.o.Log.Error("refreshed ID token is another's: the session has ended",
			"sub", s.Principal.Subject, "issuer", s.Principal.Issuer, "session", s.ID, "reason", impostor.Reason)
	case errors.As(err, &refused):
		k.o.Log.Info("the issuer refused the refresh token: the session has ended",
			"sub", s.Principal.Subject, "session", s.ID, "status", refused.Status, "code", refused.Code)
	case errors.Is(err, ErrOver): // signed out, or revoked, meanwhile
		k.troubles.drop(owner)
		return Session{}, err
	case errors.Is(ctx.Err(), context.Canceled): // authgate is shutting down: nobody's failure
		return Session{}, err
	default:
		k.troubles.fail(owner, s.Principal.Subject, err, now)
		k.o.Refreshed(s, err)
		return Session{}, err
	}
	k.troubles.drop(owner)
	k.o.Refreshed(s, err)
	if !errors.Is(err, ErrOver) {
		err = fmt.Errorf("%w: %w", ErrOver, err)
	}
	return Session{}, err
}
