package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/example-org/authgate/session"
	"github.com/redis/go-redis/v9"
)

// storedSession is a session as Redis has it.
type storedSession struct {
	digest  digest
	session session.Session
	user    userKey
	grant   grantState
}

// List implements [session.Store].
func (r *Store) List(ctx context.Context, filter session.Filter) ([]session.Session, error) {
	found, err := r.findStored(ctx, filter)
	if err != nil {
		return nil, err
	}
	sessions := make([]session.Session, 0, len(found))
	for _, k := range found {
		k.session.RefreshToken, k.session.IDToken, k.session.AccessToken = "", "", ""
		sessions = append(sessions, k.session)
	}
	return sessions, nil
}

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
	if filter.ID != "" && filter == (session.Filter{ID: filter.ID}) && len(found) == 0 { // Redis has lost it, the cache may not have
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

// listPage bounds what one pipeline reads.
const listPage = 256

// findStored finds sessions by the narrowest index.
func (r *Store) findStored(ctx context.Context, filter session.Filter) ([]storedSession, error) {
	var members []string
	var err error
	switch {
	case filter == (session.Filter{}), len(filter.ID) > 64:
		return nil, nil
	case filter.ID != "":
		var d digest
		if d, err = r.digestOf(ctx, filter.ID); err == nil {
			members = []string{d.String()}
		} else if entry := r.cache.getByID(filter.ID); errors.Is(err, errNotInRedis) && entry != nil && entry.digest != (digest{}) {
			members = []string{entry.digest.String()}
		}
	case filter.Issuer != "" && filter.Subject != "":
		members, err = r.client().ZRange(ctx, userKeyOf(filter.Issuer, filter.Subject).sessions(), 0, -1).Result()
		err = r.classify(ctx, err)
	default:
		members, err = r.allDigests(ctx)
	}
	if err != nil && !errors.Is(err, errNotInRedis) {
		return nil, err
	}
	var found []storedSession
	for len(members) > 0 {
		page := members[:min(len(members), listPage)]
		members = members[len(page):]
		some, err := r.readPage(ctx, page, filter)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// allDigests gives the digests of all sessions, page by page: one long reply would block
// Redis for other clients.
func (r *Store) allDigests(ctx context.Context) ([]string, error) {
	var all []string
	from := fmt.Sprint(r.o.Now().UnixMilli())
	for {
		page, err := r.client().ZRangeByScore(ctx, allKey, &redis.ZRangeBy{Min: from, Max: "+inf", Offset: int64(len(all)), Count: 1000}).Result()
		if err := r.classify(ctx, err); err != nil {
			return all, err
		}
		all = append(all, page...)
		if len(page) < 1000 {
			return all, nil
		}
	}
}

// readPage reads sessions and their users' grants, and gives those that match and have not
// ended.
func (r *Store) readPage(ctx context.Context, members []string, filter session.Filter) ([]storedSession, error) {
	records, err := r.readRecords(ctx, members)
	if err != nil {
		return nil, err
	}
	pipe := r.client().Pipeline()
	fields := map[userKey]*redis.SliceCmd{}
	for _, rec := range records {
		if fields[rec.User] == nil {
			fields[rec.User] = pipe.HMGet(ctx, rec.User.grant(), "f", "n", "g")
		}
	}
	if err := r.exec(ctx, pipe); err != nil {
		return nil, err
	}
	var found []storedSession
	now := r.o.Now()
	for _, member := range members {
		d, _ := parseDigest(member)
		rec, ok := records[d]
		if !ok {
			continue
		}
		g, err := r.openGrant(rec.User, fields[rec.User].Val())
		if err != nil || g.generation != rec.Generation {
			continue
		}
		s := rec.join(g)
		if entry := r.cache.getByID(s.ID); entry != nil {
			if lastUsed := time.Unix(0, entry.lastUsed.Load()).UTC(); lastUsed.After(s.LastUsed) {
				s.LastUsed = lastUsed
			}
		}
		if !s.Expired(now) && !r.isIdle(s.LastUsed, now) && filter.Matches(s) {
			found = append(found, storedSession{d, s, rec.User, g})
		}
	}
	return found, nil
}

// readRecords reads the records that exist.
func (r *Store) readRecords(ctx context.Context, members []string) (map[digest]record, error) {
	pipe := r.client().Pipeline()
	sealed := map[digest]*redis.StringCmd{}
	for _, member := range members {
		if d, ok := parseDigest(member); ok {
			sealed[d] = pipe.Get(ctx, d.record())
		}
	}
	if len(sealed) == 0 {
		return nil, nil
	}
	if err := r.exec(ctx, pipe); err != nil {
		return nil, err
	}
	records := make(map[digest]record, len(sealed))
	for d, cmd := range sealed {
		if cmd.Err() != nil {
			continue
		}
		if rec, err := r.openRecord(d, cmd.Val()); err == nil {
			records[d] = rec
		}
	}
	return records, nil
}
