package identity

import (
	"errors"
	"fmt"
	"strconv"
)

var (
	// ErrNotReady is returned for logins before discovery first succeeded.
	ErrNotReady = errors.New("the issuer has not been discovered yet")

	// ErrStateMismatch is for a callback that belongs to no login of this browser: one of
	// another browser, an old one, or a forged one (RFC 6749, 10.12).
	ErrStateMismatch = errors.New("the answer of the issuer does not belong to the login that this browser began; " +
		"start again")
)

// LoginRefusedError says that the issuer refused the login: it sent the browser back with an
// error instead of a code (RFC 6749, 4.1.2.1; OpenID Connect Core 1.0, 3.1.2.6).
type LoginRefusedError struct {
	Code        string // access_denied, invalid_scope, ...
	Description string // the issuer's words, printable and short; any client can write them into the URL
}

func (e *LoginRefusedError) Error() string {
	if e.Description == "" {
		return "the issuer refused the login: " + e.Code
	}
	return "the issuer refused the login: " + e.Code + " (" + e.Description + ")"
}

// CallbackError is a callback that no issuer sends to its relying party: parameters are
// missing or duplicated, or name another issuer.
type CallbackError struct {
	Reason string
}

func (e *CallbackError) Error() string { return "the answer of the issuer is not usable: " + e.Reason }

// ExchangeError says that the issuer gave no tokens for the code.
type ExchangeError struct {
	Status int    // of the token endpoint's response; 0 if it could not be read
	Code   string // OAuth error code (RFC 6749, 5.2), or empty

	badCredentials bool
}

func (e *ExchangeError) Error() string {
	switch {
	case e.badCredentials:
		return "the issuer refused the client id or secret: check issuer.clientID and issuer.clientSecret (" +
			e.response() + ")"
	case e.Code == "invalid_grant":
		return "the issuer did not accept the login code, which is used up, too old or not ours; start again (" +
			e.response() + ")"
	case e.Status == 0:
		return "the answer of the issuer's token endpoint could not be read: cut off, too large or not JSON"
	default:
		return "the issuer's token endpoint refused the login code (" + e.response() + ")"
	}
}

func (e *ExchangeError) response() string {
	if e.Code == "" {
		return "it answered " + strconv.Itoa(e.Status)
	}
	return "it answered " + strconv.Itoa(e.Status) + " " + e.Code
}

// TokenRefusedError says why a token is not trusted.
type TokenRefusedError struct {
	Reason      string
	FromLogin   bool // a bearer token: authgate's own browser login or refresh obtained it
	KnownIssuer bool // its issuer is one whose tokens are accepted
}

func (e *TokenRefusedError) Error() string { return "ID token refused: " + e.Reason }

func refused(format string, args ...any) *TokenRefusedError {
	return &TokenRefusedError{Reason: fmt.Sprintf(format, args...)}
}

// UnreachableError says that the issuer gave no usable response to a request. It unwraps to
// context.Canceled or context.DeadlineExceeded if one was the cause.
type UnreachableError struct {
	Request string // method and address; the backchannel's if it was used
	Reason  string
	cause   error
}

func (e *UnreachableError) Error() string {
	return "no usable answer of the issuer to " + e.Request + ": " + e.Reason
}
func (e *UnreachableError) Unwrap() error { return e.cause }
