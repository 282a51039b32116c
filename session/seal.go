package session

import (
	"bufio"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/gorilla/securecookie"
)

// KeySize is the least number of bytes in a session key, and what [NewKey] makes.
const KeySize = 32

// NewKey makes a random session key in the form that [ParseKeys] reads.
func NewKey() string {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails (crypto/rand, Go 1.24)
	return base64.StdEncoding.EncodeToString(key)
}

// Keys seal and open what a browser keeps for authgate: the first seals, all
// open. They are immutable and safe for concurrent use.
type Keys struct {
	secrets [][]byte
}

// ParseKeys reads one base64 key a line; blank lines and lines that begin with #
// are skipped. An error names the line and never what stands on it.
func ParseKeys(text string) (Keys, error) {
	var keys Keys
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return Keys{}, fmt.Errorf("session key on line %d is not base64; make one with `authgate keygen`", n)
		}
		if len(secret) < KeySize {
			return Keys{}, fmt.Errorf("session key on line %d is short: %d bytes, at least %d are needed; make one with `authgate keygen`", n, len(secret), KeySize)
		}
		keys.secrets = append(keys.secrets, secret)
	}
	if err := lines.Err(); err != nil {
		return Keys{}, fmt.Errorf("reading session keys: %w", err)
	}
	if len(keys.secrets) == 0 {
		return Keys{}, errors.New("no session key; make one with `authgate keygen`")
	}
	return keys, nil
}

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

// Box seals bytes for one purpose with an AEAD; it follows the ring.
func (r *Ring) Box(purpose string) *Box { return &Box{ring: r, purpose: purpose} }

// Box seals and opens bytes. It is safe for concurrent use.
type Box struct {
	ring    *Ring
	purpose string
}

// Seal encrypts plain under the first key, bound to a context that Open must name.
func (b *Box) Seal(plain []byte, bound string) []byte { return nil }

// Open undoes Seal with any of the keys; ErrBroken.
func (b *Box) Open(sealed []byte, bound string) ([]byte, error) { return nil, ErrBroken }

// Sealer seals values for one purpose in cookies of their own; it follows the ring.
func (r *Ring) Sealer(purpose string) *Sealer {
	s, err := r.keys.Load().sealer(purpose)
	if err != nil {
		panic(err)
	}
	return s
}

// ErrTooLarge says that a sealed value does not fit into a cookie.
var ErrTooLarge = errors.New("it does not fit into a cookie")

// maxCookie bounds name and value of one cookie: browsers drop what is over 4096
// bytes without a word (RFC 6265bis, 5.6).
const maxCookie = 4096

// Sealer seals values for one purpose; what is sealed for another does not open.
// It is safe for concurrent use.
type Sealer struct {
	codecs []securecookie.Codec
}

// Sealer derives the keys for one purpose (HKDF-SHA256, RFC 5869), so that the
// cookie of a half-finished login is never taken for a session.
func (k Keys) sealer(purpose string) (*Sealer, error) {
	s := &Sealer{}
	for _, secret := range k.secrets {
		hash, err := hkdf.Key(sha256.New, secret, nil, "authgate "+purpose+" hmac-sha256", 32)
		if err != nil {
			return nil, fmt.Errorf("deriving session keys: %w", err)
		}
		block, err := hkdf.Key(sha256.New, secret, nil, "authgate "+purpose+" aes-256", 32)
		if err != nil {
			return nil, fmt.Errorf("deriving session keys: %w", err)
		}
		// Age is judged by the times inside the value, on an injected clock.
		s.codecs = append(s.codecs, securecookie.New(hash, block).
			MaxAge(0).MaxLength(0).SetSerializer(securecookie.JSONEncoder{}))
	}
	return s, nil
}

// Seal encrypts and signs v for the cookie of that name. The error is
// [ErrTooLarge] where name and value are more than a browser keeps.
func (s *Sealer) Seal(name string, v any) (string, error) {
	sealed, err := s.codecs[0].Encode(name, v)
	if err != nil {
		return "", fmt.Errorf("sealing cookie %s: %w", name, err)
	}
	if len(name)+len(sealed) > maxCookie {
		return "", ErrTooLarge
	}
	return sealed, nil
}

// Open undoes Seal with any of the keys. An error says nothing of the value.
func (s *Sealer) Open(name, sealed string, v any) error {
	if len(sealed) > maxCookie || securecookie.DecodeMulti(name, sealed, v, s.codecs...) != nil {
		return fmt.Errorf("cookie %s does not open: it was changed, or sealed with other keys", name)
	}
	return nil
}
