package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// patience bounds what a request waits for Redis in all.
	patience = 2 * time.Second

	// afterFailure is how long nobody asks after a failure, so that requests do not
	// queue for a server that is away. The poll, which goes on, ends it.
	afterFailure = 2 * time.Second

	// onTrust is how long sessions that this replica knows go on while Redis does not
	// answer.
	onTrust = time.Minute

	// aheadOf is how far another clock may be ahead before its times are not believed.
	aheadOf = time.Minute
)

// errGone says that something is not in Redis.
var errGone = errors.New("it is not in redis")

// answer sorts what a command came to: nil, errGone or ErrStoreDown.
func (r *Redis) answer(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.Nil), strings.Contains(err.Error(), "WRONGTYPE"):
		return errGone
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled): // who asked has gone: that says nothing of Redis
		return fmt.Errorf("%w: %w", ErrStoreDown, context.Canceled)
	default:
		if reply := redis.Error(nil); !errors.As(err, &reply) { // an error that the server sends makes nobody wait
			r.failedAt.Store(int64(r.since()))
		}
		return fmt.Errorf("%w: %s", ErrStoreDown, reason(err))
	}
}

// exec runs a pipeline. What is not there, or of another type, does not matter to
// who calls it: it deletes, or looks at each command.
func (r *Redis) exec(ctx context.Context, pipe redis.Pipeliner) error {
	if pipe.Len() == 0 {
		return nil
	}
	cmds, err := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if err := r.answer(ctx, cmd.Err()); errors.Is(err, ErrStoreDown) {
			return err
		}
	}
	if len(cmds) == 0 {
		return r.answer(ctx, err)
	}
	return nil
}

// reason keeps the words of the client and the server, on one short line. The
// client never puts a password or a value into an error.
func reason(err error) string {
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

// since is the time since the store was made. It does not jump with the clock.
func (r *Redis) since() time.Duration { return r.o.Now().Sub(r.made) }

// failing reports whether Redis has just failed to answer.
func (r *Redis) failing() bool {
	at := time.Duration(r.failedAt.Load())
	return at != never && r.since()-at < afterFailure
}

// load reads a session from Redis and remembers it. ErrOver, ErrStoreDown.
func (r *Redis) load(ctx context.Context, d digest) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	since, asked := r.memory.mark(), r.since()
	sealed, err := r.client().Get(ctx, d.record()).Result()
	if err := r.answer(ctx, err); err != nil {
		return Session{}, r.over(d, err)
	}
	rec, err := r.openRecord(d, sealed)
	if err != nil {
		return Session{}, r.over(d, err)
	}
	fields, err := r.client().HMGet(ctx, rec.Owner.grant(), "f", "n", "g").Result()
	if err := r.answer(ctx, err); err != nil {
		return Session{}, r.over(d, err)
	}
	g, err := r.openGrant(rec.Owner, fields)
	if err != nil {
		return Session{}, r.over(d, err)
	}
	return r.take(d, rec, g, since, asked)
}

// take remembers what was read of a session, unless it is over.
func (r *Redis) take(d digest, rec record, g grantState, since mark, asked time.Duration) (Session, error) {
	now := r.o.Now()
	if rec.Seen.After(now.Add(aheadOf)) {
		rec.Seen = now
	}
	s := rec.join(g)
	if o := r.memory.find(d); o != nil {
		if used := time.Unix(0, o.seen.Load()).UTC(); used.After(s.Seen) {
			s.Seen = used // here, and not told to Redis yet
		}
	}
	if g.birth != rec.Birth || s.Over(now) || r.idle(s.Seen, now) {
		return Session{}, r.over(d, errGone)
	}
	v := view{session: s, record: rec, owner: rec.Owner, fence: g.fence, birth: g.birth}
	o := r.memory.put(d, v, since, asked)
	if o.view.Load().ended {
		return Session{}, ErrOver
	}
	o.written.Store(rec.Seen.UnixNano())
	return s, nil
}

// over says what an error of reading makes of a session, and forgets it where it
// is over.
func (r *Redis) over(d digest, err error) error {
	if errors.Is(err, ErrStoreDown) {
		return err
	}
	if !errors.Is(err, errGone) && r.mayWarn() {
		r.o.Log.Warn("what redis holds of a session does not open: it was changed, or sealed with other keys; the session is over", "err", err)
	}
	if o := r.memory.find(d); o != nil {
		r.memory.forget(o)
	}
	return ErrOver
}

// mayWarn is true once a minute: keys that were replaced too early, or somebody
// who writes into Redis, would fill the log.
func (r *Redis) mayWarn() bool {
	was, now := r.warnedAt.Load(), int64(r.since())
	return (was == int64(never) || now-was >= int64(time.Minute)) && r.warnedAt.CompareAndSwap(was, now)
}

func (r *Redis) idle(seen, now time.Time) bool {
	return r.o.IdleTimeout > 0 && now.Sub(seen) > r.o.IdleTimeout
}

// remembered answers from memory, where that may be believed.
func (r *Redis) remembered(o *held) (s Session, known bool, err error) {
	v := o.view.Load()
	if v.ended {
		return Session{}, true, ErrOver
	}
	if v.epoch != r.memory.epoch.Load() || r.since()-time.Duration(r.polled.Load()) >= believed {
		return Session{}, false, nil
	}
	now := r.o.Now()
	if v.session.Over(now) {
		return Session{}, true, ErrOver
	}
	seen := o.seen.Load()
	if r.o.IdleTimeout > 0 && now.UnixNano()-seen > int64(r.o.IdleTimeout) {
		return Session{}, false, nil // another replica may have seen it since
	}
	s = v.session
	s.Seen = time.Unix(0, seen).UTC()
	return s, true, nil
}

// trusted answers from memory while Redis does not answer, for a minute after it
// last did.
func (r *Redis) trusted(o *held, down error) (Session, error) {
	if o == nil {
		return Session{}, down
	}
	v := o.view.Load()
	good := o.verified.Load()
	if v.epoch == r.memory.epoch.Load() {
		good = max(good, r.polled.Load())
	}
	now := r.o.Now()
	seen := time.Unix(0, o.seen.Load()).UTC()
	switch {
	case v.ended, v.session.Over(now):
		return Session{}, ErrOver
	case good == int64(never), r.since()-time.Duration(good) >= onTrust, r.idle(seen, now):
		return Session{}, down
	}
	s := v.session
	s.Seen = seen
	return s, nil
}
