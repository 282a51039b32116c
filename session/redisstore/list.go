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
		} else if entry := r.cache.getByID(filter.ID); errors.Is(err, errNotInRedis) &&
			entry != nil && entry.digest != (digest{}) {
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
		next := &redis.ZRangeBy{Min: from, Max: "+inf", Offset: int64(len(all)), Count: 1000}
		page, err := r.client().ZRangeByScore(ctx, allKey, next).Result()
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
