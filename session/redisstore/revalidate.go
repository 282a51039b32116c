package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/example-org/authgate/session"
	"github.com/redis/go-redis/v9"
)

const (
	// maxQueued bounds the sessions that wait for revalidation. One that finds no room is
	// queued again by its next request.
	maxQueued = 1024

	maxRevalidated = 128 // at once

	// revalidateEvery is how often a session in use is read again without a change: Redis
	// may have evicted it, and sends no notice.
	revalidateEvery = time.Minute
)

// markUsed notes that a session was used, and queues it for revalidation if that is due.
func (r *Store) markUsed(entry *cacheEntry) {
	now := r.o.Now().UnixNano()
	if lastUsed := entry.lastUsed.Load(); now-lastUsed > int64(time.Second) || lastUsed-now > int64(maxClockAhead) {
		entry.lastUsed.Store(now)
	}
	unstored := now - entry.storedLastUsed.Load()
	if unstored < 0 {
		unstored = -unstored
	}
	if unstored >= int64(r.lastUsedInterval) || int64(r.elapsed())-entry.verified.Load() >= int64(revalidateEvery) {
		r.enqueueRevalidation(entry)
	}
}

func (r *Store) enqueueRevalidation(entry *cacheEntry) {
	if entry.queued.Load() || !entry.queued.CompareAndSwap(false, true) {
		return
	}
	select {
	case r.revalidateQueue <- entry:
	default:
		entry.queued.Store(false)
	}
}

// revalidateLoop revalidates queued sessions until ctx ends.
func (r *Store) revalidateLoop(ctx context.Context) {
	for {
		var batch []*cacheEntry
		select {
		case <-ctx.Done():
			return
		case entry := <-r.revalidateQueue:
			batch = append(batch, entry)
		}
		for more := true; more && len(batch) < maxRevalidated; {
			select {
			case entry := <-r.revalidateQueue:
				batch = append(batch, entry)
			default:
				more = false
			}
		}
		if !r.circuitOpen() {
			r.revalidate(ctx, batch)
		}
		for _, entry := range batch {
			entry.queued.Store(false)
		}
	}
}

// revalidate reads sessions again, and writes when they were last used. If Redis is
// unavailable they stay as they are.
func (r *Store) revalidate(ctx context.Context, batch []*cacheEntry) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	position, askedAt := r.cache.position(), r.elapsed()
	ids := r.client().Pipeline()
	named := map[*cacheEntry]*redis.StringCmd{}
	for _, entry := range batch {
		if entry.digest == (digest{}) {
			named[entry] = ids.Get(ctx, idKey(entry.id))
		}
	}
	if r.exec(ctx, ids) != nil {
		return
	}
	type reading struct {
		entry  *cacheEntry
		digest digest
		record *redis.StringCmd
		grant  *redis.SliceCmd
	}
	var readings []reading
	pipe := r.client().Pipeline()
	for _, entry := range batch {
		d := entry.digest
		if cmd := named[entry]; cmd != nil {
			var found bool
			if d, found = parseDigest(cmd.Val()); !found {
				r.cache.markEnded(entry)
				continue
			}
		}
		grant := entry.snapshot.Load().user.grant()
		readings = append(readings, reading{entry, d, pipe.Get(ctx, d.record()), pipe.HMGet(ctx, grant, "f", "n", "g")})
	}
	if r.exec(ctx, pipe) != nil {
		return
	}
	writes := r.client().Pipeline()
	for _, read := range readings {
		rec, g, err := r.parse(ctx, read.digest, read.entry.snapshot.Load().user, read.record, read.grant)
		if err == nil {
			_, err = r.cacheLoaded(read.digest, rec, g, position, askedAt)
		} else {
			err = r.handleLoadError(read.digest, err)
		}
		if err != nil {
			if errors.Is(err, session.ErrExpired) {
				r.cache.markEnded(read.entry) // which may have had no digest
			}
			continue
		}
		r.writeLastUsed(ctx, writes, read.digest, rec)
	}
	_ = r.exec(ctx, writes) // the next use tries again
}

func (r *Store) parse(
	ctx context.Context, d digest, user userKey, sealed *redis.StringCmd, fields *redis.SliceCmd,
) (record, grantState, error) {
	if err := r.classify(ctx, sealed.Err()); err != nil {
		return record{}, grantState{}, err
	}
	if err := r.classify(ctx, fields.Err()); err != nil {
		return record{}, grantState{}, err
	}
	rec, err := r.openRecord(d, sealed.Val())
	if err != nil {
		return record{}, grantState{}, err
	}
	if rec.User != user {
		return record{}, grantState{}, errNotRecord
	}
	g, err := r.openGrant(user, fields.Val())
	return rec, g, err
}

// writeLastUsed writes the last use of a session that Redis still has: with XX, or it would
// restore a session that has just ended.
func (r *Store) writeLastUsed(ctx context.Context, writes redis.Pipeliner, d digest, rec record) {
	entry := r.cache.get(d)
	if entry == nil {
		return
	}
	lastUsed := time.Unix(0, entry.lastUsed.Load())
	if late := lastUsed.Sub(rec.LastUsed); -maxClockAhead < late && late < r.lastUsedInterval/2 {
		return
	}
	rec.LastUsed = lastUsed.UTC()
	sealed, err := r.sealRecord(d, rec)
	if err != nil {
		return
	}
	writes.SetXX(ctx, d.record(), sealed, r.recordTTL(rec))
	entry.storedLastUsed.Store(rec.LastUsed.UnixNano())
}

// recordTTL is how long Redis keeps a record: until it expires or is idle, to the precision
// of its last use.
func (r *Store) recordTTL(rec record) time.Duration {
	left := rec.Expires.Sub(r.o.Now())
	if r.o.IdleTimeout > 0 {
		left = min(left, r.o.IdleTimeout+r.lastUsedInterval)
	}
	return max(left, time.Millisecond)
}
