package identity

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Grant is what the issuer gave for a login or a refresh. Its JSON is what a
// session keeps, sealed; it must reach no log and no browser in clear.
type Grant struct {
	Principal Principal `json:"p"`
	Refresh   string    `json:"rt,omitempty"`  // refresh token; empty: the issuer gave none
	IDToken   string    `json:"it,omitempty"`  // as signed; empty where nobody needs it
	Access    string    `json:"at,omitempty"`  // access token; empty where nobody needs it
	Session   string    `json:"sid,omitempty"` // the issuer's own session, for its logout
	Read      time.Time `json:"r"`             // when the issuer said all this
	Origin    Origin    `json:"o"`
}

// Origin is what every later ID token must repeat of the first (OpenID Connect
// Core 1.0, section 12.2), beside issuer and subject.
type Origin struct {
	Audience []string `json:"aud,omitempty"`
	Party    string   `json:"azp,omitempty"`
	Nonce    string   `json:"n,omitempty"`
	AuthTime int64    `json:"t,omitempty"`
}

// String, GoString and LogValue keep a Grant out of logs.
func (Grant) String() string       { return "[redacted]" }
func (Grant) GoString() string     { return "[redacted]" }
func (Grant) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// RefreshRefusedError says that the refresh token is no good any more: the
// session that holds it has ended.
type RefreshRefusedError struct {
	Status int
	Code   string // OAuth error code (RFC 6749, 5.2), or empty
}

func (e *RefreshRefusedError) Error() string { return "the issuer refused the refresh token: " + e.Code }

// ImpostorError says that a refreshed ID token speaks of somebody else, or for
// somebody else, than the first.
type ImpostorError struct{ Reason string }

func (e *ImpostorError) Error() string { return "the refreshed ID token is another's: " + e.Reason }

// Logout is what a logout token says has ended (OpenID Connect Back-Channel
// Logout 1.0, 2.4): one of the issuer's sessions, or all of a subject's.
type Logout struct {
	Issuer, Subject, Session string
}

// Refresh asks the issuer again who somebody is. An error is a
// [RefreshRefusedError], an [ImpostorError], or something that may pass.
func (rp *RelyingParty) Refresh(ctx context.Context, g Grant) (Grant, error) {
	return Grant{}, errors.New("not built")
}

// ReadLogout verifies a logout token.
func (rp *RelyingParty) ReadLogout(ctx context.Context, raw string) (Logout, error) {
	return Logout{}, errors.New("not built")
}

// SignOutURL is where the issuer ends its own session; empty where it has no such
// address (end_session_endpoint, OpenID Connect RP-Initiated Logout 1.0).
func (rp *RelyingParty) SignOutURL(g Grant, back string) string { return "" }
