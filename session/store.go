package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/seal"
)

// Store keeps sessions between requests. It is safe for concurrent use.
type Store interface {
	// Open finds the newest known state of the session of a request's cookies. The error is
	// ErrNoCookie, ErrAmbiguous, ErrInvalid, ErrExpired or ErrStoreDown.
	Open(ctx context.Context, h http.Header, secure bool) (Session, error)

	// Create stores a new session, sets the browser's cookie, and gives what was stored. h
	// are the request's headers: chunks of an older session are removed. ErrTooLarge,
	// ErrStoreDown.
	Create(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) (Session, error)

	// WriteCookie updates the browser's cookie if the session has changed. It is called once
	// per response, before its header is sent, and is cheap.
	WriteCookie(w http.ResponseWriter, h http.Header, s Session, secure bool)

	// ClearCookie removes the cookie from the browser.
	ClearCookie(w http.ResponseWriter, h http.Header, secure bool)

	// Current gives the newest known copy of a session that was opened earlier, for streams.
	// It does not wait. ErrExpired, ErrStoreDown.
	Current(s Session) (Session, error)

	// Refresh asks the issuer for the user's current groups, and stores them.
	Refresh(ctx context.Context, s Session, ask RefreshFunc) (Session, error)

	// RefreshKey identifies what only one refresh at a time may run for.
	RefreshKey(s Session) string

	// Revoke ends sessions, and gives how many it knew.
	Revoke(ctx context.Context, which Filter) (int, error)

	// CheckBearer is nil for a bearer token that may authenticate a request. ErrLoginToken,
	// ErrTokenRevoked; ErrStoreDown if revocations have not been read yet.
	CheckBearer(t *identity.Token) error

	// DenyBearer makes CheckBearer refuse a token until it expires. It is called before an
	// upstream sees the token. ErrTooManyTokens, ErrStoreDown.
	DenyBearer(ctx context.Context, digest [sha256.Size]byte, until time.Time) error

	// List gives sessions without their tokens. ErrNotListable if the store has no list.
	List(ctx context.Context, which Filter) ([]Session, error)

	// Down says why the store is unavailable; nil: it is available.
	Down() error

	// Run does the store's background work until ctx ends.
	Run(ctx context.Context)
}

// RefreshFunc asks the issuer: [identity.RelyingParty.Refresh].
type RefreshFunc func(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error)

// Filter selects the sessions that match every field that is set. An empty filter selects
// none; All selects every session.
type Filter struct {
	ID              string // as List shows it
	Email           string
	Issuer, Subject string
	IssuerSession   string // sid
	All             bool
}

// Matches reports whether a filter selects a session. It ignores the case of e-mail
// addresses: ending one session too many is better than one too few.
func (filter Filter) Matches(s Session) bool {
	return (filter.ID == "" || s.ID == filter.ID) &&
		(filter.Email == "" || strings.EqualFold(s.Principal.Email, filter.Email)) &&
		(filter.Issuer == "" || s.Principal.Issuer == filter.Issuer) &&
		(filter.Subject == "" || s.Principal.Subject == filter.Subject) &&
		(filter.IssuerSession == "" || s.SessionID == filter.IssuerSession)
}

// LastUsedInterval is how precisely a store knows the last use of a session.
func LastUsedInterval(idle time.Duration) time.Duration {
	if idle == 0 {
		return 5 * time.Minute
	}
	return min(max(idle/10, time.Second), time.Minute)
}

// RaiseTime raises a time that other goroutines may raise as well.
func RaiseTime(at *atomic.Int64, to int64) {
	for {
		prev := at.Load()
		if prev >= to || at.CompareAndSwap(prev, to) {
			return
		}
	}
}

// Why there is no session in a request.
var (
	ErrNoCookie       = cookie.ErrNone
	ErrAmbiguous      = cookie.ErrDuplicate
	ErrInvalid        = seal.ErrInvalid
	ErrTooLarge       = seal.ErrTooLarge
	ErrExpired        = errors.New("the session has expired or ended")
	ErrNoRefreshToken = errors.New("the session has no refresh token, so its groups cannot be read again")
	ErrStale          = errors.New("the groups are too old, and the issuer does not refresh them")
	ErrStoreDown      = errors.New("the session store is unavailable")
	ErrNotListable    = errors.New("sessions in cookies are not listed anywhere: use session.store: redis")
)
