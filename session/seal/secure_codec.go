package seal

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gorilla/securecookie"
)

// KeySize is the least number of bytes of a session key, and what [NewKey] makes.
const KeySize = 32

// NewKey makes a random session key in the form that [ParseKeys] reads.
func NewKey() string {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails (crypto/rand, Go 1.24)
	return base64.StdEncoding.EncodeToString(key)
}

// Keys encrypt and decrypt what authgate stores outside its process: the first encrypts, all
// decrypt. They are immutable and safe for concurrent use.
type Keys struct {
	secrets [][]byte
}

// ParseKeys reads one base64 key per line; empty lines and lines that begin with # are
// skipped. An error names the line without quoting it.
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
			return Keys{}, fmt.Errorf("session key on line %d is short: %d bytes, at least %d are needed; "+
				"make one with `authgate keygen`", n, len(secret), KeySize)
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

// MaxPlaintext bounds the decompressed size of a cookie: some 4,000 groups.
const MaxPlaintext = 256 << 10

// MaxCookie bounds one cookie: browsers silently drop cookies of more than 4096 bytes (RFC
// 6265bis, 5.6).
const MaxCookie = 4096

// SecureCodec encrypts values for one purpose; values of another purpose do not decrypt. It
// is safe for concurrent use.
type SecureCodec struct {
	codecs derivedKeys[securecookie.Codec]
	limit  int // bytes of a name and an encrypted value
}

// SecureCodec makes a codec for values in cookies of their own, which follows the keyring.
func (r *Keyring) SecureCodec(purpose string) *SecureCodec {
	return r.SecureCodecUpTo(purpose, MaxCookie)
}

// SecureCodecUpTo is a [Keyring.SecureCodec] for values that are not stored in a cookie.
func (r *Keyring) SecureCodecUpTo(purpose string, limit int) *SecureCodec {
	newCodec := func(secret []byte) (securecookie.Codec, error) {
		hash, err := derive(secret, purpose, "hmac-sha256", 32)
		if err != nil {
			return nil, err
		}
		block, err := derive(secret, purpose, "aes-256", 32)
		if err != nil {
			return nil, err
		}
		// Expiry is checked by the times inside the value, with an injected clock.
		return securecookie.New(hash, block).MaxAge(0).MaxLength(0).SetSerializer(deflatedJSON{}), nil
	}
	return &SecureCodec{limit: limit, codecs: derivedKeys[securecookie.Codec]{keyring: r, derive: newCodec}}
}

// Encode encrypts and signs v for the cookie of that name. The error is [ErrTooLarge] if
// name and value exceed the limit.
func (s *SecureCodec) Encode(name string, v any) (string, error) {
	codecs := s.codecs.get()
	if len(codecs) == 0 {
		return "", fmt.Errorf("encrypting %s: there is no session key", name)
	}
	sealed, err := codecs[0].Encode(name, v)
	if err != nil {
		return "", fmt.Errorf("encrypting %s: %w", name, err)
	}
	if len(name)+len(sealed) > s.limit {
		return "", ErrTooLarge
	}
	return sealed, nil
}

// Decode decrypts what Encode returned, with any of the keys. An error says nothing about
// the value.
func (s *SecureCodec) Decode(name, sealed string, v any) error {
	if len(sealed) > s.limit || securecookie.DecodeMulti(name, sealed, v, s.codecs.get()...) != nil {
		return fmt.Errorf("cannot decrypt %s: it was modified, or encrypted with an unknown key", name)
	}
	return nil
}

// deflatedJSON serializes a value before encryption: securecookie's base64 makes 16 bytes of
// 9, and the addresses in a value compress well.
type deflatedJSON struct{}

func (deflatedJSON) Serialize(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	var compressed bytes.Buffer
	w, err := flate.NewWriter(&compressed, flate.DefaultCompression)
	if err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return compressed.Bytes(), nil
}

// Deserialize reads an authentic value; its size is bounded all the same.
func (deflatedJSON) Deserialize(compressed []byte, v any) error {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(compressed)), MaxPlaintext))
	if err != nil {
		return fmt.Errorf("decompressing: %w", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("reading JSON: %w", err)
	}
	return nil
}
