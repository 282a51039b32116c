// Package session remembers a principal between requests, keeps its groups fresh, and ends
// it. A [Store] holds the sessions: session/cookiestore in cookies that only authgate can
// read or make, session/redisstore in a Redis, encrypted. A [Refresher] uses either of them.
//
// The package knows no OpenID Connect, no routes and no policy. Everything in it is safe for
// concurrent use.
package session

import (
	"crypto/rand"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session/seal"
)

// Session is a principal who signed in, and until when. The zero Session has expired. Its
// JSON is encrypted wherever it is stored.
type Session struct {
	identity.TokenSet `json:"g"`

	ID            string    `json:"id"`          // random; names the session in memory and in lists, and is no credential
	CreatedAt     time.Time `json:"b"`           // the login
	Expires       time.Time `json:"e"`           // whatever happens until then
	LastUsed      time.Time `json:"u"`           // last use, to about a tenth of the idle timeout
	DroppedGroups int       `json:"l,omitempty"` // groups that did not fit, none of which the policy names

	Cookie CookieState `json:"-"` // how it relates to the cookie that it was found by
}

// CookieState is how a session relates to the cookie that it was read from. Only the store
// that gave the session uses it.
type CookieState struct {
	Local   any    // what the store knows of the session in this process
	Version uint64 // of the session

	SentVersion  uint64 // version that the browser has
	SentLastUsed time.Time
	Key          seal.KeyID // what the cookie was encrypted with

	Duplicate bool   // the browser has another cookie of that name, which the store removes
	Value     string // of a session in Redis with such a duplicate: what the cookie must hold
}

// New makes the session of a user who signed in now. It lasts for lifetime. Without a
// refresh token it ends with the ID token at the latest, because its groups are as old as
// that.
func New(g identity.TokenSet, now time.Time, lifetime time.Duration) Session {
	expires := now.Add(lifetime)
	if g.RefreshToken == "" && g.Principal.Expiry.Before(expires) {
		expires = g.Principal.Expiry
	}
	return Session{TokenSet: g, ID: newID(), CreatedAt: now, Expires: expires, LastUsed: now}
}

// Expired reports whether the session has ended by now.
func (s Session) Expired(now time.Time) bool { return !now.Before(s.Expires) }

// newID begins with a letter or a digit, so that no command line reads it as a flag.
func newID() string { return rand.Text() }
