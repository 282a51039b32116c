package redisstore

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	pollEvery = 500 * time.Millisecond

	// cacheTrustedFor is how long the cache is used after the last successful poll. With
	// pollEvery it makes every change known to every replica within two seconds.
	cacheTrustedFor = 1500 * time.Millisecond

	changelogLength = 10000 // changes; a replica that lags behind by more reads everything again
	changelogPage   = 500

	neverHappened = time.Duration(-1 << 62) // long ago
)

// Run implements [session.Store]: it polls the changes of other replicas, and retries
// pending writes.
func (r *Store) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { r.revalidateLoop(ctx) })
	defer wg.Wait()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		r.reportHealth(r.poll(ctx))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// reportHealth logs when Redis becomes unavailable and available.
func (r *Store) reportHealth(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	prev := r.outage.Load()
	switch {
	case err != nil && (prev == nil || prev.since.IsZero()):
		r.outage.Store(&outage{since: r.o.Now(), err: err})
		r.o.Log.Warn("session store unreachable: cached sessions stay valid for a minute, other requests get 503",
			"error", err)
	case err != nil:
		r.outage.Store(&outage{since: prev.since, err: err})
	case prev != nil:
		r.outage.Store(nil)
		if !prev.since.IsZero() {
			r.o.Log.Info("session store reachable again", "after", r.o.Now().Sub(prev.since).Round(time.Millisecond))
		}
	}
}

// outage is why Redis is unavailable; a zero time: no command was sent yet.
type outage struct {
	since time.Time
	err   error
}

// poll reads what changed since the last one.
func (r *Store) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	askedAt := r.elapsed()
	if now := r.currentClient.Load(); now != r.polledClient { // its changelog is another one
		r.polledClient, r.lastEntry = now, ""
	}
	changes, complete, err := r.readChangelog(ctx)
	if err != nil {
		return r.classify(ctx, err)
	}
	r.applyDenylist(changes)
	r.denylistStale = r.denylistStale || !complete
	if r.keysReplaced() || !complete {
		r.cache.invalidateAll(time.Duration(r.polledAt.Load()))
	}
	if r.denylistStale {
		if err := r.loadDenylist(ctx); err != nil {
			return err
		}
		r.denylistStale = false
	}
	if err := r.reloadGrants(ctx, r.cache.apply(changes)); err != nil {
		r.cache.invalidateAll(time.Duration(r.polledAt.Load()))
		return err
	}
	r.polledAt.Store(int64(askedAt))
	r.failedAt.Store(int64(neverHappened))
	return r.flushPending(ctx)
}

// keysReplaced reports whether the session keys have changed since the last poll: sessions
// that were decrypted before may not decrypt any more.
func (r *Store) keysReplaced() bool {
	now := r.o.Keyring.Current()
	replaced := now != r.polledKeys
	r.polledKeys = now
	return replaced
}

// readChangelog reads the stream from the last known entry, which must come first in the
// reply. If it does not, the stream was trimmed past it, flushed, or replaced after a
// failover, and changes may have been missed.
func (r *Store) readChangelog(ctx context.Context) (changes []change, complete bool, err error) {
	for r.lastEntry != "" {
		page, err := r.client().XRangeN(ctx, changelogKey, r.lastEntry, "+", changelogPage).Result()
		if err != nil && r.classify(ctx, err) != errNotInRedis {
			return nil, false, err
		}
		if len(page) == 0 || page[0].ID != r.lastEntry {
			break
		}
		for _, entry := range page[1:] {
			c, ok := parseChange(entry.Values)
			if !ok {
				return nil, false, r.seekEnd(ctx)
			}
			changes = append(changes, c)
		}
		r.lastEntry = page[len(page)-1].ID
		if len(page) < changelogPage {
			return changes, true, nil
		}
	}
	return nil, false, r.seekEnd(ctx)
}

