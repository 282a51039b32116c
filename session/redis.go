package session

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisOptions say where sessions are kept, and for how long.
type RedisOptions struct {
	URL     string         // redis://, rediss://, sentinel and cluster in the client's own forms; holds a password
	RootCAs *x509.CertPool // nil: the system's

	Jar  *Jar
	Keys *Ring

	IdleTimeout time.Duration // 0: none

	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

// Redis keeps sessions in a Redis. The browser has a random value that says
// nothing, Redis its digest and sealed records: who reads or writes Redis can
// neither become somebody nor learn who is signed in, only end sessions, or put
// an older state of the same user back. It is safe for concurrent use.
//
// Every replica remembers what it opened, and believes it while it hears of all
// changes (redis_feed.go). A session is over where its record or its user's
// grant is not in Redis.
type Redis struct {
	o          RedisOptions
	current    atomic.Pointer[redis.UniversalClient]
	box        *Box
	memory     *memory
	touchEvery time.Duration
	waiting    chan *held // to be looked after
	made       time.Time

	polled   atomic.Int64 // when the last poll that was answered began, since made
	failedAt atomic.Int64 // when Redis last failed to answer, likewise
	warnedAt atomic.Int64 // when the log was last told of what does not open, likewise
	down     atomic.Pointer[outage]

	bearers       bearers
	bearersRead   atomic.Bool // once
	bearersMissed bool        // some changes to them; Run's alone

	last string                 // entry of the feed; Run's alone, like the two below
	keys *Keys                  // in force at the last poll
	at   *redis.UniversalClient // which was polled last

	owedMu sync.Mutex
	owed   map[string]func(context.Context) error
}

var _ Store = (*Redis)(nil)

// NewRedis dials nothing yet. An error says what is wrong with the URL, without
// the URL.
func NewRedis(o RedisOptions) (*Redis, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	client, err := dialRedis(o.URL, o.RootCAs)
	if err != nil {
		return nil, err
	}
	r := &Redis{
		o: o, box: o.Keys.Box("redis session"), memory: newMemory(), touchEvery: touchEvery(o.IdleTimeout),
		waiting: make(chan *held, mostQueued), made: o.Now(), owed: map[string]func(context.Context) error{},
	}
	r.current.Store(&client)
	r.keys = o.Keys.keys.Load()
	r.polled.Store(int64(never))
	r.failedAt.Store(int64(never))
	r.warnedAt.Store(int64(never))
	r.down.Store(&outage{err: fmt.Errorf("%w: it was not asked yet", ErrStoreDown)})
	return r, nil
}

// Open is of [Store]. Requests share what the Session points to: nobody may write
// to its groups.
func (r *Redis) Open(ctx context.Context, h http.Header, secure bool) (Session, error) {
	value, err := r.o.Jar.Read(h, secure)
	if errors.Is(err, ErrAmbiguous) {
		return r.resolve(ctx, h, secure)
	}
	if err != nil {
		return Session{}, err
	}
	return r.openValue(ctx, value)
}

// resolve is Open where the browser has several cookies of one name.
func (r *Redis) resolve(ctx context.Context, h http.Header, secure bool) (Session, error) {
	sets, err := r.o.Jar.candidates(h, secure)
	if err != nil {
		return Session{}, err
	}
	s, p, err := latest(sets, func(p *pieces) (Session, bool, error) {
		s, err := r.openValue(ctx, p.join())
		if errors.Is(err, ErrStoreDown) {
			return Session{}, false, err
		}
		return s, err == nil, nil
	})
	s.shown.value = p.join()
	return s, err
}

// openValue finds the session that a cookie's value names.
func (r *Redis) openValue(ctx context.Context, value string) (Session, error) {
	d, ok := readSecret(value)
	if !ok {
		return Session{}, ErrBroken
	}
	o := r.memory.find(d)
	if o != nil {
		if s, known, err := r.remembered(o); known {
			if err == nil {
				r.use(o)
			}
			return s, err
		}
	}
	if r.failing() {
		return r.trusted(o, r.downFor())
	}
	s, err := r.load(ctx, d)
	if errors.Is(err, ErrStoreDown) {
		return r.trusted(o, err)
	}
	if err == nil {
		if o := r.memory.find(d); o != nil {
			r.use(o)
		}
	}
	return s, err
}

// Begin is of [Store]. The order matters: the index before the grant, so that a
// sign-out elsewhere does not take the grant for unused; the record after it,
// for it holds the grant's birth.
func (r *Redis) Begin(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	left := s.Expires.Sub(r.o.Now())
	if left < time.Millisecond {
		return Session{}, ErrOver
	}
	by := ownerOf(s.Principal.Issuer, s.Principal.Subject)
	sealed, err := r.sealGrant(by, s.Grant)
	if err != nil {
		return Session{}, err
	}
	since, asked := r.memory.mark(), r.since()
	value, d := newSecret()
	for _, index := range []string{redisAll, by.sessions()} {
		err := indexScript.Run(ctx, r.client(), []string{index}, d.String(), s.Expires.UnixMilli(), r.o.Now().UnixMilli(), left.Milliseconds()).Err()
		if err := r.answer(ctx, err); err != nil {
			return Session{}, err
		}
	}
	fields, err := loginScript.Run(ctx, r.client(), []string{by.grant()}, sealed, left.Milliseconds()).Slice()
	if err := r.answer(ctx, err); err != nil {
		return Session{}, err
	}
	g, err := r.openGrant(by, fields)
	if err != nil {
		return Session{}, fmt.Errorf("%w: it gave back another grant than it was given", ErrStoreDown)
	}
	rec := record{ID: s.ID, Owner: by, Birth: g.birth, IssuerSession: s.Session, Begun: s.Begun, Expires: s.Expires, Seen: s.Seen}
	if sealed, err = r.sealRecord(d, rec); err != nil {
		return Session{}, err
	}
	pipe := r.client().Pipeline()
	pipe.Set(ctx, d.record(), sealed, r.lives(rec))
	pipe.Set(ctx, idKey(s.ID), d.String(), left)
	_, err = pipe.Exec(ctx)
	if err := r.answer(ctx, err); err != nil {
		return Session{}, err
	}
	if err := r.o.Jar.Write(w, h, value, s.Expires, secure); err != nil {
		return Session{}, err
	}
	r.memory.put(d, view{session: rec.join(g), record: rec, owner: by, fence: g.fence, birth: g.birth}, since, asked)
	r.memory.renew(by, g)
	_ = r.spread(ctx, change{owner: by, fence: g.fence}) // others go on with the grant before it until it is told
	return s, nil
}

// Give is of [Store]. What changes, changes in Redis; only where the browser has
// several cookies of one name, it is given the one that counts.
func (r *Redis) Give(w http.ResponseWriter, h http.Header, s Session, secure bool) {
	if s.shown.value != "" {
		_ = r.o.Jar.Write(w, h, s.shown.value, s.Expires, secure) // it was read from the browser, and fits
	}
}

// Forget is of [Store].
func (r *Redis) Forget(w http.ResponseWriter, h http.Header, secure bool) {
	r.o.Jar.Clear(w, h, secure)
}

// Current is of [Store]. It is no use of the session: a stream that is merely open
// does not keep its session from becoming idle.
func (r *Redis) Current(s Session) (Session, error) {
	o := r.memory.findID(s.ID)
	if o == nil { // forgotten for want of room: good as it was, until it is read again
		v := view{session: s, owner: ownerOf(s.Principal.Issuer, s.Principal.Subject)}
		o = r.memory.put(digest{}, v, mark{}, time.Duration(r.polled.Load()))
	}
	if now, known, err := r.remembered(o); known {
		if err == nil && int64(r.since())-o.verified.Load() >= int64(confirmEvery) {
			r.queue(o)
		}
		return now, err
	}
	r.queue(o)
	now, err := r.trusted(o, r.downFor())
	if err != nil && r.idle(time.Unix(0, o.seen.Load()), r.o.Now()) && r.Down() == nil {
		return s, nil // until Redis has said whether another replica has seen it
	}
	return now, err
}

// Owner is of [Store]: one renewal at a time for all sessions of a user.
func (r *Redis) Owner(s Session) string {
	return string(ownerOf(s.Principal.Issuer, s.Principal.Subject))
}

// Down is of [Store].
func (r *Redis) Down() error {
	if out := r.down.Load(); out != nil {
		return out.err
	}
	return nil
}

// downFor is never nil: for who has to refuse although the poll has not noticed.
func (r *Redis) downFor() error {
	if err := r.Down(); err != nil {
		return err
	}
	return ErrStoreDown
}

// Close ends its connections.
func (r *Redis) Close() error {
	if err := r.client().Close(); err != nil {
		return fmt.Errorf("closing the session store: %w", err)
	}
	return nil
}
