package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/example-org/authgate/session"
	"github.com/redis/go-redis/v9"
)

const (
	// commandTimeout bounds how long a request waits for Redis in total.
	commandTimeout = 2 * time.Second

	// circuitOpenFor is how long no command is sent after a failure, so that requests do not
	// queue for an unavailable server. The poll continues, and closes the circuit.
	circuitOpenFor = 2 * time.Second

	// outageGrace is how long cached sessions stay valid while Redis is unavailable.
	outageGrace = time.Minute

	// maxClockAhead is how far a time may be ahead of this clock before it is ignored.
	maxClockAhead = time.Minute
)

// errNotInRedis says that something is not in Redis.
var errNotInRedis = errors.New("not found in redis")

// classify maps the error of a command to nil, errNotInRedis or ErrStoreDown.
func (r *Store) classify(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.Nil), strings.Contains(err.Error(), "WRONGTYPE"):
		return errNotInRedis
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled): // the client has gone: that says nothing about Redis
		return fmt.Errorf("%w: %w", session.ErrStoreDown, context.Canceled)
	default:
		if reply := redis.Error(nil); !errors.As(err, &reply) { // an error reply of the server does not block
			r.failedAt.Store(int64(r.elapsed()))
		}
		return fmt.Errorf("%w: %s", session.ErrStoreDown, shortError(err))
	}
}

// exec runs a pipeline. Missing keys and keys of another type are no error: its callers
// delete, or check each command.
func (r *Store) exec(ctx context.Context, pipe redis.Pipeliner) error {
	if pipe.Len() == 0 {
		return nil
	}
	cmds, err := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if err := r.classify(ctx, cmd.Err()); errors.Is(err, session.ErrStoreDown) {
			return err
		}
	}
	if len(cmds) == 0 {
		return r.classify(ctx, err)
	}
	return nil
}

// shortError gives the message of the client or the server on one short line. The client
// never puts a password or a value into an error.
func shortError(err error) string {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer in time"
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 200 {
		text = text[:200]
	}
	return strings.ToValidUTF8(text, "")
}

// elapsed is the time since the store was created. It does not jump with the clock.
func (r *Store) elapsed() time.Duration { return r.o.Now().Sub(r.createdAt) }

// circuitOpen reports whether a command to Redis has just failed.
func (r *Store) circuitOpen() bool {
	at := time.Duration(r.failedAt.Load())
	return at != neverHappened && r.elapsed()-at < circuitOpenFor
}

// load reads a session from Redis and caches it. ErrExpired, ErrStoreDown.
func (r *Store) load(ctx context.Context, d digest) (session.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	position, askedAt := r.cache.position(), r.elapsed()
	sealed, err := r.client().Get(ctx, d.record()).Result()
	if err := r.classify(ctx, err); err != nil {
		return session.Session{}, r.handleLoadError(d, err)
	}
	rec, err := r.openRecord(d, sealed)
	if err != nil {
		return session.Session{}, r.handleLoadError(d, err)
	}
	fields, err := r.client().HMGet(ctx, rec.User.grant(), "f", "n", "g").Result()
	if err := r.classify(ctx, err); err != nil {
		return session.Session{}, r.handleLoadError(d, err)
	}
	g, err := r.openGrant(rec.User, fields)
	if err != nil {
		return session.Session{}, r.handleLoadError(d, err)
	}
	return r.cacheLoaded(d, rec, g, position, askedAt)
}

// cacheLoaded caches a session that was read, unless it has ended.
func (r *Store) cacheLoaded(
	d digest, rec record, g grantState, position cachePosition, askedAt time.Duration,
) (session.Session, error) {
	now := r.o.Now()
	if rec.LastUsed.After(now.Add(maxClockAhead)) {
		rec.LastUsed = now
	}
	s := rec.join(g)
	if entry := r.cache.get(d); entry != nil {
		if lastUsed := time.Unix(0, entry.lastUsed.Load()).UTC(); lastUsed.After(s.LastUsed) {
			s.LastUsed = lastUsed // used in this replica, and not written to Redis yet
		}
	}
	if g.generation != rec.Generation || s.Expired(now) || r.isIdle(s.LastUsed, now) {
		return session.Session{}, r.handleLoadError(d, errNotInRedis)
	}
	v := entrySnapshot{session: s, record: rec, user: rec.User, fence: g.fence, generation: g.generation}
	entry := r.cache.put(d, v, position, askedAt)
	if entry.snapshot.Load().ended {
		return session.Session{}, session.ErrExpired
	}
	entry.storedLastUsed.Store(rec.LastUsed.UnixNano())
	return s, nil
}

// handleLoadError maps the error of reading a session, and evicts the session if it has
// ended.
func (r *Store) handleLoadError(d digest, err error) error {
	if errors.Is(err, session.ErrStoreDown) {
		return err
	}
	if !errors.Is(err, errNotInRedis) && r.mayWarn() {
		r.o.Log.Warn("cannot decrypt a session stored in redis (modified, or encrypted with an unknown key); "+
			"the session has ended", "error", err)
	}
	if entry := r.cache.get(d); entry != nil {
		r.cache.markEnded(entry)
	}
	return session.ErrExpired
}

// mayWarn is true once a minute: keys that were replaced too early, or another program that
// writes to Redis, would fill the log.
func (r *Store) mayWarn() bool {
	prev, now := r.warnedAt.Load(), int64(r.elapsed())
	return (prev == int64(neverHappened) || now-prev >= int64(time.Minute)) && r.warnedAt.CompareAndSwap(prev, now)
}

func (r *Store) isIdle(lastUsed, now time.Time) bool {
	return r.o.IdleTimeout > 0 && now.Sub(lastUsed) > r.o.IdleTimeout
}

// fromCache answers from the cache, if the entry is known to be current.
func (r *Store) fromCache(entry *cacheEntry) (s session.Session, known bool, err error) {
	v := entry.snapshot.Load()
	if v.ended {
		return session.Session{}, true, session.ErrExpired
	}
	if v.epoch != r.cache.epoch.Load() || r.elapsed()-time.Duration(r.polledAt.Load()) >= cacheTrustedFor {
		return session.Session{}, false, nil
	}
	now := r.o.Now()
	if v.session.Expired(now) {
		return session.Session{}, true, session.ErrExpired
	}
	lastUsed := entry.lastUsed.Load()
	if r.o.IdleTimeout > 0 && now.UnixNano()-lastUsed > int64(r.o.IdleTimeout) {
		return session.Session{}, false, nil // another replica may have seen a use
	}
	s = v.session
	s.LastUsed = time.Unix(0, lastUsed).UTC()
	return s, true, nil
}

// fromCacheInOutage answers from the cache while Redis is unavailable, for outageGrace after
// the last confirmation.
func (r *Store) fromCacheInOutage(entry *cacheEntry, down error) (session.Session, error) {
	if entry == nil {
		return session.Session{}, down
	}
	v := entry.snapshot.Load()
	good := entry.verified.Load()
	if v.epoch == r.cache.epoch.Load() {
		good = max(good, r.polledAt.Load())
	}
	now := r.o.Now()
	lastUsed := time.Unix(0, entry.lastUsed.Load()).UTC()
	switch {
	case v.ended, v.session.Expired(now):
		return session.Session{}, session.ErrExpired
	case good == int64(neverHappened), r.elapsed()-time.Duration(good) >= outageGrace, r.isIdle(lastUsed, now):
		return session.Session{}, down
	}
	s := v.session
	s.LastUsed = lastUsed
	return s, nil
}