// seekEnd finds the end of the stream, and creates the stream if there is none.
func (r *Store) seekEnd(ctx context.Context) error {
	r.lastEntry = ""
	page, err := r.client().XRevRangeN(ctx, changelogKey, "+", "-", 1).Result()
	if err != nil {
		if r.classify(ctx, err) != errNotInRedis {
			return err
		}
		if err := r.client().Del(ctx, changelogKey).Err(); err != nil { // the key has another type
			return err
		}
	}
	if len(page) == 1 {
		r.lastEntry = page[0].ID
		return nil
	}
	r.lastEntry, err = r.client().XAdd(ctx, changelogEntry(change{})).Result()
	return err
}

func changelogEntry(c change) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: changelogKey, MaxLen: changelogLength, Approx: true, Values: append([]any{
		"id", c.id, "owner", string(c.user),
		"birth", strconv.FormatUint(c.generation, 10), "fence", strconv.FormatUint(c.fence, 10),
	}, c.denylistFields()...)}
}

func parseChange(values map[string]any) (c change, ok bool) {
	texts := [4]string{}
	for i, name := range []string{"id", "owner", "birth", "fence"} {
		if texts[i], ok = values[name].(string); !ok {
			return change{}, false
		}
	}
	generation, badGeneration := strconv.ParseUint(texts[2], 10, 63)
	fence, badFence := strconv.ParseUint(texts[3], 10, 63)
	c = change{id: texts[0], user: userKey(texts[1]), generation: generation, fence: fence}
	return c, c.parseDenylistFields(values) && badGeneration == nil && badFence == nil
}

// reloadGrants reads the grants of users again.
func (r *Store) reloadGrants(ctx context.Context, users []userKey) error {
	for len(users) > 0 {
		page := users[:min(len(users), maxRevalidated)]
		users = users[len(page):]
		pipe := r.client().Pipeline()
		grants := make([]*redis.SliceCmd, len(page))
		for i, o := range page {
			grants[i] = pipe.HMGet(ctx, o.grant(), "f", "n", "g")
		}
		if err := r.exec(ctx, pipe); err != nil {
			return err
		}
		for i, fields := range grants {
			if g, err := r.openGrant(page[i], fields.Val()); err == nil {
				r.cache.updateGrant(page[i], g)
			} else { // deleted, or it does not decrypt: reading the sessions reports it
				r.cache.invalidateUser(page[i])
			}
		}
	}
	return nil
}

// publish tells other replicas about a change that is in Redis. It retries later if Redis is
// unavailable.
func (r *Store) publish(ctx context.Context, c change) error {
	err := r.classify(ctx, r.client().XAdd(ctx, changelogEntry(c)).Err())
	if errors.Is(err, errNotInRedis) { // the stream is gone: all replicas notice, and read everything again
		return nil
	}
	if err != nil {
		generation := strconv.FormatUint(c.generation, 10)
		what := "publish " + c.id + string(c.user) + generation + c.token.String() + c.revoked.String()
		r.retryLater(what, func(ctx context.Context) error {
			if err := r.classify(ctx, r.client().XAdd(ctx, changelogEntry(c)).Err()); !errors.Is(err, errNotInRedis) {
				return err
			}
			return nil
		})
	}
	return err
}

// maxPending bounds the writes that wait for Redis.
const maxPending = 1000

// retryLater repeats a write when Redis is available again.
func (r *Store) retryLater(what string, do func(context.Context) error) {
	r.pendingMu.Lock()
	defer r.pendingMu.Unlock()
	if _, known := r.pending[what]; known || len(r.pending) < maxPending {
		r.pending[what] = do
	}
}

// flushPending does the pending writes.
func (r *Store) flushPending(ctx context.Context) error {
	r.pendingMu.Lock()
	pending := r.pending
	if len(pending) > 0 {
		r.pending = map[string]func(context.Context) error{}
	}
	r.pendingMu.Unlock()
	var failed error
	for what, do := range pending {
		if failed == nil {
			failed = do(ctx)
		}
		if failed != nil {
			r.retryLater(what, do)
		}
	}
	return failed
}
