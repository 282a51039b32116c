package session

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// AEAD seals and opens bytes for one purpose. It is safe for concurrent use.
//
// What it seals is the key's name, the nonce, the text and its tag. Nonces are
// random and of 96 bits, so one key is for 2^32 seals (NIST SP 800-38D, 8.3): ten
// a second for thirteen years.
type AEAD struct {
	derived derivedKeys[aeadKey]
}

type aeadKey struct {
	id   keyID
	aead cipher.AEAD
}

// keyID tells which key to open with. It is derived from the key, and says nothing
// of it.
type keyID [4]byte

// AEAD seals bytes for one purpose with an AEAD; it follows the ring.
func (r *Keyring) AEAD(purpose string) *AEAD {
	return &AEAD{derived: derivedKeys[aeadKey]{keyring: r, derive: func(secret []byte) (aeadKey, error) { return newAEADKey(secret, purpose) }}}
}

func newAEADKey(secret []byte, purpose string) (aeadKey, error) {
	var k aeadKey
	id, err := derive(secret, purpose, "key id", len(k.id))
	if err != nil {
		return k, err
	}
	key, err := derive(secret, purpose, "aes-256-gcm", 32)
	if err != nil {
		return k, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return k, fmt.Errorf("session keys: %w", err)
	}
	k.id = keyID(id)
	if k.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return k, fmt.Errorf("session keys: %w", err)
	}
	return k, nil
}

// aeadOverhead is how much longer than the text a seal is.
const aeadOverhead = len(keyID{}) + 12 + 16

// Seal encrypts plain under the first key, bound to a context that Open must name.
// Without a key it gives nothing, which opens as nothing.
func (b *AEAD) Seal(plain []byte, aad string) []byte {
	keys := b.derived.get()
	if len(keys) == 0 {
		return nil
	}
	sealed := make([]byte, len(keyID{}), aeadOverhead+len(plain))
	copy(sealed, keys[0].id[:])
	return keys[0].aead.Seal(sealed, nil, plain, additionalData(keys[0].id, aad))
}

// Open undoes Seal with any of the keys; ErrInvalid.
func (b *AEAD) Open(sealed []byte, aad string) ([]byte, error) {
	plain, _, err := b.open(sealed, aad)
	return plain, err
}

// open also tells which key it was.
func (b *AEAD) open(sealed []byte, aad string) ([]byte, keyID, error) {
	if len(sealed) < aeadOverhead {
		return nil, keyID{}, ErrInvalid
	}
	id := keyID(sealed)
	for _, k := range b.derived.get() {
		if k.id != id {
			continue
		}
		if plain, err := k.aead.Open(nil, nil, sealed[len(id):], additionalData(id, aad)); err == nil {
			return plain, id, nil
		}
	}
	return nil, keyID{}, ErrInvalid
}

func additionalData(id keyID, aad string) []byte { return append(id[:], aad...) }

// isPrimary reports whether a key is the one that seals.
func (b *AEAD) isPrimary(id keyID) bool {
	keys := b.derived.get()
	return len(keys) > 0 && keys[0].id == id
}

// canDecrypt reports whether a key is still in force.
func (b *AEAD) canDecrypt(id keyID) bool {
	for _, k := range b.derived.get() {
		if k.id == id {
			return true
		}
	}
	return false
}
