package redisstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/example-org/authgate/session"
)

// Revoke implements [session.Store]. A whole user loses the grant, and with it every
// session, even those that no index has.
func (r *Store) Revoke(ctx context.Context, filter session.Filter) (int, error) {
	found, err := r.findStored(ctx, filter)
	tags := session.DenyKeys(filter, sessionsOf(found))
	now := r.o.Now()
	for _, k := range tags { // in this process at once, even if Redis is unavailable
		r.denylist.Revoke(k, now)
	}
	ended, err := r.endAll(ctx, filter, found, err)
	return ended, errors.Join(err, r.publishRevocations(ctx, tags, now))
}

// endAll ends the sessions that were found; failed is why the search failed.
func (r *Store) endAll(ctx context.Context, filter session.Filter, found []storedSession, failed error) (int, error) {
	if failed != nil {
		if filter.ID != "" {
			r.endLater(filter.ID)
		}
		return 0, failed
	}
	if filter.ID != "" && filter == (session.Filter{ID: filter.ID}) && len(found) == 0 { // it may still be cached
		r.cache.apply([]change{{id: filter.ID}})
		return 0, r.publish(ctx, change{id: filter.ID})
	}
	users := map[userKey]uint64{}
	ended := 0
	for _, k := range found {
		if filter.ID == "" && filter.IssuerSession == "" {
			users[k.user] = max(users[k.user], k.grant.generation)
			ended++
			continue
		}
		if err := r.endSession(ctx, k); err != nil {
			r.endLater(k.session.ID)
			return ended, err
		}
		ended++
	}
	if filter.Issuer != "" && filter.Subject != "" && filter.ID == "" && filter.IssuerSession == "" && filter.Email == "" {
		users[userKeyOf(filter.Issuer, filter.Subject)] = 0 // even if the index has lost them
	}
	for user, generation := range users {
		if err := r.endUser(ctx, user, generation); err != nil {
			return 0, err
		}
	}
	return ended, nil
}

func sessionsOf(found []storedSession) []session.Session {
	sessions := make([]session.Session, len(found))
	for i := range found {
		sessions[i] = found[i].session
	}
	return sessions
}

// endLater ends a session in this replica while Redis is unavailable, and deletes it there
// afterwards.
func (r *Store) endLater(id string) {
	entry := r.cache.getByID(id)
	if entry == nil || entry.digest == (digest{}) {
		return
	}
	r.cache.markEnded(entry)
	r.retryLater("end "+id, func(ctx context.Context) error {
		pipe := r.client().Pipeline()
		pipe.Del(ctx, entry.digest.record())
		pipe.Del(ctx, idKey(id))
		if err := r.exec(ctx, pipe); err != nil {
			return err
		}
		return r.publish(ctx, change{id: id})
	})
}

// endSession deletes one session, and the grant with the last session of its user.
func (r *Store) endSession(ctx context.Context, k storedSession) error {
	pipe := r.client().Pipeline()
	pipe.Del(ctx, k.digest.record())
	pipe.Del(ctx, idKey(k.session.ID))
	pipe.ZRem(ctx, allKey, k.digest.String())
	pipe.ZRem(ctx, k.user.sessions(), k.digest.String())
	left := pipe.ZCard(ctx, k.user.sessions())
	if err := r.exec(ctx, pipe); err != nil {
		return err
	}
	event := change{id: k.session.ID}
	r.cache.apply([]change{event})
	if left.Err() == nil && left.Val() == 0 { // a later login has raised the fence
		if err := r.classify(ctx, endScript.Run(ctx, r.client(), []string{k.user.grant()}, k.grant.fence).Err()); err != nil {
			r.o.Log.Debug("cannot delete an unused grant in redis; it expires", "error", err)
		}
	}
	return r.publish(ctx, event)
}

// endUser deletes a user's grant, which ends all sessions of that grant.
func (r *Store) endUser(ctx context.Context, user userKey, generation uint64) error {
	text, err := r.client().HGet(ctx, user.grant(), "n").Result()
	if err := r.classify(ctx, err); err == nil {
		var now uint64
		if _, err := fmt.Sscan(text, &now); err == nil {
			generation = max(generation, now)
		}
	} else if !errors.Is(err, errNotInRedis) {
		return err
	}
	if err := r.classify(ctx, r.client().Del(ctx, user.grant()).Err()); err != nil {
		return err
	}
	event := change{user: user, generation: generation}
	r.cache.apply([]change{event})
	if err := r.publish(ctx, event); err != nil {
		return err
	}
	if err := r.sweep(ctx, user, generation); err != nil {
		r.o.Log.Debug("cannot delete records of ended sessions in redis; they expire and are not valid", "error", err)
	}
	return nil
}

// sweep deletes the records of sessions whose grant is deleted. A session that began later
// has a later generation and stays.
func (r *Store) sweep(ctx context.Context, user userKey, generation uint64) error {
	members, err := r.client().ZRange(ctx, user.sessions(), 0, -1).Result()
	if err := r.classify(ctx, err); err != nil {
		return err
	}
	records, err := r.readRecords(ctx, members)
	if err != nil {
		return err
	}
	pipe := r.client().Pipeline()
	for d, rec := range records {
		if rec.Generation > generation {
			continue
		}
		pipe.Del(ctx, d.record()) // one key per command: they may be on several nodes
		pipe.Del(ctx, idKey(rec.ID))
		pipe.ZRem(ctx, allKey, d.String())
		pipe.ZRem(ctx, user.sessions(), d.String())
	}
	return r.exec(ctx, pipe)
}
