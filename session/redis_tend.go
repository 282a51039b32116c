package session

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// mostQueued bounds the sessions that wait for being looked after; what does not
	// find room comes again with its next request.
	mostQueued = 1024

	mostTended = 128 // at once

	// confirmEvery is how often a session in use is read again, although nothing was
	// heard of it: Redis may have evicted it, and tells nobody.
	confirmEvery = time.Minute
)

// touchEvery is how coarsely Redis knows the last use of a session.
func touchEvery(idle time.Duration) time.Duration {
	if idle == 0 {
		return 5 * time.Minute
	}
	return min(max(idle/10, time.Second), time.Minute)
}

// use notes that a session was used, and has it looked after where that is due.
func (r *Redis) use(o *held) {
	now := r.o.Now().UnixNano()
	if seen := o.seen.Load(); now-seen > int64(time.Second) || seen-now > int64(aheadOf) {
		o.seen.Store(now)
	}
	unwritten := now - o.written.Load()
	if unwritten < 0 {
		unwritten = -unwritten
	}
	if unwritten >= int64(r.touchEvery) || int64(r.since())-o.verified.Load() >= int64(confirmEvery) {
		r.queue(o)
	}
}

func (r *Redis) queue(o *held) {
	if o.queued.Load() || !o.queued.CompareAndSwap(false, true) {
		return
	}
	select {
	case r.waiting <- o:
	default:
		o.queued.Store(false)
	}
}

// tend looks after what waits, until ctx ends.
func (r *Redis) tend(ctx context.Context) {
	for {
		var batch []*held
		select {
		case <-ctx.Done():
			return
		case o := <-r.waiting:
			batch = append(batch, o)
		}
		for more := true; more && len(batch) < mostTended; {
			select {
			case o := <-r.waiting:
				batch = append(batch, o)
			default:
				more = false
			}
		}
		if !r.failing() {
			r.confirm(ctx, batch)
		}
		for _, o := range batch {
			o.queued.Store(false)
		}
	}
}

// confirm reads sessions again, and writes when they were last used. Where Redis
// does not answer they stay as they are.
func (r *Redis) confirm(ctx context.Context, batch []*held) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	since, asked := r.memory.mark(), r.since()
	ids := r.client().Pipeline()
	named := map[*held]*redis.StringCmd{}
	for _, o := range batch {
		if o.digest == (digest{}) {
			named[o] = ids.Get(ctx, idKey(o.id))
		}
	}
	if r.exec(ctx, ids) != nil {
		return
	}
	type reading struct {
		o      *held
		digest digest
		record *redis.StringCmd
		grant  *redis.SliceCmd
	}
	var readings []reading
	pipe := r.client().Pipeline()
	for _, o := range batch {
		d := o.digest
		if cmd := named[o]; cmd != nil {
			var found bool
			if d, found = parseDigest(cmd.Val()); !found {
				r.memory.forget(o)
				continue
			}
		}
		readings = append(readings, reading{o, d, pipe.Get(ctx, d.record()), pipe.HMGet(ctx, o.view.Load().owner.grant(), "f", "n", "g")})
	}
	if r.exec(ctx, pipe) != nil {
		return
	}
	writes := r.client().Pipeline()
	for _, read := range readings {
		rec, g, err := r.parse(ctx, read.digest, read.o.view.Load().owner, read.record, read.grant)
		if err == nil {
			_, err = r.take(read.digest, rec, g, since, asked)
		} else {
			err = r.over(read.digest, err)
		}
		if err != nil {
			if errors.Is(err, ErrOver) {
				r.memory.forget(read.o) // which had no digest, perhaps
			}
			continue
		}
		r.touch(ctx, writes, read.digest, rec)
	}
	_ = r.exec(ctx, writes) // the next use tries again
}

func (r *Redis) parse(ctx context.Context, d digest, by owner, sealed *redis.StringCmd, fields *redis.SliceCmd) (record, grantState, error) {
	if err := r.answer(ctx, sealed.Err()); err != nil {
		return record{}, grantState{}, err
	}
	if err := r.answer(ctx, fields.Err()); err != nil {
		return record{}, grantState{}, err
	}
	rec, err := r.openRecord(d, sealed.Val())
	if err != nil {
		return record{}, grantState{}, err
	}
	if rec.Owner != by {
		return record{}, grantState{}, errRecord
	}
	g, err := r.openGrant(by, fields.Val())
	return rec, g, err
}

// touch writes the last use of a session that Redis still has: XX, or it would
// bring back one that has just ended.
func (r *Redis) touch(ctx context.Context, writes redis.Pipeliner, d digest, rec record) {
	o := r.memory.find(d)
	if o == nil {
		return
	}
	seen := time.Unix(0, o.seen.Load())
	if late := seen.Sub(rec.Seen); -aheadOf < late && late < r.touchEvery/2 {
		return
	}
	rec.Seen = seen.UTC()
	sealed, err := r.sealRecord(d, rec)
	if err != nil {
		return
	}
	writes.SetXX(ctx, d.record(), sealed, r.lives(rec))
	o.written.Store(rec.Seen.UnixNano())
}

// lives is how long Redis keeps a record: to the end, or to when it will have
// been idle, as coarsely as its last use is known.
func (r *Redis) lives(rec record) time.Duration {
	left := rec.Expires.Sub(r.o.Now())
	if r.o.IdleTimeout > 0 {
		left = min(left, r.o.IdleTimeout+r.touchEvery)
	}
	return max(left, time.Millisecond)
}
