package identity

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// What is remembered of tokens: some megabytes, 20 at worst. Beyond it signatures
// are verified anew, which costs some 100 µs.
const (
	cacheSlots = 1024
	cacheWays  = 4 // places where one token may stand
)

// tokenCache remembers the tokens that were accepted, so that the second request of
// a job costs no cryptography. Only those get in: strangers can neither grow it nor
// push anybody out. Reads take no lock and wait for nobody.
type tokenCache struct {
	seed      maphash.Seed // of this process: nobody can aim at a slot
	slots     [cacheSlots]atomic.Pointer[cachedToken]
	clockHand atomic.Uint32 // which of a full set is given up next
}

// cachedToken is a token, whole: a hash alone would let one be taken for
// another, and one that can be relied on costs more than the comparison.
type cachedToken struct {
	hash      uint64
	raw       string
	token     Token
	expiresAt int64 // when it has expired, clock skew included, in nanoseconds since 1970

	keySet     *issuerKeySet
	verifiedBy *verificationKeys // what verified it
	client     *credentials      // in force then: another client id accepts other tokens
}

// isValid reports whether a token would still be accepted: it has not expired, and
// its issuer publishes the same keys. Whoever takes a key back wants its tokens
// gone; those of the other keys are verified once more.
func (t *cachedToken) isValid(now time.Time) bool {
	return now.UnixNano() < t.expiresAt && t.keySet.state.Load().keys == t.verifiedBy
}

// hash is of the end, the signature: no two tokens share it unless one is a
// forgery. Where it differs nothing is compared, so that time tells nothing to
// whoever does not have the signature.
func (v *tokenCache) hash(raw string) uint64 {
	const ends = 64
	return maphash.String(v.seed, raw[max(len(raw)-ends, 0):])
}

func (v *tokenCache) set(hash uint64) []atomic.Pointer[cachedToken] {
	at := hash % (cacheSlots / cacheWays) * cacheWays
	return v.slots[at : at+cacheWays]
}

func (v *tokenCache) get(raw string) *cachedToken {
	hash := v.hash(raw)
	set := v.set(hash)
	for i := range set {
		if t := set[i].Load(); t != nil && t.hash == hash && t.raw == raw {
			return t
		}
	}
	return nil
}

// put takes the place of the same token, else of one that is over, else of
// any.
func (v *tokenCache) put(t *cachedToken, now time.Time) {
	t.hash = v.hash(t.raw)
	set := v.set(t.hash)
	victim := int(v.clockHand.Add(1) % cacheWays)
	for i := range set {
		old := set[i].Load()
		if old != nil && old.hash == t.hash && old.raw == t.raw {
			victim = i
			break
		}
		if old == nil || !old.isValid(now) {
			victim = i
		}
	}
	set[victim].Store(t)
}
