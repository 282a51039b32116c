package identity

import (
	"strings"
	"time"

	"github.com/example-org/authgate/cache"
)

// What is remembered of tokens. The signature of a token that is not remembered is verified
// again, which costs some 100 µs.
const (
	tokenCacheSlots    = 1024
	maxTokenCacheBytes = 20 << 20
)

// tokenCache remembers the tokens that were accepted, so that the second request of a job
// costs no cryptography. Only those get in: a client without such a token can neither grow
// it nor evict others. The keys are tokens, whole: a hash alone would let one token pass
// for another, and a cryptographic one costs more than the comparison.
type tokenCache struct {
	entries *cache.Clock[string, cachedToken]
}

func newTokenCache() tokenCache {
	return tokenCache{cache.NewClock[string, cachedToken](tokenCacheSlots, maxTokenCacheBytes)}
}

type cachedToken struct {
	token     *Token
	expiresAt int64 // when it has expired, clock skew included, in nanoseconds since 1970

	keySet     *issuerKeySet
	verifiedBy *verificationKeys // what verified it
	client     *credentials      // in force then: another client id accepts other tokens
}

// isValid reports whether a token would still be accepted: it has not expired, and its
// issuer publishes the same keys. When an issuer withdraws a key, its tokens must be
// refused; those of the other keys are verified once more.
func (t *cachedToken) isValid(now time.Time) bool {
	return now.UnixNano() < t.expiresAt && t.keySet.state.Load().keys == t.verifiedBy
}

// signatureSuffix is the end of a token, its signature. Two tokens share it only if one is
// a forgery.
func signatureSuffix(raw string) string { return raw[max(len(raw)-64, 0):] }

func (c tokenCache) get(raw string) *cachedToken {
	if entry := c.entries.Get(signatureSuffix(raw), raw); entry != nil {
		return &entry.Value
	}
	return nil
}

// put copies the token, which is a part of a request's whole header.
func (c tokenCache) put(raw string, t cachedToken) {
	c.entries.Put(signatureSuffix(raw), strings.Clone(raw), t, int64(2*len(raw))) // its claims take about as much
}
