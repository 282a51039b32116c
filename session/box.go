package session

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// Box seals and opens bytes for one purpose. It is safe for concurrent use.
//
// What it seals is the key's name, the nonce, the text and its tag. Nonces are
// random and of 96 bits, so one key is for 2^32 seals (NIST SP 800-38D, 8.3): ten
// a second for thirteen years.
type Box struct {
	keys derived[boxKey]
}

type boxKey struct {
	id   keyID
	aead cipher.AEAD
}

// keyID tells which key to open with. It is derived from the key, and says nothing
// of it.
type keyID [4]byte

// Box seals bytes for one purpose with an AEAD; it follows the ring.
func (r *Ring) Box(purpose string) *Box {
	return &Box{keys: derived[boxKey]{ring: r, from: func(secret []byte) (boxKey, error) { return newBoxKey(secret, purpose) }}}
}

func newBoxKey(secret []byte, purpose string) (boxKey, error) {
	var k boxKey
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

// overhead is how much longer than the text a seal is.
const overhead = len(keyID{}) + 12 + 16

// Seal encrypts plain under the first key, bound to a context that Open must name.
// Without a key it gives nothing, which opens as nothing.
func (b *Box) Seal(plain []byte, bound string) []byte {
	keys := b.keys.get()
	if len(keys) == 0 {
		return nil
	}
	sealed := make([]byte, len(keyID{}), overhead+len(plain))
	copy(sealed, keys[0].id[:])
	return keys[0].aead.Seal(sealed, nil, plain, bind(keys[0].id, bound))
}

// Open undoes Seal with any of the keys; ErrBroken.
func (b *Box) Open(sealed []byte, bound string) ([]byte, error) {
	plain, _, err := b.open(sealed, bound)
	return plain, err
}

// open also tells which key it was.
func (b *Box) open(sealed []byte, bound string) ([]byte, keyID, error) {
	if len(sealed) < overhead {
		return nil, keyID{}, ErrBroken
	}
	id := keyID(sealed)
	for _, k := range b.keys.get() {
		if k.id != id {
			continue
		}
		if plain, err := k.aead.Open(nil, nil, sealed[len(id):], bind(id, bound)); err == nil {
			return plain, id, nil
		}
	}
	return nil, keyID{}, ErrBroken
}

func bind(id keyID, bound string) []byte { return append(id[:], bound...) }

// seals reports whether a key is the one that seals.
func (b *Box) seals(id keyID) bool {
	keys := b.keys.get()
	return len(keys) > 0 && keys[0].id == id
}

// opens reports whether a key is still in force.
func (b *Box) opens(id keyID) bool {
	for _, k := range b.keys.get() {
		if k.id == id {
			return true
		}
	}
	return false
}
