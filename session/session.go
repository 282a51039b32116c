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
// Session is over. Its JSON is sealed before it is kept anywhere.
type Session struct {
	identity.Grant `json:"g"`

	ID      string    `json:"id"`          // random; names the session in memory and in lists, opens nothing
	Begun   time.Time `json:"b"`           // the login
	Expires time.Time `json:"e"`           // whatever happens until then
	Seen    time.Time `json:"u"`           // last use, to about a tenth of the idle timeout
	LeftOut int       `json:"l,omitempty"` // groups that did not fit, none of which the policy names

	shown shown // what the browser's cookie holds of it
}

// shown tells how old the browser's copy of a session is.
type shown struct{ read, seen time.Time }

// Begin makes the session of somebody who signed in now. It lasts for lifetime;
// without a refresh token never longer than the ID token, for its groups are as
// old as that.
func Begin(g identity.Grant, now time.Time, lifetime time.Duration) Session {
	expires := now.Add(lifetime)
	if g.Refresh == "" && g.Principal.Expiry.Before(expires) {
		expires = g.Principal.Expiry
	}
	return Session{Grant: g, ID: newID(), Begun: now, Expires: expires, Seen: now}
}

// Over reports whether the session has ended by now.
func (s Session) Over(now time.Time) bool { return !now.Before(s.Expires) }

func newID() string {
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand, Go 1.24)
	return base64.RawURLEncoding.EncodeToString(id)
}
