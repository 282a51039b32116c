package identity

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/redact"
)

const (
	// keysAgain is for how long a key that its issuer has taken back is believed at
	// most, while the issuer answers; 3 minutes on average.
	keysAgain = 4 * time.Minute

	// keysWait bounds how long a request waits for keys: an issuer that is silent
	// must not collect requests.
	keysWait = 5 * time.Second
)

// issuerKeys has the keys of an issuer at hand. go-oidc's RemoteKeySet fetches
// inside a request, and believes a key until some token names an unknown one: that
// is right for what the token endpoint gave, and too long for what strangers bring.
//
// All requests to the network are run's. A token of an unknown key makes it fetch
// once more, at most every keysEvery, whether that succeeds or not.
type issuerKeys struct {
	rp    *RelyingParty
	found <-chan struct{} // closed when rp was discovered; nil: that is done here
	log   *slog.Logger

	view atomic.Pointer[keysView]
	ask  chan struct{} // with room for one

	document   *provider // of a further issuer; run's alone
	documentAt time.Time
}

// keysView is how the last attempt to fetch keys has ended. It is replaced whole,
// by run alone.
type keysView struct {
	signing *signing      // nil until the first success; kept while the issuer fails
	failure error         // nil: the attempt succeeded
	at      time.Time     // when it ended; zero: there was none yet
	next    chan struct{} // closed with the attempt after it
}

func newIssuerKeys(rp *RelyingParty, found <-chan struct{}, log *slog.Logger) *issuerKeys {
	k := &issuerKeys{rp: rp, found: found, log: log, ask: make(chan struct{}, 1)}
	k.view.Store(&keysView{failure: errors.New("its keys have not been fetched yet"), next: make(chan struct{})})
	return k
}

// open establishes that the issuer signed a token, and says by which keys.
func (k *issuerKeys) open(ctx context.Context, raw string) (claims, *signing, error) {
	v := k.view.Load()
	if v.signing == nil {
		if v = k.newer(ctx); v.signing == nil {
			return nil, nil, k.unreachable(ctx, v)
		}
	}
	by := &keyLookup{issuer: k, signing: v.signing}
	_, c, err := k.rp.open(ctx, v.signing.provider, by, raw)
	return c, by.signing, err
}

// newer asks for another attempt and waits for its end, unless one has just ended.
func (k *issuerKeys) newer(ctx context.Context) *keysView {
	v := k.view.Load()
	if k.recent(v) {
		return v
	}
	select {
	case k.ask <- struct{}{}:
	default: // asked already
	}
	patience := time.NewTimer(keysWait)
	defer patience.Stop()
	select {
	case <-v.next:
	case <-patience.C:
	case <-ctx.Done():
	}
	return k.view.Load()
}

func (k *issuerKeys) recent(v *keysView) bool {
	age := k.rp.cfg.Now().Sub(v.at)
	return !v.at.IsZero() && age >= 0 && age < keysEvery
}

func (k *issuerKeys) unreachable(ctx context.Context, v *keysView) error {
	at := "GET " + strings.TrimSuffix(k.rp.cfg.URL, "/") + "/.well-known/openid-configuration"
	if err := ctx.Err(); err != nil {
		return &UnreachableError{At: at, Reason: redact.Failure(err), ended: err}
	}
	if v.failure == nil {
		return &UnreachableError{At: at, Reason: "no answer in time"}
	}
	if err, ok := errors.AsType[*UnreachableError](v.failure); ok {
		return &UnreachableError{At: err.At, Reason: err.Reason} // how run's context ended is not this request's
	}
	return &UnreachableError{At: at, Reason: v.failure.Error()}
}

// keyLookup finds the key of one token, and the keys that it was found among.
type keyLookup struct {
	issuer  *issuerKeys
	signing *signing
}

// VerifySignature is of [oidc.KeySet].
func (l *keyLookup) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	var algorithms []jose.SignatureAlgorithm
	for _, alg := range l.signing.provider.algorithms {
		algorithms = append(algorithms, jose.SignatureAlgorithm(alg))
	}
	token, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return nil, errors.New("not a JWS")
	}
	payload, known := l.signing.verify(token)
	if payload != nil {
		return payload, nil
	}
	v := l.issuer.newer(ctx)
	if v.signing != nil && v.signing != l.signing {
		l.signing = v.signing
		if payload, known = l.signing.verify(token); payload != nil {
			return payload, nil
		}
	}
	if !known && (v.failure != nil || ctx.Err() != nil || !l.issuer.recent(v)) {
		return nil, l.issuer.unreachable(ctx, v) // the key may be a new one
	}
	return nil, errors.New("of none of the keys")
}

// verify gives what is signed, and whether the key that the token names is there.
func (s *signing) verify(token *jose.JSONWebSignature) (payload []byte, known bool) {
	name := token.Signatures[0].Header.KeyID
	for i := range s.keys {
		key := &s.keys[i]
		if name != "" && key.KeyID != name {
			continue
		}
		known = true
		if key.Algorithm != "" && key.Algorithm != token.Signatures[0].Header.Algorithm {
			continue
		}
		if payload, err := token.Verify(key); err == nil && payload != nil {
			return payload, true
		}
	}
	return nil, known
}

// run fetches the keys at once, then from time to time and when it is asked to.
func (k *issuerKeys) run(ctx context.Context) {
	retry, found := firstRetry, k.found
	for {
		k.look(ctx)
		pause := keysAgain
		if k.view.Load().failure != nil {
			pause, retry = retry, min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		// Half of it is chance: replicas that started together shall not ask together.
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		on := k.rest(ctx, timer.C, found)
		timer.Stop()
		if !on {
			return
		}
		select {
		case <-found: // which it is from now on
			found = nil
		default:
		}
	}
}

// rest reports whether there is anything to do but to end.
func (k *issuerKeys) rest(ctx context.Context, pause <-chan time.Time, found <-chan struct{}) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-pause:
			return true
		case <-found:
			return true
		case <-k.ask:
			if !k.recent(k.view.Load()) { // else whoever asked has its answer
				return true
			}
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
	v := &keysView{signing: fetched, failure: err, at: k.rp.cfg.Now(), next: make(chan struct{})}
	switch own := k.found != nil; {
	case err != nil:
		v.signing = old.signing
		notYet := own && errors.Is(err, ErrNotReady) // of which rp tells
		if !notYet && (old.failure == nil || old.at.IsZero()) {
			k.log.WarnContext(ctx, "keys for bearer tokens are not to be had, trying again", "issuer", k.rp.cfg.URL, "error", err, "older", old.signing != nil)
		}
	case old.signing == nil:
		k.log.InfoContext(ctx, "keys for bearer tokens fetched", "issuer", k.rp.cfg.URL, "keys", len(fetched.keys))
	case fetched.same(old.signing):
		v.signing = old.signing
	default:
		k.log.InfoContext(ctx, "issuer has changed its keys for bearer tokens", "issuer", k.rp.cfg.URL, "keys", len(fetched.keys))
	}
	if err == nil && old.signing != nil && old.failure != nil {
		k.log.InfoContext(ctx, "keys for bearer tokens are to be had again", "issuer", k.rp.cfg.URL)
	}
	k.view.Store(v)
	close(old.next)
}
