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

	Cookie  *ChunkedCookie
	Keyring *Keyring

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
// changes (redis_changelog.go). A session is over where its record or its user's
// grant is not in Redis.
type Redis struct {
	o                RedisOptions
	currentClient    atomic.Pointer[redis.UniversalClient]
	aead             *AEAD
	cache            *redisCache
	lastUsedInterval time.Duration
	revalidateQueue  chan *cacheEntry // to be looked after
	createdAt        time.Time

	polledAt atomic.Int64 // when the last poll that was answered began, since made
	failedAt atomic.Int64 // when Redis last failed to answer, likewise
	warnedAt atomic.Int64 // when the log was last told of what does not open, likewise
	outage   atomic.Pointer[outage]

	denylist       bearerDenylist
	denylistLoaded atomic.Bool // once
	denylistStale  bool        // some changes to them; Run's alone

	lastEntry    string                 // entry of the feed; Run's alone, like the two below
	polledKeys   *Keys                  // in force at the last poll
	polledClient *redis.UniversalClient // which was polled last

	pendingMu sync.Mutex
	pending   map[string]func(context.Context) error
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
	client, err := newRedisClient(o.URL, o.RootCAs)
	if err != nil {
		return nil, err
	}
	r := &Redis{
		o: o, aead: o.Keyring.AEAD("redis session"), cache: newRedisCache(), lastUsedInterval: lastUsedInterval(o.IdleTimeout),
		revalidateQueue: make(chan *cacheEntry, maxQueued), createdAt: o.Now(), pending: map[string]func(context.Context) error{},
	}
	r.currentClient.Store(&client)
	r.polledKeys = o.Keyring.keys.Load()
	r.polledAt.Store(int64(neverHappened))
	r.failedAt.Store(int64(neverHappened))
	r.warnedAt.Store(int64(neverHappened))
	r.outage.Store(&outage{err: fmt.Errorf("%w: it was not asked yet", ErrStoreDown)})
	return r, nil
}

// Open is of [Store]. Requests share what the Session points to: nobody may write
// to its groups.
func (r *Redis) Open(ctx context.Context, h http.Header, secure bool) (Session, error) {
	value, err := r.o.Cookie.Read(h, secure)
	if errors.Is(err, ErrAmbiguous) {
		return r.resolveDuplicates(ctx, h, secure)
	}
	if err != nil {
		return Session{}, err
	}
	return r.openValue(ctx, value)
}

// resolveDuplicates is Open where the browser has several cookies of one name.
func (r *Redis) resolveDuplicates(ctx context.Context, h http.Header, secure bool) (Session, error) {
	sets, err := r.o.Cookie.candidateSets(h, secure)
	if err != nil {
		return Session{}, err
	}
	s, p, err := pickLatest(sets, func(p *chunks) (Session, bool, error) {
		s, err := r.openValue(ctx, p.join())
		if errors.Is(err, ErrStoreDown) {
			return Session{}, false, err
		}
		return s, err == nil, nil
	})
	s.cookie.value = p.join()
	return s, err
}

// openValue finds the session that a cookie's value names.
func (r *Redis) openValue(ctx context.Context, value string) (Session, error) {
	d, ok := parseCookieValue(value)
	if !ok {
		return Session{}, ErrInvalid
	}
	entry := r.cache.get(d)
	if entry != nil {
		if s, known, err := r.fromCache(entry); known {
			if err == nil {
				r.markUsed(entry)
			}
			return s, err
		}
	}
	if r.circuitOpen() {
		return r.fromCacheInOutage(entry, r.downError())
	}
	s, err := r.load(ctx, d)
	if errors.Is(err, ErrStoreDown) {
		return r.fromCacheInOutage(entry, err)
	}
	if err == nil {
		if entry := r.cache.get(d); entry != nil {
			r.markUsed(entry)
		}
	}
	return s, err
}

