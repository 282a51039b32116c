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

// Store keeps sessions between requests. It is safe
// for concurrent use.
type Store interface {
	// Open finds the session that a request's cookies name, as new as is known.
	// The error is ErrNoCookie, ErrAmbiguous, ErrInvalid, ErrExpired or ErrStoreDown.
	Open(ctx context.Context, h http.Header, secure bool) (Session, error)

	// Begin remembers a new session, gives the browser its cookie, and says what is
	// remembered. h are the request's headers: pieces of an older session go.
	// ErrTooLarge, ErrStoreDown.
	Create(ctx context.Context, w http.ResponseWriter, h http.Header, s Session, secure bool) (Session, error)

	// Give hands the browser what has changed since it was last told, if anything.
	// It is called once for a response, before its header is sent, and is cheap.
	WriteCookie(w http.ResponseWriter, h http.Header, s Session, secure bool)

	// Forget takes the cookie from the browser.
	ClearCookie(w http.ResponseWriter, h http.Header, secure bool)

	// Current is the newest known copy of a session that was opened earlier, for
	// what outlives a request. It waits for nothing. ErrExpired, ErrStoreDown.
	Current(s Session) (Session, error)

	// Renew has the issuer say again who somebody is, and remembers it.
	Refresh(ctx context.Context, s Session, ask RefreshFunc) (Session, error)

	// Owner names what one renewal at a time is for.
	RefreshKey(s Session) string

	// Revoke ends sessions, and says how many it knew of.
	Revoke(ctx context.Context, which Filter) (int, error)

	// CheckBearer is nil for a bearer token that may say who asks. ErrLoginToken,
	// ErrTokenRevoked; ErrStoreDown where the store has not said yet what was revoked.
	CheckBearer(t *identity.Token) error

	// DenyBearer has CheckBearer refuse a token from now on, until when it could
	// be used. It comes before an upstream sees the token. ErrTooManyTokens,
	// ErrStoreDown.
	DenyBearer(ctx context.Context, digest [sha256.Size]byte, until time.Time) error

	// List gives sessions without their tokens. ErrNotListable where there is no list.
	List(ctx context.Context, which Filter) ([]Session, error)

	// Down says why the store does not answer; nil: it does, or needs not to.
	Down() error

	// Run does the store's work in the background until ctx ends.
	Run(ctx context.Context)
}

// RefreshFunc asks the issuer: [identity.RelyingParty.Refresh].
type RefreshFunc func(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error)

// Filter selects sessions: those that agree with every field that is not empty,
// and none where all are, but for All.
type Filter struct {
	ID              string // as List shows it
	Email           string
	Issuer, Subject string
	IssuerSession   string // sid
	All             bool
}

// Matches reports whether a filter selects a session. It compares e-mail addresses without case: rather one session too many is
// ended than one too few.
func (filter Filter) Matches(s Session) bool {
	return (filter.ID == "" || s.ID == filter.ID) &&
		(filter.Email == "" || strings.EqualFold(s.Principal.Email, filter.Email)) &&
		(filter.Issuer == "" || s.Principal.Issuer == filter.Issuer) &&
		(filter.Subject == "" || s.Principal.Subject == filter.Subject) &&
		(filter.IssuerSession == "" || s.SessionID == filter.IssuerSession)
}

// LastUsedInterval is how coarsely a store knows the last use of a session.
func LastUsedInterval(idle time.Duration) time.Duration {
	if idle == 0 {
		return 5 * time.Minute
	}
	return min(max(idle/10, time.Second), time.Minute)
}

// RaiseTime raises a time that others may be raising too.
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
	ErrNoCookie    = cookie.ErrNone
	ErrAmbiguous   = cookie.ErrDuplicate
	ErrInvalid     = seal.ErrInvalid
	ErrTooLarge    = seal.ErrTooLarge
	ErrExpired     = errors.New("the session is over")
	ErrStale       = errors.New("the groups are too old, and the issuer does not tell them anew")
	ErrStoreDown   = errors.New("the session store does not answer")
	ErrNotListable = errors.New("sessions in cookies are not listed anywhere: use session.store: redis")
)
