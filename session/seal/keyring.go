package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
)

// Keyring holds the current session keys. It is safe for concurrent use.
type Keyring struct {
	keys atomic.Pointer[Keys]
}

// NewKeyring makes a keyring of keys.
func NewKeyring(k Keys) *Keyring {
	r := new(Keyring)
	r.Set(k)
	return r
}

// Set replaces the keys: values that were encrypted with a removed key do not decrypt any
// more.
func (r *Keyring) Set(k Keys) { r.keys.Store(&k) }

// Current gives the current keys.
func (r *Keyring) Current() *Keys { return r.keys.Load() }

// derivedKeys derives a value from each key of a keyring for one purpose, in their order. It
// derives them again after the keys have changed.
type derivedKeys[T any] struct {
	keyring *Keyring
	derive  func(secret []byte) (T, error)
	cached  atomic.Pointer[derivedSet[T]]
}

type derivedSet[T any] struct {
	source *Keys
	values []T
}

// get gives none if there is no usable key: then nothing is encrypted or decrypted.
func (d *derivedKeys[T]) get() []T {
	keys := d.keyring.Current()
	if cached := d.cached.Load(); cached != nil && cached.source == keys {
		return cached.values
	}
	next := &derivedSet[T]{source: keys}
	for _, secret := range keys.secrets {
		if value, err := d.derive(secret); err == nil {
			next.values = append(next.values, value)
		}
	}
	d.cached.Store(next)
	return next.values
}

// derive makes a key for one use out of a secret (HKDF-SHA256, RFC 5869), so that a value
// encrypted for one purpose is invalid for another.
func derive(secret []byte, purpose, use string, size int) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "authgate "+purpose+" "+use, size)
	if err != nil {
		return nil, fmt.Errorf("deriving session keys: %w", err)
	}
	return key, nil
}
