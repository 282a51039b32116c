package redisstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// Keys in Redis. Braces keep related keys on one node of a cluster.
const (
	changelogKey = "authgate:{feed}" // stream: changes that other replicas must know
	allKey       = "authgate:{all}"  // sorted set: the digests of all sessions, by expiry
)

// digest is what Redis has of the cookie's random value: a cookie cannot be made from it.
type digest [sha256.Size]byte

const secretSize = 32

// newCookieValue makes the value of a cookie: 256 random bits.
func newCookieValue() (value string, d digest) {
	secret := make([]byte, secretSize)
	rand.Read(secret) // never fails (crypto/rand, Go 1.24)
	return base64.RawURLEncoding.EncodeToString(secret), sha256.Sum256(secret)
}

// parseCookieValue gives the digest of a cookie's value, which has exactly one encoding.
func parseCookieValue(value string) (d digest, ok bool) {
	var secret [secretSize]byte
	if len(value) != base64.RawURLEncoding.EncodedLen(secretSize) {
		return d, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(secret[:], []byte(value))
	if err != nil || n != secretSize {
		return d, false
	}
	return sha256.Sum256(secret[:]), true
}

func (d digest) String() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

func parseDigest(s string) (d digest, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(d) {
		return d, false
	}
	return digest(raw), true
}

func (d digest) record() string { return "authgate:session:{" + d.String() + "}" }

// idKey maps a session's ID to its digest.
func idKey(id string) string { return "authgate:id:{" + id + "}" }

// userKey names a user: all sessions of one subject at one issuer.
type userKey string

func userKeyOf(issuer, subject string) userKey {
	sum := sha256.Sum256([]byte(issuer + "\x00" + subject)) // neither holds a NUL
	return userKey(base64.RawURLEncoding.EncodeToString(sum[:]))
}

func (o userKey) grant() string    { return "authgate:grant:{" + string(o) + "}" }
func (o userKey) sessions() string { return "authgate:sessions:{" + string(o) + "}" }

// record is what Redis keeps of one session, encrypted. It holds no token.
type record struct {
	ID            string    `json:"id"`
	User          userKey   `json:"w"`
	Generation    uint64    `json:"n"` // of the user's grant
	IssuerSession string    `json:"sid,omitempty"`
	CreatedAt     time.Time `json:"b"`
	Expires       time.Time `json:"e"`
	LastUsed      time.Time `json:"u"`
}

var errNotRecord = errors.New("not the record of a session")

// parseRecord reads a decrypted record. A process with the session keys wrote it, but it may
// be of another version.
func parseRecord(plain []byte) (record, error) {
	var r record
	if err := json.Unmarshal(plain, &r); err != nil {
		return record{}, errNotRecord
	}
	_, digested := parseDigest(string(r.User))
	if r.ID == "" || len(r.ID) > 64 || !digested || r.Generation == 0 ||
		r.CreatedAt.IsZero() || !r.Expires.After(r.CreatedAt) {
		return record{}, errNotRecord
	}
	return r, nil
}

// grantState is a user's grant as Redis has it.
type grantState struct {
	grant             identity.TokenSet
	fence, generation uint64
}

// join makes a session of its record and its user's grant.
func (r record) join(g grantState) session.Session {
	s := session.Session{TokenSet: g.grant, ID: r.ID, CreatedAt: r.CreatedAt, Expires: r.Expires, LastUsed: r.LastUsed}
	if r.IssuerSession != "" {
		s.SessionID = r.IssuerSession
	}
	// A later login of the same user may have brought no refresh token: without one, groups
	// are valid no longer than the ID token that named them.
	if s.RefreshToken == "" && s.Principal.Expiry.Before(s.Expires) {
		s.Expires = s.Principal.Expiry
	}
	return s
}

func (r *Store) sealRecord(d digest, rec record) ([]byte, error) {
	plain, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("writing a session: %w", err)
	}
	return r.aead.Seal(plain, d.record()), nil
}

// openRecord decrypts a record. It is bound to its key: a record that was copied to another
// key does not decrypt.
func (r *Store) openRecord(d digest, sealed string) (record, error) {
	plain, err := r.aead.Open([]byte(sealed), d.record())
	if err != nil {
		return record{}, err
	}
	return parseRecord(plain)
}

func (r *Store) sealGrant(o userKey, g identity.TokenSet) ([]byte, error) {
	plain, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("writing a grant: %w", err)
	}
	return r.aead.Seal(plain, o.grant()), nil
}

var errNotGrant = errors.New("not the grant of its user")

// openGrant reads the fields f, n and g of a grant, as HMGET and the scripts return them.
func (r *Store) openGrant(o userKey, fields []any) (grantState, error) {
	if len(fields) < 3 || fields[0] == nil || fields[1] == nil || fields[2] == nil {
		return grantState{}, errNotInRedis
	}
	var text [3]string
	for i := range text {
		s, ok := fields[i].(string)
		if !ok {
			return grantState{}, errNotGrant
		}
		text[i] = s
	}
	var g grantState
	var err error
	if g.fence, err = strconv.ParseUint(text[0], 10, 63); err != nil {
		return grantState{}, errNotGrant
	}
	if g.generation, err = strconv.ParseUint(text[1], 10, 63); err != nil {
		return grantState{}, errNotGrant
	}
	plain, err := r.aead.Open([]byte(text[2]), o.grant())
	if err != nil {
		return grantState{}, err
	}
	if err := json.Unmarshal(plain, &g.grant); err != nil {
		return grantState{}, errNotGrant
	}
	if userKeyOf(g.grant.Principal.Issuer, g.grant.Principal.Subject) != o {
		return grantState{}, errNotGrant
	}
	g.grant.Principal.Share()
	return g, nil
}
