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
	// keyRefreshInterval is how long a key that its issuer has withdrawn is accepted at
	// most, while the issuer is reachable; 3 minutes on average.
	keyRefreshInterval = 4 * time.Minute

	// minKeyFetchInterval is the least time between two attempts that tokens with unknown
	// keys cause: any client can send such tokens.
	minKeyFetchInterval = 5 * time.Second

	// keyWaitTimeout bounds how long a request waits for keys: an issuer that does not
	// respond must not collect requests.
	keyWaitTimeout = 5 * time.Second
)

// issuerKeySet caches the keys of an issuer, for logins, refreshes, logout tokens and bearer
// tokens alike. go-oidc's RemoteKeySet would not do: it fails if one key of a set is
// unusable, fetches inside a request, and accepts a withdrawn key until a token names
// another.
//
// Keys are fetched by one attempt at a time, and requests wait for it. It is not a
// singleflight.Group, which cannot tell whether an attempt is in flight (see attemptDone).
type issuerKeySet struct {
	rp           *RelyingParty
	discoveredCh <-chan struct{} // closed when rp was discovered; nil: the key set does the discovery
	log          *slog.Logger

	state atomic.Pointer[keySetState]

	mu       sync.Mutex
	inflight chan struct{}   // closed when the attempt in flight ends; nil: there is none
	runCtx   context.Context // of run, while it runs

	attemptEnded chan struct{} // buffered: an attempt has ended
	fetchNow     chan struct{} // buffered: fetch at once, the result may differ

	discovery   *provider // of an additional issuer; only the attempt uses it and the two below
	discoveryAt time.Time
	lastSkipped string // what the log last reported
}

// keySetState is the result of the last attempt to fetch keys. It is replaced as a whole.
type keySetState struct {
	keys    *verificationKeys // nil until the first success; kept while the issuer fails
	failure error             // nil: the attempt succeeded
	at      time.Time         // when it ended; zero: there was none yet
}

func newIssuerKeySet(rp *RelyingParty, found <-chan struct{}, log *slog.Logger) *issuerKeySet {
	k := &issuerKeySet{
		rp: rp, discoveredCh: found, log: log,
		attemptEnded: make(chan struct{}, 1), fetchNow: make(chan struct{}, 1),
	}
	k.state.Store(&keySetState{failure: errors.New("its keys have not been fetched yet")})
	return k
}

// tokenOrigin says where a token came from, which decides how long to wait for its issuer.
type tokenOrigin bool

const (
	fromClient        tokenOrigin = false // any client may have sent it
	fromTokenEndpoint tokenOrigin = true  // the issuer has just made it, for our code or refresh token
)

// verifiedJWT is a token with a verified signature.
type verifiedJWT struct {
	token  *oidc.IDToken
	claims claims
	keys   *verificationKeys
}

// verifySignature checks that the issuer signed a token, and gives the keys that verified
// it.
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

// providerChanged reports whether discovery has found another document than the one of the
// keys.
func (k *issuerKeySet) providerChanged(s *verificationKeys) bool {
	if k.discoveredCh == nil {
		return false
	}
	p, err := k.rp.provider()
	return err == nil && p != s.provider && !p.equal(s.provider)
}

// refetch gives the state after another attempt, unless one has just ended. A token of the
// token endpoint may be signed with a younger key than that.
func (k *issuerKeySet) refetch(ctx context.Context, from tokenOrigin) *keySetState {
	v := k.state.Load()
	if from == fromClient && k.attemptedRecently(v) {
		return v
	}
	timeout := time.NewTimer(keyWaitTimeout)
	defer timeout.Stop()
	if from == fromTokenEndpoint { // a login, which has a limit of its own
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

// startFetch starts to fetch keys, unless an attempt is in flight or has just ended. The
// channel is closed when it ends.
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
		ctx = context.Background() // it ends after attemptTimeout
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

// again makes run fetch the keys now, even if an attempt has just ended.
func (k *issuerKeySet) again() {
	select {
	case k.fetchNow <- struct{}{}:
	default:
	}
}

// attemptDone is closed when no attempt is in flight that started before the call.
func (k *issuerKeySet) attemptDone() <-chan struct{} {
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
		if !errors.Is(cause, context.DeadlineExceeded) { // other ends of the attempt's context are not this request's
			cause = nil
		}
		return &UnreachableError{Request: err.Request, Reason: err.Reason, cause: cause}
	}
	return &UnreachableError{Request: at, Reason: v.failure.Error()}
}

// run fetches the keys at once, then from time to time, and more often while that fails. It
// returns when ctx ends.
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
		// Half of it is random: replicas that started together must not fetch together.
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		fetchDue = true
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-k.attemptEnded: // a request caused an attempt
			fetchDue = false
		case <-found: // of which the keys are from now on
			found = nil
		case <-k.fetchNow:
			<-k.attemptDone() // which may have started before
			retry = minRetryInterval
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// refresh fetches the keys once, publishes the result and logs changes.
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
		notYet := loginIssuer && errors.Is(err, ErrNotReady) // rp logs that
		if !notYet && (old.failure == nil || old.at.IsZero()) {
			k.log.WarnContext(ctx, "cannot fetch signing keys of an issuer; retrying",
				"issuer", k.rp.cfg.URL, "error", err, "previous_keys", old.keys != nil)
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
			k.log.InfoContext(ctx, "signing keys of an issuer fetched again", "issuer", k.rp.cfg.URL)
		}
	}
	k.state.Store(v)
}

// reportSkipped logs and counts unusable keys, once per change. Keys for encryption are
// expected.
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
		k.log.WarnContext(ctx, "unusable keys of an issuer are skipped: tokens that they sign are refused",
			"issuer", k.rp.cfg.URL, "skipped", text, "keys", len(s.keys))
	}
}
