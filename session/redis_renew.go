package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/example-org/authgate/identity"
)

const (
	// lease is how long one replica may renew: longer than any renewal takes, for
	// whoever comes after it asks with a refresh token that may be used up.
	lease = 30 * time.Second

	lockPoll = 50 * time.Millisecond
)

// Renew is of [Store]. One replica asks for all sessions of a user; whoever comes
// meanwhile waits for what it learns.
func (r *Redis) Renew(ctx context.Context, s Session, ask Ask) (Session, error) {
	by := ownerOf(s.Principal.Issuer, s.Principal.Subject)
	holder, seen := newID(), ""
	for {
		status, g, err := r.lock(ctx, by, holder, seen)
		switch {
		case errors.Is(err, ErrStoreDown):
			return s, err
		case err != nil: // the grant is gone, or does not open
			r.memory.hear([]change{{owner: by, birth: r.birthOf(s)}})
			return s, ErrOver
		case status == "mine" && !g.grant.Read.After(s.Read):
			return r.renewed(ctx, s, by, holder, g, ask)
		case status == "mine":
			r.free(ctx, by, holder)
			return r.adopt(ctx, s, by, g)
		case status == "newer", g.grant.Read.After(s.Read):
			return r.adopt(ctx, s, by, g)
		}
		seen = fmt.Sprint(g.fence)
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("another replica is asking the issuer: %w", ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// birthOf is the birth of the grant that a session of this replica stands on.
func (r *Redis) birthOf(s Session) uint64 {
	if o := r.memory.findID(s.ID); o != nil {
		return o.view.Load().birth
	}
	return 0
}

func (r *Redis) lock(ctx context.Context, by owner, holder, seen string) (status string, g grantState, err error) {
	answered, err := lockScript.Run(ctx, r.client(), []string{by.grant()}, holder, lease.Milliseconds(), seen).Slice()
	if err := r.answer(ctx, err); err != nil {
		return "", g, err
	}
	if len(answered) < 4 {
		return "", g, errGone
	}
	status, _ = answered[0].(string)
	g, err = r.openGrant(by, answered[1:])
	return status, g, err
}

// free lets others renew. It is worth a moment even when ctx has ended.
func (r *Redis) free(ctx context.Context, by owner, holder string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = freeScript.Run(ctx, r.client(), []string{by.grant()}, holder).Err() // the lease runs out
}

// renewed asks the issuer with the lock held, and stores what it said.
func (r *Redis) renewed(ctx context.Context, s Session, by owner, holder string, g grantState, ask Ask) (Session, error) {
	got, err := ask(ctx, g.grant)
	var refused *identity.RefreshRefusedError
	var impostor *identity.ImpostorError
	switch {
	case err == nil:
		return r.keep(ctx, s, by, g, got)
	case errors.As(err, &refused), errors.As(err, &impostor):
		return r.refused(ctx, s, by, g, err)
	}
	var unverified *identity.UnverifiedError
	if errors.As(err, &unverified) { // the groups are as old as they were, the refresh token is new
		kept, failed := r.keep(ctx, s, by, g, unverified.Grant)
		if failed != nil {
			return s, failed
		}
		return kept, err
	}
	r.free(ctx, by, holder)
	return s, err
}

// keep stores a grant. The refresh token in it is the only one that the issuer
// still honours, so it is stored although ctx may have ended, and later if Redis
// does not answer now.
func (r *Redis) keep(ctx context.Context, s Session, by owner, was grantState, got identity.Grant) (Session, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	sealed, err := r.sealGrant(by, got)
	if err != nil {
		return s, err
	}
	store := func(ctx context.Context) (grantState, error) {
		fields, err := keepScript.Run(ctx, r.client(), []string{by.grant()}, by.grant(), was.fence, sealed).Slice()
		if err := r.answer(ctx, err); err != nil {
			return grantState{}, err
		}
		return r.openGrant(by, fields)
	}
	g, err := store(ctx)
	switch {
	case errors.Is(err, ErrStoreDown):
		r.owe("keep "+string(by), func(ctx context.Context) error {
			g, err := store(ctx)
			if err == nil {
				r.memory.renew(by, g)
				return r.spread(ctx, change{owner: by, fence: g.fence})
			}
			if errors.Is(err, ErrStoreDown) {
				return err
			}
			r.memory.distrust(by) // somebody signed in, or was signed out, meanwhile
			return nil
		})
		r.memory.renew(by, grantState{grant: got, fence: was.fence + 1, birth: was.birth})
		s.Grant = got
		return s, nil
	case err != nil:
		return r.latest(ctx, s, by) // the fence has risen: what was learned is dropped
	}
	_ = r.spread(ctx, change{owner: by, fence: g.fence})
	return r.adopt(ctx, s, by, g)
}

// refused ends all of a user's sessions, unless a later login has made the
// refusal one of an old token.
func (r *Redis) refused(ctx context.Context, s Session, by owner, g grantState, why error) (Session, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	gone := change{owner: by, birth: g.birth}
	end := func(ctx context.Context) (int, error) {
		ended, err := endScript.Run(ctx, r.client(), []string{by.grant()}, g.fence).Int()
		return ended, r.answer(ctx, err)
	}
	ended, err := end(ctx)
	if err != nil {
		r.memory.hear([]change{gone})
		r.owe("end all "+string(by), func(ctx context.Context) error {
			if ended, err := end(ctx); ended == 0 {
				return err
			}
			return r.spread(ctx, gone)
		})
		return s, why
	}
	if ended == 0 {
		if adopted, err := r.latest(ctx, s, by); err == nil {
			return adopted, nil
		}
		return s, why
	}
	r.memory.hear([]change{gone})
	_ = r.spread(ctx, gone)
	if err := r.sweep(ctx, by, g.birth); err != nil {
		r.o.Log.Debug("records of ended sessions stay in redis until they expire; none of them opens", "err", err)
	}
	return s, why
}

// latest adopts what stands in Redis.
func (r *Redis) latest(ctx context.Context, s Session, by owner) (Session, error) {
	fields, err := r.client().HMGet(ctx, by.grant(), "f", "n", "g").Result()
	if err := r.answer(ctx, err); errors.Is(err, ErrStoreDown) {
		return s, err
	}
	g, err := r.openGrant(by, fields)
	if err != nil {
		r.memory.hear([]change{{owner: by, birth: r.birthOf(s)}})
		return s, ErrOver
	}
	return r.adopt(ctx, s, by, g)
}

// adopt gives a session the grant that stands in Redis, and all others of the
// user in memory. A grant that was born after the session is that of a login
// after its end.
func (r *Redis) adopt(ctx context.Context, s Session, by owner, g grantState) (Session, error) {
	r.memory.renew(by, g)
	o := r.memory.findID(s.ID)
	if o == nil || o.view.Load().birth == 0 {
		return r.reload(ctx, s)
	}
	v := o.view.Load()
	if v.ended || v.session.Over(r.o.Now()) {
		return s, ErrOver
	}
	s = v.session
	s.Seen = time.Unix(0, o.seen.Load()).UTC()
	return s, nil
}

// reload reads a session of which only the ID is known.
func (r *Redis) reload(ctx context.Context, s Session) (Session, error) {
	d, err := r.digestOf(ctx, s.ID)
	if errors.Is(err, ErrStoreDown) {
		return s, err
	}
	if err != nil {
		return s, ErrOver
	}
	return r.load(ctx, d)
}

func (r *Redis) digestOf(ctx context.Context, id string) (digest, error) {
	text, err := r.client().Get(ctx, idKey(id)).Result()
	if err := r.answer(ctx, err); err != nil {
		return digest{}, err
	}
	d, ok := parseDigest(text)
	if !ok {
		return digest{}, errGone
	}
	return d, nil
}
