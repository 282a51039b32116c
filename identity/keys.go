package identity

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/example-org/authgate/text"
)

const (
	// keyRefreshInterval is for how long a key that its issuer has taken back is accepted at
	// most, while the issuer answers; 3 minutes on average.
	keyRefreshInterval = 4 * time.Minute

	// minKeyFetchInterval is how often tokens of unknown keys make authgate fetch keys at most,
	// whether that succeeds or not: strangers can send such tokens.
	minKeyFetchInterval = 5 * time.Second

	// keyWaitTimeout bounds how long a request waits for keys: an issuer that is silent
	// must not collect requests.
	keyWaitTimeout = 5 * time.Second
)

// issuerKeySet has the keys of an issuer at hand, for logins, refreshes, logout tokens
// and bearer tokens alike. go-oidc's RemoteKeySet would do as one unusable key does
// not do for the others: it fails on a set that holds one; it fetches inside a
// request, and accepts a key that was taken back until some token names another.
//
// Keys are fetched by one attempt at a time, and requests wait for it. It is not a
// singleflight.Group, which cannot tell whether an attempt is in flight (see underWay).
type issuerKeySet struct {
	rp           *RelyingParty
	discoveredCh <-chan struct{} // closed when rp was discovered; nil: that is done here
	log          *slog.Logger

	state atomic.Pointer[keySetState]

	mu       sync.Mutex
	inflight chan struct{}   // closed with the attempt that is under way; nil: none is
	runCtx   context.Context // of run, while it runs

	attemptEnded chan struct{} // with room for one: an attempt has ended
	renew        chan struct{} // with room for one: what an attempt would find may be another

	discovery   *provider // of a further issuer; the attempt's alone, as the rest
	discoveryAt time.Time
	lastSkipped string // what the log was told of last
}

// keySetState is how the last attempt to fetch keys has ended. It is replaced whole.
type keySetState struct {
	keys    *verificationKeys // nil until the first success; kept while the issuer fails
	failure error             // nil: the attempt succeeded
	at      time.Time         // when it ended; zero: there was none yet
}

func newIssuerKeySet(rp *RelyingParty, found <-chan struct{}, log *slog.Logger) *issuerKeySet {
	k := &issuerKeySet{rp: rp, discoveredCh: found, log: log, attemptEnded: make(chan struct{}, 1), renew: make(chan struct{}, 1)}
	k.state.Store(&keySetState{failure: errors.New("its keys have not been fetched yet")})
	return k
}

// tokenOrigin says where a token came from, which decides how patient its issuer has to
// be with us.
type tokenOrigin bool

const (
	fromClient        tokenOrigin = false // anybody may have sent it
	fromTokenEndpoint tokenOrigin = true  // the issuer has just made it, for a code or a refresh token of ours
)

// verifiedJWT is a token of which it is established that its issuer signed it.
type verifiedJWT struct {
	token  *oidc.IDToken
	claims claims
	keys   *verificationKeys
}

// verifySignature establishes that the issuer signed a token, and says by which keys.
func (k *issuerKeySet) verifySignature(ctx context.Context, raw string, from tokenOrigin) (verifiedJWT, error) {
	v := k.state.Load()
	if v.keys == nil || k.providerChanged(v.keys) {
		if v = k.refetch(ctx, from); v.keys == nil {
			return verifiedJWT{}, k.unreachable(ctx, v)
		}
	}
	by := &keyLookup{issuer: k, keys: v.keys, from: from}
	token, c, err := k.rp.verifySignature(ctx, v.keys.provider, by, raw)
	return verifiedJWT{token, c, by.keys}, err
}

// providerChanged reports whether discovery has found another document than the keys are of.
func (k *issuerKeySet) providerChanged(s *verificationKeys) bool {
	if k.discoveredCh == nil {
		return false
	}
	p, err := k.rp.provider()
	return err == nil && p != s.provider && !p.equal(s.provider)
}

// refetch gives the view after another attempt, unless one has just ended. What the
// token endpoint gave may be of a key that is younger than that.
func (k *issuerKeySet) refetch(ctx context.Context, from tokenOrigin) *keySetState {
	v := k.state.Load()
	if from == fromClient && k.attemptedRecently(v) {
		return v
	}
	timeout := time.NewTimer(keyWaitTimeout)
	defer timeout.Stop()
	if from == fromTokenEndpoint { // somebody is logging in: that has a limit of its own
		timeout.Stop()
	}
	select {
	case <-k.startFetch(from):
	case <-timeout.C:
	case <-ctx.Done():
	}
	return k.state.Load()
}

func (k *issuerKeySet) attemptedRecently(v *keySetState) bool {
	age := k.rp.cfg.Now().Sub(v.at)
	return !v.at.IsZero() && age >= 0 && age < minKeyFetchInterval
}