// Create is of [Store]. The order matters: the index before the grant, so that a
// sign-out elsewhere does not take the grant for unused; the record after it,
// for it holds the grant's birth.
func (r *Redis) Create(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	left := s.Expires.Sub(r.o.Now())
	if left < time.Millisecond {
		return Session{}, ErrExpired
	}
	user := userKeyOf(s.Principal.Issuer, s.Principal.Subject)
	sealed, err := r.sealGrant(user, s.TokenSet)
	if err != nil {
		return Session{}, err
	}
	position, askedAt := r.cache.position(), r.elapsed()
	value, d := newCookieValue()
	for _, index := range []string{redisAllKey, user.sessions()} {
		err := indexScript.Run(ctx, r.client(), []string{index}, d.String(), s.Expires.UnixMilli(), r.o.Now().UnixMilli(), left.Milliseconds()).Err()
		if err := r.classify(ctx, err); err != nil {
			return Session{}, err
		}
	}
	fields, err := loginScript.Run(ctx, r.client(), []string{user.grant()}, sealed, left.Milliseconds()).Slice()
	if err := r.classify(ctx, err); err != nil {
		return Session{}, err
	}
	g, err := r.openGrant(user, fields)
	if err != nil {
		return Session{}, fmt.Errorf("%w: it gave back another grant than it was given", ErrStoreDown)
	}
	rec := record{ID: s.ID, User: user, Generation: g.generation, IssuerSession: s.SessionID, CreatedAt: s.CreatedAt, Expires: s.Expires, LastUsed: s.LastUsed}
	if sealed, err = r.sealRecord(d, rec); err != nil {
		return Session{}, err
	}
	pipe := r.client().Pipeline()
	pipe.Set(ctx, d.record(), sealed, r.recordTTL(rec))
	pipe.Set(ctx, idKey(s.ID), d.String(), left)
	_, err = pipe.Exec(ctx)
	if err := r.classify(ctx, err); err != nil {
		return Session{}, err
	}
	if err := r.o.Cookie.Write(w, h, value, s.Expires, secure); err != nil {
		return Session{}, err
	}
	r.cache.put(d, entrySnapshot{session: rec.join(g), record: rec, user: user, fence: g.fence, generation: g.generation}, position, askedAt)
	r.cache.updateGrant(user, g)
	_ = r.publish(ctx, change{user: user, fence: g.fence}) // others go on with the grant before it until it is told
	return s, nil
}

// WriteCookie is of [Store]. What changes, changes in Redis; only where the browser has
// several cookies of one name, it is given the one that counts.
func (r *Redis) WriteCookie(w http.ResponseWriter, h http.Header, s Session, secure bool) {
	if s.cookie.value != "" {
		_ = r.o.Cookie.Write(w, h, s.cookie.value, s.Expires, secure) // it was read from the browser, and fits
	}
}

// ClearCookie is of [Store].
func (r *Redis) ClearCookie(w http.ResponseWriter, h http.Header, secure bool) {
	r.o.Cookie.Clear(w, h, secure)
}

// Current is of [Store]. It is no use of the session: a stream that is merely open
// does not keep its session from becoming idle.
func (r *Redis) Current(s Session) (Session, error) {
	entry := r.cache.getByID(s.ID)
	if entry == nil { // forgotten for want of room: good as it was, until it is read again
		v := entrySnapshot{session: s, user: userKeyOf(s.Principal.Issuer, s.Principal.Subject)}
		entry = r.cache.put(digest{}, v, cachePosition{}, time.Duration(r.polledAt.Load()))
	}
	if now, known, err := r.fromCache(entry); known {
		if err == nil && int64(r.elapsed())-entry.verified.Load() >= int64(revalidateEvery) {
			r.enqueueRevalidation(entry)
		}
		return now, err
	}
	r.enqueueRevalidation(entry)
	now, err := r.fromCacheInOutage(entry, r.downError())
	if err != nil && r.isIdle(time.Unix(0, entry.lastUsed.Load()), r.o.Now()) && r.Down() == nil {
		return s, nil // until Redis has said whether another replica has seen it
	}
	return now, err
}

// RefreshKey is of [Store]: one renewal at a time for all sessions of a user.
func (r *Redis) RefreshKey(s Session) string {
	return string(userKeyOf(s.Principal.Issuer, s.Principal.Subject))
}

// Down is of [Store].
func (r *Redis) Down() error {
	if out := r.outage.Load(); out != nil {
		return out.err
	}
	return nil
}

// downError is never nil: for who has to refuse although the poll has not noticed.
func (r *Redis) downError() error {
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
