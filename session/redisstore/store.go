// Package redisstore keeps sessions in Redis, encrypted, and shares them between replicas.
package redisstore

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

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/seal"
	"github.com/redis/go-redis/v9"
)

// Options say where and for how long sessions are kept.
type Options struct {
	URL     string         // redis://, rediss://, sentinel and cluster in the client's own forms; holds a password
	RootCAs *x509.CertPool // nil: the system's

	Cookie  *cookie.Chunked
	Keyring *seal.Keyring

	IdleTimeout time.Duration // 0: none

	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

// Store keeps sessions in a Redis. The browser has a random value without meaning. Redis has
// its digest and encrypted records: an attacker with access to Redis can neither become a
// user nor learn who is signed in, only end sessions, or restore an older state of the same
// user. It is safe for concurrent use.
//
// Every replica caches the sessions that it has read, and uses them as long as it polls all
// changes (changelog.go). A session has ended when its record or its user's grant is not in
// Redis.
type Store struct {
	o                Options
	currentClient    atomic.Pointer[redis.UniversalClient]
	aead             *seal.AEAD
	cache            *sessionCache
	lastUsedInterval time.Duration
	revalidateQueue  chan *cacheEntry // to be revalidated
	createdAt        time.Time

	polledAt atomic.Int64 // start of the last successful poll, since createdAt
	failedAt atomic.Int64 // when Redis last failed, since createdAt
	warnedAt atomic.Int64 // when the log last reported a session that does not decrypt, since createdAt
	outage   atomic.Pointer[outage]

	denylist       session.BearerDenylist
	denylistLoaded atomic.Bool // at least once
	denylistStale  bool        // changes may have been missed; only Run uses it

	lastEntry    string                 // of the changelog; only Run uses it and the two below
	polledKeys   *seal.Keys             // at the last poll
	polledClient *redis.UniversalClient // which was polled last

	pendingMu sync.Mutex
	pending   map[string]func(context.Context) error
}

var _ session.Store = (*Store)(nil)

// New does not dial. An error says what is wrong with the URL, without quoting it.
func New(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	client, err := newClient(o.URL, o.RootCAs)
	if err != nil {
		return nil, err
	}
	r := &Store{
		o: o, aead: o.Keyring.AEAD("redis session"), cache: newSessionCache(),
		lastUsedInterval: session.LastUsedInterval(o.IdleTimeout), revalidateQueue: make(chan *cacheEntry, maxQueued),
		createdAt: o.Now(), pending: map[string]func(context.Context) error{},
	}
	r.currentClient.Store(&client)
	r.polledKeys = o.Keyring.Current()
	r.polledAt.Store(int64(neverHappened))
	r.failedAt.Store(int64(neverHappened))
	r.warnedAt.Store(int64(neverHappened))
	r.outage.Store(&outage{err: fmt.Errorf("%w: no command was sent yet", session.ErrStoreDown)})
	return r, nil
}

// Open implements [session.Store]. Requests share what the Session points to: callers must
// not write to its groups.
func (r *Store) Open(ctx context.Context, h http.Header, secure bool) (session.Session, error) {
	value, err := r.o.Cookie.Read(h, secure)
	if errors.Is(err, session.ErrAmbiguous) {
		return r.resolveDuplicates(ctx, h, secure)
	}
	if err != nil {
		return session.Session{}, err
	}
	return r.openValue(ctx, value)
}

// resolveDuplicates is Open for a browser with several cookies of one name.
func (r *Store) resolveDuplicates(ctx context.Context, h http.Header, secure bool) (session.Session, error) {
	sets, err := r.o.Cookie.Candidates(h, secure)
	if err != nil {
		return session.Session{}, err
	}
	s, p, err := session.PickLatest(sets, func(p *cookie.Chunks) (session.Session, bool, error) {
		s, err := r.openValue(ctx, p.Value())
		if errors.Is(err, session.ErrStoreDown) {
			return session.Session{}, false, err
		}
		return s, err == nil, nil
	})
	s.Cookie.Value = p.Value()
	return s, err
}

// openValue finds the session that a cookie's value names.
func (r *Store) openValue(ctx context.Context, value string) (session.Session, error) {
	d, ok := parseCookieValue(value)
	if !ok {
		return session.Session{}, session.ErrInvalid
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
	if errors.Is(err, session.ErrStoreDown) {
		return r.fromCacheInOutage(entry, err)
	}
	if err == nil {
		if entry := r.cache.get(d); entry != nil {
			r.markUsed(entry)
		}
	}
	return s, err
}

// Create implements [session.Store]. The order matters. The index comes before the grant, so
// that a concurrent sign-out does not delete the grant as unused. The record comes after the
// grant, because it holds its generation.
func (r *Store) Create(
	ctx context.Context, w http.ResponseWriter, h http.Header, s session.Session, secure bool,
) (session.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	left := s.Expires.Sub(r.o.Now())
	if left < time.Millisecond {
		return session.Session{}, session.ErrExpired
	}
	user := userKeyOf(s.Principal.Issuer, s.Principal.Subject)
	sealed, err := r.sealGrant(user, s.TokenSet)
	if err != nil {
		return session.Session{}, err
	}
	position, askedAt := r.cache.position(), r.elapsed()
	value, d := newCookieValue()
	for _, index := range []string{allKey, user.sessions()} {
		err := indexScript.Run(ctx, r.client(), []string{index},
			d.String(), s.Expires.UnixMilli(), r.o.Now().UnixMilli(), left.Milliseconds()).Err()
		if err := r.classify(ctx, err); err != nil {
			return session.Session{}, err
		}
	}
	fields, err := loginScript.Run(ctx, r.client(), []string{user.grant()}, sealed, left.Milliseconds()).Slice()
	if err := r.classify(ctx, err); err != nil {
		return session.Session{}, err
	}
	g, err := r.openGrant(user, fields)
	if err != nil {
		return session.Session{}, fmt.Errorf("%w: redis returned another grant than was written", session.ErrStoreDown)
	}
	rec := record{
		ID: s.ID, User: user, Generation: g.generation, IssuerSession: s.SessionID,
		CreatedAt: s.CreatedAt, Expires: s.Expires, LastUsed: s.LastUsed,
	}
	if sealed, err = r.sealRecord(d, rec); err != nil {
		return session.Session{}, err
	}
	pipe := r.client().Pipeline()
	pipe.Set(ctx, d.record(), sealed, r.recordTTL(rec))
	pipe.Set(ctx, idKey(s.ID), d.String(), left)
	_, err = pipe.Exec(ctx)
	if err := r.classify(ctx, err); err != nil {
		return session.Session{}, err
	}
	if err := r.o.Cookie.Write(w, h, value, s.Expires, secure); err != nil {
		return session.Session{}, err
	}
	v := entrySnapshot{session: rec.join(g), record: rec, user: user, fence: g.fence, generation: g.generation}
	r.cache.put(d, v, position, askedAt)
	r.cache.updateGrant(user, g)
	_ = r.publish(ctx, change{user: user, fence: g.fence}) // other replicas use the previous grant until this succeeds
	return s, nil
}

// WriteCookie implements [session.Store]. Sessions change in Redis, so the cookie stays.
// Only a browser with several cookies of one name gets the one that counts.
func (r *Store) WriteCookie(w http.ResponseWriter, h http.Header, s session.Session, secure bool) {
	if s.Cookie.Value != "" {
		_ = r.o.Cookie.Write(w, h, s.Cookie.Value, s.Expires, secure) // it comes from the browser, and fits
	}
}

// ClearCookie implements [session.Store].
func (r *Store) ClearCookie(w http.ResponseWriter, h http.Header, secure bool) {
	r.o.Cookie.Clear(w, h, secure)
}

// Current implements [session.Store]. It is not a use of the session: an open stream does
// not keep its session from becoming idle.
func (r *Store) Current(s session.Session) (session.Session, error) {
	entry := r.cache.getByID(s.ID)
	if entry == nil { // evicted: as good as it was, until it is read again
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
		return s, nil // until Redis says whether another replica has seen it used
	}
	return now, err
}

// RefreshKey implements [session.Store]: one refresh at a time for all sessions of a user.
func (r *Store) RefreshKey(s session.Session) string {
	return string(userKeyOf(s.Principal.Issuer, s.Principal.Subject))
}

// Down implements [session.Store].
func (r *Store) Down() error {
	if out := r.outage.Load(); out != nil {
		return out.err
	}
	return nil
}

// downError is never nil: for callers that must refuse although the poll has not failed yet.
func (r *Store) downError() error {
	if err := r.Down(); err != nil {
		return err
	}
	return session.ErrStoreDown
}

// Close ends its connections.
func (r *Store) Close() error {
	if err := r.client().Close(); err != nil {
		return fmt.Errorf("closing the session store: %w", err)
	}
	return nil
}