// startFetch begins to fetch keys, unless that is under way, or has just ended. The
// channel is closed with its end.
func (k *issuerKeySet) startFetch(from tokenOrigin) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.inflight != nil:
		return k.inflight
	case from == fromClient && k.attemptedRecently(k.state.Load()):
		return closedChannel
	}
	inflight, ctx := make(chan struct{}), k.runCtx
	if ctx == nil {
		ctx = context.Background() // it ends by itself, after attemptTimeout
	}
	k.inflight = inflight
	go func() {
		defer func() {
			k.mu.Lock()
			k.inflight = nil
			k.mu.Unlock()
			close(inflight)
			select {
			case k.attemptEnded <- struct{}{}:
			default:
			}
		}()
		k.refresh(ctx)
	}()
	return inflight
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// again has run fetch the keys now, however short ago an attempt ended.
func (k *issuerKeySet) again() {
	select {
	case k.renew <- struct{}{}:
	default:
	}
}

// underWay is closed once no attempt goes on that began before.
func (k *issuerKeySet) underWay() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inflight == nil {
		return closedChannel
	}
	return k.inflight
}

func (k *issuerKeySet) unreachable(ctx context.Context, v *keySetState) error {
	at := "GET " + strings.TrimSuffix(k.rp.cfg.URL, "/") + "/.well-known/openid-configuration"
	if p, err := k.rp.provider(); err == nil {
		at = "GET " + p.metadata.JWKSURI
	} else if v.keys != nil {
		at = "GET " + v.keys.provider.metadata.JWKSURI
	}
	if err := ctx.Err(); err != nil {
		return &UnreachableError{Request: at, Reason: text.RedactError(err), cause: err}
	}
	if v.failure == nil || v.at.IsZero() {
		return &UnreachableError{Request: at, Reason: "no answer in time"}
	}
	if err, ok := errors.AsType[*UnreachableError](v.failure); ok {
		cause := err.cause
		if !errors.Is(cause, context.DeadlineExceeded) { // how else the attempt's context ended is not this request's
			cause = nil
		}
		return &UnreachableError{Request: err.Request, Reason: err.Reason, cause: cause}
	}
	return &UnreachableError{Request: at, Reason: v.failure.Error()}
}

// run fetches the keys at once, then from time to time, and more often while that
// fails. It returns when ctx ends.
func (k *issuerKeySet) run(ctx context.Context) {
	k.mu.Lock()
	k.runCtx = ctx
	k.mu.Unlock()
	retry, found := minRetryInterval, k.discoveredCh
	for fetchDue := true; ; {
		if fetchDue {
			<-k.startFetch(fromTokenEndpoint)
			select {
			case <-k.attemptEnded: // that one
			default:
			}
		}
		pause := keyRefreshInterval
		if k.state.Load().failure != nil {
			pause = retry
			if fetchDue {
				retry = min(2*retry, maxRetryInterval)
			}
		} else {
			retry = minRetryInterval
		}
		// Half of it is chance: replicas that started together shall not ask together.
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		fetchDue = true
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-k.attemptEnded: // a request has had it fetched
			fetchDue = false
		case <-found: // which it is from now on
			found = nil
		case <-k.renew:
			<-k.underWay() // which may have begun before
			retry = minRetryInterval
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// refresh fetches the keys once, publishes how that ended and logs what changed.
func (k *issuerKeySet) refresh(ctx context.Context) {
	old := k.state.Load()
	fetched, err := k.fetch(ctx)
	if ctx.Err() != nil { // says nothing about the issuer
		return
	}
	v := &keySetState{keys: fetched, failure: err, at: k.rp.cfg.Now()}
	switch loginIssuer := k.discoveredCh != nil; {
	case err != nil:
		v.keys = old.keys
		notYet := loginIssuer && errors.Is(err, ErrNotReady) // of which rp tells
		if !notYet && (old.failure == nil || old.at.IsZero()) {
			k.log.WarnContext(ctx, "the keys of an issuer cannot be fetched, trying again", "issuer", k.rp.cfg.URL, "error", err, "older", old.keys != nil)
		}
	case old.keys == nil:
		k.log.InfoContext(ctx, "keys of an issuer fetched", "issuer", k.rp.cfg.URL, "keys", len(fetched.keys))
	case fetched.equal(old.keys):
		v.keys = old.keys
	default:
		k.log.InfoContext(ctx, "issuer has changed its keys", "issuer", k.rp.cfg.URL, "keys", len(fetched.keys))
	}
	if err == nil {
		k.reportSkipped(ctx, v.keys)
		if old.keys != nil && old.failure != nil {
			k.log.InfoContext(ctx, "the keys of an issuer can be fetched again", "issuer", k.rp.cfg.URL)
		}
	}
	k.state.Store(v)
}

// reportSkipped logs and counts, once a change, the keys that cannot be used. Those
// for encryption are no mistake.
func (k *issuerKeySet) reportSkipped(ctx context.Context, s *verificationKeys) {
	text := describeSkipped(s.skipped)
	if text == k.lastSkipped {
		return
	}
	k.lastSkipped = text
	faulty := 0
	for _, key := range s.skipped {
		k.rp.cfg.KeySkipped(key.reason)
		if key.reason != keyNotForSigning {
			faulty++
		}
	}
	if faulty > 0 {
		k.log.WarnContext(ctx, "keys of an issuer cannot be used and are skipped: what they sign is refused",
			"issuer", k.rp.cfg.URL, "skipped", text, "keys", len(s.keys))
	}
}
