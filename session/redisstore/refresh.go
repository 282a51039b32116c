package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

const (
	// lockLease is how long one replica may refresh: longer than any refresh takes, because
	// the next one would use a refresh token that may be used up.
	lockLease = 30 * time.Second

	lockPoll = 50 * time.Millisecond
)

// Refresh implements [session.Store]. One replica asks the issuer for all sessions of a
// user, and the others wait for the result.
func (r *Store) Refresh(ctx context.Context, s session.Session, refresh session.RefreshFunc) (session.Session, error) {
	user := userKeyOf(s.Principal.Issuer, s.Principal.Subject)
	lockToken, seenFence := rand.Text(), ""
	for {
		status, g, err := r.lock(ctx, user, lockToken, seenFence)
		switch {
		case errors.Is(err, session.ErrStoreDown):
			return s, err
		case err != nil: // the grant is deleted, or does not decrypt
			r.cache.apply([]change{{user: user, generation: r.generationOf(s)}})
			return s, session.ErrExpired
		case status == "mine" && !g.grant.FetchedAt.After(s.FetchedAt):
			return r.refreshLocked(ctx, s, user, lockToken, g, refresh)
		case status == "mine":
			r.unlock(ctx, user, lockToken)
			return r.adopt(ctx, s, user, g)
		case status == "newer", g.grant.FetchedAt.After(s.FetchedAt):
			return r.adopt(ctx, s, user, g)
		}
		seenFence = fmt.Sprint(g.fence)
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("another replica is asking the issuer: %w", ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// generationOf is the generation of the grant that a session of this replica belongs to.
func (r *Store) generationOf(s session.Session) uint64 {
	if entry := r.cache.getByID(s.ID); entry != nil {
		return entry.snapshot.Load().generation
	}
	return 0
}

func (r *Store) lock(
	ctx context.Context, user userKey, lockToken, seenFence string,
) (status string, g grantState, err error) {
	answered, err := lockScript.Run(ctx, r.client(), []string{user.grant()},
		lockToken, lockLease.Milliseconds(), seenFence).Slice()
	if err := r.classify(ctx, err); err != nil {
		return "", g, err
	}
	if len(answered) < 4 {
		return "", g, errNotInRedis
	}
	status, _ = answered[0].(string)
	g, err = r.openGrant(user, answered[1:])
	return status, g, err
}

// unlock lets other replicas refresh. It is worth a moment even when ctx has ended.
func (r *Store) unlock(ctx context.Context, user userKey, lockToken string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	_ = unlockScript.Run(ctx, r.client(), []string{user.grant()}, lockToken).Err() // the lease expires otherwise
}

// refreshLocked asks the issuer with the lock held, and stores the response.
func (r *Store) refreshLocked(
	ctx context.Context, s session.Session, user userKey, lockToken string, g grantState, refresh session.RefreshFunc,
) (session.Session, error) {
	got, err := refresh(ctx, g.grant)
	var refused *identity.RefreshRefusedError
	var mismatch *identity.SubjectMismatchError
	switch {
	case err == nil:
		return r.storeGrant(ctx, s, user, g, got)
	case errors.As(err, &refused), errors.As(err, &mismatch):
		return r.handleRefused(ctx, s, user, g, err)
	}
	var unverified *identity.UnverifiedError
	if errors.As(err, &unverified) { // the groups are as old as before, the refresh token is new
		stored, failed := r.storeGrant(ctx, s, user, g, unverified.Tokens)
		if failed != nil {
			return s, failed
		}
		return stored, err
	}
	r.unlock(ctx, user, lockToken)
	return s, err
}

// storeGrant stores a grant. Its refresh token is the only one that the issuer still
// accepts, so it is stored even if ctx has ended, and later if Redis is unavailable.
func (r *Store) storeGrant(
	ctx context.Context, s session.Session, user userKey, prev grantState, got identity.TokenSet,
) (session.Session, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	sealed, err := r.sealGrant(user, got)
	if err != nil {
		return s, err
	}
	store := func(ctx context.Context) (grantState, error) {
		fields, err := storeScript.Run(ctx, r.client(), []string{user.grant()}, user.grant(), prev.fence, sealed).Slice()
		if err := r.classify(ctx, err); err != nil {
			return grantState{}, err
		}
		return r.openGrant(user, fields)
	}
	g, err := store(ctx)
	switch {
	case errors.Is(err, session.ErrStoreDown):
		r.retryLater("keep "+string(user), func(ctx context.Context) error {
			g, err := store(ctx)
			if err == nil {
				r.cache.updateGrant(user, g)
				return r.publish(ctx, change{user: user, fence: g.fence})
			}
			if errors.Is(err, session.ErrStoreDown) {
				return err
			}
			r.cache.invalidateUser(user) // the user signed in or was signed out meanwhile
			return nil
		})
		r.cache.updateGrant(user, grantState{grant: got, fence: prev.fence + 1, generation: prev.generation})
		s.TokenSet = got
		return s, nil
	case err != nil:
		return r.adoptStored(ctx, s, user) // the fence has risen: the response is dropped
	}
	_ = r.publish(ctx, change{user: user, fence: g.fence})
	return r.adopt(ctx, s, user, g)
}

// handleRefused ends all sessions of a user, unless a later login has replaced the refresh
// token that the issuer refused.
func (r *Store) handleRefused(
	ctx context.Context, s session.Session, user userKey, g grantState, cause error,
) (session.Session, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	event := change{user: user, generation: g.generation}
	end := func(ctx context.Context) (int, error) {
		ended, err := endScript.Run(ctx, r.client(), []string{user.grant()}, g.fence).Int()
		return ended, r.classify(ctx, err)
	}
	ended, err := end(ctx)
	if err != nil {
		r.cache.apply([]change{event})
		r.retryLater("end all "+string(user), func(ctx context.Context) error {
			if ended, err := end(ctx); ended == 0 {
				return err
			}
			return r.publish(ctx, event)
		})
		return s, cause
	}
	if ended == 0 {
		if adopted, err := r.adoptStored(ctx, s, user); err == nil {
			return adopted, nil
		}
		return s, cause
	}
	r.cache.apply([]change{event})
	_ = r.publish(ctx, event)
	if err := r.sweep(ctx, user, g.generation); err != nil {
		r.o.Log.Debug("cannot delete records of ended sessions in redis; they expire and are not valid", "error", err)
	}
	return s, cause
}

// adoptStored adopts the grant that is in Redis.
func (r *Store) adoptStored(ctx context.Context, s session.Session, user userKey) (session.Session, error) {
	fields, err := r.client().HMGet(ctx, user.grant(), "f", "n", "g").Result()
	if err := r.classify(ctx, err); errors.Is(err, session.ErrStoreDown) {
		return s, err
	}
	g, err := r.openGrant(user, fields)
	if err != nil {
		r.cache.apply([]change{{user: user, generation: r.generationOf(s)}})
		return s, session.ErrExpired
	}
	return r.adopt(ctx, s, user, g)
}

// adopt gives a session the grant that is in Redis, and all other cached sessions of the
// user. A grant of a later generation is that of a login after the session's end.
func (r *Store) adopt(ctx context.Context, s session.Session, user userKey, g grantState) (session.Session, error) {
	r.cache.updateGrant(user, g)
	entry := r.cache.getByID(s.ID)
	if entry == nil || entry.snapshot.Load().generation == 0 {
		return r.reload(ctx, s)
	}
	v := entry.snapshot.Load()
	if v.ended || v.session.Expired(r.o.Now()) {
		return s, session.ErrExpired
	}
	s = v.session
	s.LastUsed = time.Unix(0, entry.lastUsed.Load()).UTC()
	return s, nil
}

// reload reads a session of which only the ID is known.
func (r *Store) reload(ctx context.Context, s session.Session) (session.Session, error) {
	d, err := r.digestOf(ctx, s.ID)
	if errors.Is(err, session.ErrStoreDown) {
		return s, err
	}
	if err != nil {
		return s, session.ErrExpired
	}
	return r.load(ctx, d)
}

func (r *Store) digestOf(ctx context.Context, id string) (digest, error) {
	text, err := r.client().Get(ctx, idKey(id)).Result()
	if err := r.classify(ctx, err); err != nil {
		return digest{}, err
	}
	d, ok := parseDigest(text)
	if !ok {
		return digest{}, errNotInRedis
	}
	return d, nil
}
