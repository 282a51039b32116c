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

	"github.com/example-org/authgate/redact"
)

const (
	// keysAgain is for how long a key that its issuer has taken back is accepted at
	// most, while the issuer answers; 3 minutes on average.
	keysAgain = 4 * time.Minute

	// keysEvery is how often tokens of unknown keys make authgate fetch keys at most,
	// whether that succeeds or not: strangers can send such tokens.
	keysEvery = 5 * time.Second

	// keysWait bounds how long a request waits for keys: an issuer that is silent
	// must not collect requests.
	keysWait = 5 * time.Second
)

// issuerKeys has the keys of an issuer at hand, for logins, refreshes, logout tokens
// and bearer tokens alike. go-oidc's RemoteKeySet would do as one unusable key does
// not do for the others: it fails on a set that holds one; it fetches inside a
// request, and accepts a key that was taken back until some token names another.
//
// Keys are fetched by one attempt at a time, beside the requests that wait for it.
type issuerKeys struct {
	rp    *RelyingParty
	found <-chan struct{} // closed when rp was discovered; nil: that is done here
	log   *slog.Logger

	view atomic.Pointer[keysView]

	mu     sync.Mutex
	flight chan struct{}   // closed with the attempt that is under way; nil: none is
	own    context.Context // of run, while it runs

	ended chan struct{} // with room for one: an attempt has ended
	renew chan struct{} // with room for one: what an attempt would find may be another

	document   *provider // of a further issuer; the attempt's alone, as the rest
	documentAt time.Time
	skipped    string // what the log was told of last
}

// keysView is how the last attempt to fetch keys has ended. It is replaced whole.
type keysView struct {
	signing *signing  // nil until the first success; kept while the issuer fails
	failure error     // nil: the attempt succeeded
	at      time.Time // when it ended; zero: there was none yet
}

func newIssuerKeys(rp *RelyingParty, found <-chan struct{}, log *slog.Logger) *issuerKeys {
	k := &issuerKeys{rp: rp, found: found, log: log, ended: make(chan struct{}, 1), renew: make(chan struct{}, 1)}
	k.view.Store(&keysView{failure: errors.New("its keys have not been fetched yet")})
	return k
}

// source says where a token came from, which decides how patient its issuer has to
// be with us.
type source bool

const (
	ofStranger      source = false // anybody may have sent it
	ofTokenEndpoint source = true  // the issuer has just made it, for a code or a refresh token of ours
)

// opened is a token of which it is established that its issuer signed it.
type opened struct {
	token  *oidc.IDToken
	claims claims
	by     *signing
}

// open establishes that the issuer signed a token, and says by which keys.
func (k *issuerKeys) open(ctx context.Context, raw string, from source) (opened, error) {
	v := k.view.Load()
	if v.signing == nil || k.moved(v.signing) {
		if v = k.newer(ctx, from); v.signing == nil {
			return opened{}, k.unreachable(ctx, v)
		}
	}
	by := &keyLookup{issuer: k, signing: v.signing, from: from}
	token, c, err := k.rp.open(ctx, v.signing.provider, by, raw)
	return opened{token, c, by.signing}, err
}

// moved reports whether discovery has found another document than the keys are of.
func (k *issuerKeys) moved(s *signing) bool {
	if k.found == nil {
		return false
	}
	p, err := k.rp.provider()
	return err == nil && p != s.provider && !p.same(s.provider)
}

// newer gives the view after another attempt, unless one has just ended. What the
// token endpoint gave may be of a key that is younger than that.
func (k *issuerKeys) newer(ctx context.Context, from source) *keysView {
	v := k.view.Load()
	if from == ofStranger && k.recent(v) {
		return v
	}
	patience := time.NewTimer(keysWait)
	defer patience.Stop()
	if from == ofTokenEndpoint { // somebody is logging in: that has a limit of its own
		patience.Stop()
	}
	select {
	case <-k.attempt(from):
	case <-patience.C:
	case <-ctx.Done():
	}
	return k.view.Load()
}

func (k *issuerKeys) recent(v *keysView) bool {
	age := k.rp.cfg.Now().Sub(v.at)
	return !v.at.IsZero() && age >= 0 && age < keysEvery
}

// attempt begins to fetch keys, unless that is under way, or has just ended. The
// channel is closed with its end.
func (k *issuerKeys) attempt(from source) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.flight != nil:
		return k.flight
	case from == ofStranger && k.recent(k.view.Load()):
		return closed
	}
	flight, ctx := make(chan struct{}), k.own
	if ctx == nil {
		ctx = context.Background() // it ends by itself, after attemptTimeout
	}
	k.flight = flight
	go func() {
		defer func() {
			k.mu.Lock()
			k.flight = nil
			k.mu.Unlock()
			close(flight)
			select {
			case k.ended <- struct{}{}:
			default:
			}
		}()
		k.look(ctx)
	}()
	return flight
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// again has run fetch the keys now, however short ago an attempt ended.
func (k *issuerKeys) again() {
	select {
	case k.renew <- struct{}{}:
	default:
	}
}

