// Package seal encrypts what authgate stores outside its process, under the session keys.
//
// An [AEAD] encrypts sessions. A [SecureCodec] encrypts what lasts as long as a login, with
// gorilla/securecookie. Sessions do not use it: securecookie encodes base64 twice (1.78
// bytes for one), compresses nothing and knows one cookie, so that a user with some 60
// teams would not fit; a session is compressed, encrypted once and split over three
// cookies, so that users with hundreds of teams fit. No cryptography is implemented here:
// an AEAD is AES-256-GCM with random nonces as in crypto/cipher, with keys that
// crypto/hkdf derives for one purpose each, and with the name of the cookie or of the key
// in Redis as associated data. Times are inside the encrypted value, so that tests can
// inject a clock.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// Why a value cannot be decrypted, or not be stored.
var (
	ErrInvalid  = errors.New("cannot decrypt the session cookie: it was modified, or encrypted with an unknown key")
	ErrTooLarge = errors.New("the value does not fit into cookies")
)

// AEAD encrypts and decrypts bytes for one purpose. It is safe for concurrent use.
//
// Its output is the key ID, the nonce, the ciphertext and its tag. Nonces are random and
// have 96 bits, so one key is good for 2^32 values (NIST SP 800-38D, 8.3): ten a second for
// thirteen years.
type AEAD struct {
	derived derivedKeys[aeadKey]
}

type aeadKey struct {
	id   KeyID
	aead cipher.AEAD
}

// KeyID says which key decrypts a value. It is derived from the key, and reveals nothing
// about it.
type KeyID [4]byte

// AEAD makes an AEAD for one purpose, which follows the keyring.
func (r *Keyring) AEAD(purpose string) *AEAD {
	newKey := func(secret []byte) (aeadKey, error) { return newAEADKey(secret, purpose) }
	return &AEAD{derived: derivedKeys[aeadKey]{keyring: r, derive: newKey}}
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
	k.id = KeyID(id)
	if k.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return k, fmt.Errorf("session keys: %w", err)
	}
	return k, nil
}

// Overhead is by how much encryption makes a value longer.
const Overhead = len(KeyID{}) + 12 + 16

// Seal encrypts plain with the first key, bound to a context that Open must name. Without a
// key it returns nil, which Open refuses.
func (b *AEAD) Seal(plain []byte, aad string) []byte {
	keys := b.derived.get()
	if len(keys) == 0 {
		return nil
	}
	sealed := make([]byte, len(KeyID{}), Overhead+len(plain))
	copy(sealed, keys[0].id[:])
	return keys[0].aead.Seal(sealed, nil, plain, additionalData(keys[0].id, aad))
}

// Open decrypts what Seal returned, with any of the keys; ErrInvalid.
func (b *AEAD) Open(sealed []byte, aad string) ([]byte, error) {
	plain, _, err := b.OpenWithKey(sealed, aad)
	return plain, err
}

// OpenWithKey also says which key it was.
func (b *AEAD) OpenWithKey(sealed []byte, aad string) ([]byte, KeyID, error) {
	if len(sealed) < Overhead {
		return nil, KeyID{}, ErrInvalid
	}
	id := KeyID(sealed)
	for _, k := range b.derived.get() {
		if k.id != id {
			continue
		}
		if plain, err := k.aead.Open(nil, nil, sealed[len(id):], additionalData(id, aad)); err == nil {
			return plain, id, nil
		}
	}
	return nil, KeyID{}, ErrInvalid
}

func additionalData(id KeyID, aad string) []byte { return append(id[:], aad...) }

// IsPrimary reports whether a key is the one that encrypts.
func (b *AEAD) IsPrimary(id KeyID) bool {
	keys := b.derived.get()
	return len(keys) > 0 && keys[0].id == id
}

// CanDecrypt reports whether a key is still in the keyring.
func (b *AEAD) CanDecrypt(id KeyID) bool {
	for _, k := range b.derived.get() {
		if k.id == id {
			return true
		}
	}
	return false
}
