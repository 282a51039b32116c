// Package session remembers a principal between requests, in a cookie that only
// authgate can read or make.
//
// Sealing is gorilla/securecookie's encrypt-then-MAC (AES-256-CTR under
// HMAC-SHA256, the cookie's name bound in), not a format of our own: what it
// seals is either opened whole or refused, and no cryptography is written here.
// Built beside it are only the derivation of its keys, so that one line of the
// keys file serves every purpose apart, and times inside the value, so that a
// clock can be injected. A session that does not fit into one cookie is refused.
//
// The package knows no OpenID Connect, no routes and no policy. Everything in it
// is safe for concurrent use.
package session

import (
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/example-org/authgate/identity"
)

// Session is a principal who signed in, and until when that holds. The zero
// Session is over.
type Session struct {
	ID        string             `json:"id"` // random; names the session in memory, never shown
	Principal identity.Principal `json:"p"`
	Begun     time.Time          `json:"b"`
	Expires   time.Time          `json:"e"`
}

// Begin makes the session of a principal who signed in now. It lasts for
// lifetime, but never longer than the ID token: without a refresh the groups in
// it are as old as that token.
func Begin(p identity.Principal, now time.Time, lifetime time.Duration) Session {
	expires := now.Add(lifetime)
	if p.Expiry.Before(expires) {
		expires = p.Expiry
	}
	return Session{ID: newID(), Principal: p, Begun: now, Expires: expires}
}

// Over reports whether the session has ended by now.
func (s Session) Over(now time.Time) bool { return !now.Before(s.Expires) }

func newID() string {
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand, Go 1.24)
	return base64.RawURLEncoding.EncodeToString(id)
}