// underWay is closed once no attempt goes on that began before.
func (k *issuerKeys) underWay() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight == nil {
		return closed
	}
	return k.flight
}

func (k *issuerKeys) unreachable(ctx context.Context, v *keysView) error {
	at := "GET " + strings.TrimSuffix(k.rp.cfg.URL, "/") + "/.well-known/openid-configuration"
	if p, err := k.rp.provider(); err == nil {
		at = "GET " + p.metadata.Keys
	} else if v.signing != nil {
		at = "GET " + v.signing.provider.metadata.Keys
	}
	if err := ctx.Err(); err != nil {
		return &UnreachableError{At: at, Reason: redact.Failure(err), ended: err}
	}
	if v.failure == nil || v.at.IsZero() {
		return &UnreachableError{At: at, Reason: "no answer in time"}
	}
	if err, ok := errors.AsType[*UnreachableError](v.failure); ok {
		late := err.ended
		if !errors.Is(late, context.DeadlineExceeded) { // how else the attempt's context ended is not this request's
			late = nil
		}
		return &UnreachableError{At: err.At, Reason: err.Reason, ended: late}
	}
	return &UnreachableError{At: at, Reason: v.failure.Error()}
}

// run fetches the keys at once, then from time to time, and more often while that
// fails. It returns when ctx ends.
func (k *issuerKeys) run(ctx context.Context) {
	k.mu.Lock()
	k.own = ctx
	k.mu.Unlock()
	retry, found := firstRetry, k.found
	for due := true; ; {
		if due {
			<-k.attempt(ofTokenEndpoint)
			select {
			case <-k.ended: // that one
			default:
			}
		}
		pause := keysAgain
		if k.view.Load().failure != nil {
			pause = retry
			if due {
				retry = min(2*retry, lastRetry)
			}
		} else {
			retry = firstRetry
		}
		// Half of it is chance: replicas that started together shall not ask together.
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		due = true
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-k.ended: // a request has had it fetched
			due = false
		case <-found: // which it is from now on
			found = nil
		case <-k.renew:
			<-k.underWay() // which may have begun before
			retry = firstRetry
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// look fetches the keys once, publishes how that ended and logs what changed.
func (k *issuerKeys) look(ctx context.Context) {
	old := k.view.Load()
	fetched, err := k.fetch(ctx)
	if ctx.Err() != nil { // says nothing about the issuer
		return
	}
	v := &keysView{signing: fetched, failure: err, at: k.rp.cfg.Now()}
	switch own := k.found != nil; {
	case err != nil:
		v.signing = old.signing
		notYet := own && errors.Is(err, ErrNotReady) // of which rp tells
		if !notYet && (old.failure == nil || old.at.IsZero()) {
			k.log.WarnContext(ctx, "the keys of an issuer cannot be fetched, trying again", "issuer", k.rp.cfg.URL, "error", err, "older", old.signing != nil)
		}
	case old.signing == nil:
		k.log.InfoContext(ctx, "keys of an issuer fetched", "issuer", k.rp.cfg.URL, "keys", len(fetched.keys))
	case fetched.same(old.signing):
		v.signing = old.signing
	default:
		k.log.InfoContext(ctx, "issuer has changed its keys", "issuer", k.rp.cfg.URL, "keys", len(fetched.keys))
	}
	if err == nil {
		k.tellSkipped(ctx, v.signing)
		if old.signing != nil && old.failure != nil {
			k.log.InfoContext(ctx, "the keys of an issuer can be fetched again", "issuer", k.rp.cfg.URL)
		}
	}
	k.view.Store(v)
}

// tellSkipped logs and counts, once a change, the keys that cannot be used. Those
// for encryption are no mistake.
func (k *issuerKeys) tellSkipped(ctx context.Context, s *signing) {
	text := describeSkipped(s.skipped)
	if text == k.skipped {
		return
	}
	k.skipped = text
	faulty := 0
	for _, one := range s.skipped {
		k.rp.cfg.KeySkipped(one.reason)
		if one.reason != keyForOtherUse {
			faulty++
		}
	}
	if faulty > 0 {
		k.log.WarnContext(ctx, "keys of an issuer cannot be used and are skipped: what they sign is refused",
			"issuer", k.rp.cfg.URL, "skipped", text, "keys", len(s.keys))
	}
}
