package cookiestore

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/seal"
)

// codec makes a session small enough for cookies, and restores it. It compresses before
// encryption, which leaks nothing here: only the issuer or the user could repeatedly write
// into a session next to its unchanged tokens and see its length (unlike CRIME, where a site
// writes into requests that carry the cookie of another user).
//
// Two long things repeat: groups have common prefixes, and an ID token for upstreams names
// them all again. So a token is stored decoded, after the session's JSON, where the
// compressor finds the repetition.
type codec struct {
	writers, readers sync.Pool
}

// payload is what a cookie holds, except for the tokens.
type payload struct {
	Version uint64          `json:"n"` // rises with every refresh
	Session session.Session `json:"s"`
}

// formatVersion is the format below. Others are refused.
const formatVersion = 1

func (p *codec) encode(version uint64, s session.Session) ([]byte, error) {
	id, access := s.IDToken, s.AccessToken
	s.IDToken, s.AccessToken = "", ""
	text, err := json.Marshal(payload{version, s})
	if err != nil {
		return nil, fmt.Errorf("writing a session: %w", err)
	}
	plain := appendToken(appendToken(appendField(nil, text), id), access)
	if len(plain) > seal.MaxPlaintext {
		return nil, session.ErrTooLarge
	}
	compressed := bytes.NewBuffer([]byte{formatVersion})
	w, _ := p.writers.Get().(*flate.Writer)
	if w == nil {
		if w, err = flate.NewWriter(nil, flate.BestCompression); err != nil {
			return nil, fmt.Errorf("compressing a session: %w", err)
		}
	}
	defer p.writers.Put(w)
	w.Reset(compressed)
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("compressing a session: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing a session: %w", err)
	}
	return compressed.Bytes(), nil
}

// decode reads an authentic value, which may be of another version of authgate.
func (p *codec) decode(compressed []byte) (uint64, session.Session, error) {
	if len(compressed) == 0 || compressed[0] != formatVersion {
		return 0, session.Session{}, session.ErrInvalid
	}
	plain, err := p.decompress(compressed[1:])
	if err != nil {
		return 0, session.Session{}, session.ErrInvalid
	}
	text, plain, ok := cutField(plain)
	if !ok {
		return 0, session.Session{}, session.ErrInvalid
	}
	var decoded payload
	if json.Unmarshal(text, &decoded) != nil {
		return 0, session.Session{}, session.ErrInvalid
	}
	s := decoded.Session
	if s.IDToken, plain, ok = cutToken(plain); !ok {
		return 0, session.Session{}, session.ErrInvalid
	}
	if s.AccessToken, plain, ok = cutToken(plain); !ok || len(plain) > 0 {
		return 0, session.Session{}, session.ErrInvalid
	}
	if decoded.Version == 0 || decoded.Version > maxVersion || s.ID == "" || s.Principal.Subject == "" ||
		s.CreatedAt.IsZero() || !s.Expires.After(s.CreatedAt) {
		return 0, session.Session{}, session.ErrInvalid
	}
	s.Principal.Share()
	return decoded.Version, s, nil
}

func (p *codec) decompress(compressed []byte) ([]byte, error) {
	from := bytes.NewReader(compressed)
	r, _ := p.readers.Get().(io.ReadCloser)
	if r == nil {
		r = flate.NewReader(from)
	} else if err := r.(flate.Resetter).Reset(from, nil); err != nil { //nolint:forcetypeassert // of flate.NewReader
		return nil, fmt.Errorf("decompressing a session: %w", err)
	}
	defer p.readers.Put(r)
	plain, err := io.ReadAll(io.LimitReader(r, seal.MaxPlaintext+1))
	if err != nil {
		return nil, fmt.Errorf("decompressing a session: %w", err)
	}
	if len(plain) > seal.MaxPlaintext {
		return nil, session.ErrInvalid
	}
	return plain, nil
}

func appendField[T string | []byte](to []byte, field T) []byte {
	return append(binary.AppendUvarint(to, uint64(len(field))), field...)
}

func cutField(from []byte) (field, rest []byte, ok bool) {
	size, n := binary.Uvarint(from)
	if n <= 0 || size > uint64(len(from)-n) {
		return nil, nil, false
	}
	end := n + int(size) //nolint:gosec // no more than len(from)
	return from[n:end], from[end:], true
}

// A token is stored in its parts if they are base64 as in a JWT, and else whole.
const (
	tokenOpaque = 0
	tokenJWT    = 3
)

func appendToken(to []byte, token string) []byte {
	parts := strings.Split(token, ".")
	if len(parts) != tokenJWT {
		return appendField(append(to, tokenOpaque), token)
	}
	var raw [tokenJWT][]byte
	for i, part := range parts {
		var err error
		raw[i], err = base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(raw[i]) != part { // it must be restored byte for byte
			return appendField(append(to, tokenOpaque), token)
		}
	}
	to = append(to, tokenJWT)
	for _, part := range raw {
		to = appendField(to, part)
	}
	return to
}

func cutToken(from []byte) (token string, rest []byte, ok bool) {
	if len(from) == 0 || from[0] != tokenOpaque && from[0] != tokenJWT {
		return "", nil, false
	}
	parts := make([]string, 0, tokenJWT)
	form, rest := from[0], from[1:]
	for range max(1, form) {
		var field []byte
		if field, rest, ok = cutField(rest); !ok {
			return "", nil, false
		}
		if form == tokenOpaque {
			return string(field), rest, true
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(field))
	}
	return strings.Join(parts, "."), rest, true
}
