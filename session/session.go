// Package session remembers a principal between requests: in cookies that only
// authgate can read or make, or in a Redis that holds what only authgate can read.
//
// What lives as long as a login is sealed with gorilla/securecookie. A session is
// not: securecookie encodes base64 twice (1.78 bytes for one), compresses nothing
// and knows one cookie, so a person with some 60 teams would not fit; here the
// same session is compressed, sealed once and split over three cookies, and people
// with hundreds of teams fit. What is built beside it is small: [Box] is AES-256-GCM
// with random nonces as crypto/cipher has it, under keys that crypto/hkdf derives
// for one purpose each, with the cookie's name as associated data. No cryptography
// is written here. Times are inside the sealed value, so that a clock can be
// injected.
//
// The package knows no OpenID Connect, no routes and no policy. Everything in it
// is safe for concurrent use.
package session

import (
	"crypto/rand"
	"time"

	"github.com/example-org/authgate/identity"
)

// Session is a principal who signed in, and until when that holds. The zero
// Session is over. Its JSON is sealed before it is kept anywhere.
type Session struct {
	identity.TokenSet `json:"g"`

	ID            string    `json:"id"`          // random; names the session in memory and in lists, opens nothing
	CreatedAt     time.Time `json:"b"`           // the login
	Expires       time.Time `json:"e"`           // whatever happens until then
	LastUsed      time.Time `json:"u"`           // last use, to about a tenth of the idle timeout
	DroppedGroups int       `json:"l,omitempty"` // groups that did not fit, none of which the policy names

	cookie cookieState // of a session in cookies: what the browser has of it
}

// New makes the session of somebody who signed in now. It lasts for lifetime;
// without a refresh token never longer than the ID token, for its groups are as
// old as that.
func New(g identity.TokenSet, now time.Time, lifetime time.Duration) Session {
	expires := now.Add(lifetime)
	if g.RefreshToken == "" && g.Principal.Expiry.Before(expires) {
		expires = g.Principal.Expiry
	}
	return Session{TokenSet: g, ID: newID(), CreatedAt: now, Expires: expires, LastUsed: now}
}

// Expired reports whether the session has ended by now.
func (s Session) Expired(now time.Time) bool { return !now.Before(s.Expires) }

// newID begins with a letter or a digit: no command line takes it for a flag.
func newID() string { return rand.Text() }
