package session

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

	// believed is how long memory is believed after the last poll that was answered.
	// With pollEvery it makes every change known everywhere within two seconds.
	believed = 1500 * time.Millisecond

	feedLength = 10000 // changes; a replica that lags behind by more reads all again
	feedPage   = 500

	never = time.Duration(-1 << 62) // a time that is long ago
)

// Run is of [Store]: it polls what other replicas changed, and writes what waits.
func (r *Redis) Run(ctx context.Context) {
	var tending sync.WaitGroup
	tending.Go(func() { r.tend(ctx) })
	defer tending.Wait()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		r.tell(r.poll(ctx))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tell logs when Redis goes and comes.
func (r *Redis) tell(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	was := r.down.Load()
	switch {
	case err != nil && (was == nil || was.since.IsZero()):
		r.down.Store(&outage{since: r.o.Now(), err: err})
		r.o.Log.Warn("the session store does not answer: people whom this replica knows go on for a minute, nobody is sent to log in", "err", err)
	case err != nil:
		r.down.Store(&outage{since: was.since, err: err})
	case was != nil:
		r.down.Store(nil)
		if !was.since.IsZero() {
			r.o.Log.Info("the session store answers again", "after", r.o.Now().Sub(was.since).Round(time.Millisecond))
		}
	}
}

// outage is why Redis does not answer; a zero time: it was not asked yet.
type outage struct {
	since time.Time
	err   error
}

// poll hears what changed since the last one.
func (r *Redis) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	asked := r.since()
	if now := r.current.Load(); now != r.at { // what its feed says is of another Redis
		r.at, r.last = now, ""
	}
	changes, whole, err := r.feed(ctx)
	if err != nil {
		return r.answer(ctx, err)
	}
	r.hearBearers(changes)
	r.bearersMissed = r.bearersMissed || !whole
	if r.keysReplaced() || !whole {
		r.memory.doubt(time.Duration(r.polled.Load()))
	}
	if r.bearersMissed {
		if err := r.readBearers(ctx); err != nil {
			return err
		}
		r.bearersMissed = false
	}
	if err := r.follow(ctx, r.memory.hear(changes)); err != nil {
		r.memory.doubt(time.Duration(r.polled.Load()))
		return err
	}
	r.polled.Store(int64(asked))
	r.failedAt.Store(int64(never))
	return r.settle(ctx)
}

// keysReplaced reports whether the session keys are others than at the last poll:
// then what was opened before may no longer open.
func (r *Redis) keysReplaced() bool {
	now := r.o.Keys.keys.Load()
	replaced := now != r.keys
	r.keys = now
	return replaced
}

// feed reads the stream from the last entry that is known, which must be its
// first answer. Where it is not, the stream was trimmed past it, flushed, or is
// another's after a failover, and nothing is known of what was missed.
func (r *Redis) feed(ctx context.Context) (changes []change, whole bool, err error) {
	for r.last != "" {
		page, err := r.client().XRangeN(ctx, redisFeed, r.last, "+", feedPage).Result()
		if err != nil && r.answer(ctx, err) != errGone {
			return nil, false, err
		}
		if len(page) == 0 || page[0].ID != r.last {
			break
		}
		for _, entry := range page[1:] {
			c, ok := readChange(entry.Values)
			if !ok {
				return nil, false, r.rewind(ctx)
			}
			changes = append(changes, c)
		}
		r.last = page[len(page)-1].ID
		if len(page) < feedPage {
			return changes, true, nil
		}
	}
	return nil, false, r.rewind(ctx)
}

// rewind finds the end of the stream, and makes one where there is none.
func (r *Redis) rewind(ctx context.Context) error {
	r.last = ""
	page, err := r.client().XRevRangeN(ctx, redisFeed, "+", "-", 1).Result()
	if err != nil {
		if r.answer(ctx, err) != errGone {
			return err
		}
		if err := r.client().Del(ctx, redisFeed).Err(); err != nil { // something else under the name
			return err
		}
	}
	if len(page) == 1 {
		r.last = page[0].ID
		return nil
	}
	r.last, err = r.client().XAdd(ctx, entry(change{})).Result()
	return err
}

func entry(c change) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: redisFeed, MaxLen: feedLength, Approx: true, Values: append([]any{
		"id", c.id, "owner", string(c.owner), "birth", strconv.FormatUint(c.birth, 10), "fence", strconv.FormatUint(c.fence, 10),
	}, c.bearerFields()...)}
}

func readChange(values map[string]any) (c change, ok bool) {
	texts := [4]string{}
	for i, name := range []string{"id", "owner", "birth", "fence"} {
		if texts[i], ok = values[name].(string); !ok {
			return change{}, false
		}
	}
	birth, noBirth := strconv.ParseUint(texts[2], 10, 63)
	fence, noFence := strconv.ParseUint(texts[3], 10, 63)
	c = change{id: texts[0], owner: owner(texts[1]), birth: birth, fence: fence}
	return c, c.readBearerFields(values) && noBirth == nil && noFence == nil
}

// follow reads the grants of users again.
func (r *Redis) follow(ctx context.Context, users []owner) error {
	for len(users) > 0 {
		page := users[:min(len(users), mostTended)]
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
				r.memory.renew(page[i], g)
			} else { // gone, or it does not open: reading the sessions says so
				r.memory.distrust(page[i])
			}
		}
	}
	return nil
}

// spread tells other replicas, after what changed is in Redis. What cannot be
// told is told later.
func (r *Redis) spread(ctx context.Context, c change) error {
	err := r.answer(ctx, r.client().XAdd(ctx, entry(c)).Err())
	if errors.Is(err, errGone) { // no stream any more: all replicas find that out, and read everything again
		return nil
	}
	if err != nil {
		r.owe("tell "+c.id+string(c.owner)+strconv.FormatUint(c.birth, 10)+c.token.String()+c.revoked.String(), func(ctx context.Context) error {
			if err := r.answer(ctx, r.client().XAdd(ctx, entry(c)).Err()); !errors.Is(err, errGone) {
				return err
			}
			return nil
		})
	}
	return err
}

// mostOwed bounds what waits for Redis to answer again.
const mostOwed = 1000

// owe does something once Redis answers again.
func (r *Redis) owe(what string, do func(context.Context) error) {
	r.owedMu.Lock()
	defer r.owedMu.Unlock()
	if _, known := r.owed[what]; known || len(r.owed) < mostOwed {
		r.owed[what] = do
	}
}

// settle does what is owed.
func (r *Redis) settle(ctx context.Context) error {
	r.owedMu.Lock()
	owed := r.owed
	if len(owed) > 0 {
		r.owed = map[string]func(context.Context) error{}
	}
	r.owedMu.Unlock()
	var failed error
	for what, do := range owed {
		if failed == nil {
			failed = do(ctx)
		}
		if failed != nil {
			r.owe(what, do)
		}
	}
	return failed
}
