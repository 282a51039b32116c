package session

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
)

// Ring holds the keys in force. It is safe for concurrent use.
type Ring struct {
	keys atomic.Pointer[Keys]
}

// NewRing puts keys in force.
func NewRing(k Keys) *Ring {
	r := new(Ring)
	r.Set(k)
	return r
}

// Set replaces the keys: what was sealed with a key that is gone opens no more.
func (r *Ring) Set(k Keys) { r.keys.Store(&k) }

// derived is what the keys of a ring come to for one purpose, in their order. It
// is made anew by whoever first needs it after the keys have changed.
type derived[T any] struct {
	ring *Ring
	from func(secret []byte) (T, error)
	at   atomic.Pointer[derivation[T]]
}

type derivation[T any] struct {
	of  *Keys
	all []T
}

// get gives none where there is no key, or none that can be used: nothing is
// sealed then, and nothing opens.
func (d *derived[T]) get() []T {
	keys := d.ring.keys.Load()
	if have := d.at.Load(); have != nil && have.of == keys {
		return have.all
	}
	made := &derivation[T]{of: keys}
	for _, secret := range keys.secrets {
		if one, err := d.from(secret); err == nil {
			made.all = append(made.all, one)
		}
	}
	d.at.Store(made)
	return made.all
}

// derive makes a key for one use out of a secret (HKDF-SHA256, RFC 5869), so that
// what is sealed for one purpose is nothing for another.
func derive(secret []byte, purpose, use string, size int) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "authgate "+purpose+" "+use, size)
	if err != nil {
		return nil, fmt.Errorf("deriving session keys: %w", err)
	}
	return key, nil
}
