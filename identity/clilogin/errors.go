package clilogin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/text"
)

// loginExpiredError reports that a refresh token is no longer accepted.
type loginExpiredError struct{ reason string }

func (e *loginExpiredError) Error() string { return e.reason }

func refused(format string, args ...any) error {
	return &identity.TokenRefusedError{Reason: fmt.Sprintf(format, args...)}
}

func discoveryError(ctx context.Context, err error) error {
	var mismatch *oidc.IssuerMismatchError
	var unreachable *identity.UnreachableError
	switch {
	case errors.As(err, &mismatch):
		return fmt.Errorf("it calls itself %s; write that, to the last slash", text.Quote(mismatch.Discovered))
	case errors.As(err, &unreachable):
		return unreachable
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default: // go-oidc's words may repeat the answer
		return errors.New("its discovery document could not be read: cut off, larger than 1 MiB, or not JSON; is this the " +
			"address of an issuer?")
	}
}

// verificationError distinguishes an unreachable key server and differing clocks from
// an invalid token.
func verificationError(ctx context.Context, err error, now time.Time) error {
	var unreachable *identity.UnreachableError
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &unreachable):
		return unreachable
	case errors.As(err, &expired):
		return refused("it expired at %s, and this machine's clock says %s: do the clocks differ?",
			formatTime(expired.Expiry), formatTime(now))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default: // issuer, audience, signature: go-oidc's words, which quote claims and no token
		return refused("%s", text.Sanitize(strings.TrimPrefix(err.Error(), "oidc: ")))
	}
}

// tokenEndpointError puts a refusal of the token endpoint, or of that of devices, into
// words. An oauth2.RetrieveError has the whole answer in it, and may hold a token.
func tokenEndpointError(ctx context.Context, operation string, err error) error {
	var unreachable *identity.UnreachableError
	var response *oauth2.RetrieveError
	switch {
	case errors.As(err, &unreachable):
		return unreachable
	case errors.As(err, &response):
		return fmt.Errorf("the issuer refused %s: %s", operation, describeTokenError(response))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default: // x/oauth2's words may repeat the answer
		return fmt.Errorf("the issuer's answer to %s could not be read: cut off, too large or not JSON", operation)
	}
}

// describeTokenError describes the response and a fix. 401 is for client
// authentication alone (RFC 6749, 5.2); Dex also says access_denied with it.
func describeTokenError(response *oauth2.RetrieveError) string {
	code := text.ErrorCode(response.ErrorCode)
	description := strings.TrimSpace(strconv.Itoa(response.Response.StatusCode) + " " + code)
	switch {
	case code == "access_denied":
		return description + ": the login was rejected, or this user may not log in"
	case code == "expired_token":
		return description + ": the code was not entered in time; run the command again"
	case code == "invalid_client" || response.Response.StatusCode == http.StatusUnauthorized:
		return description +
			": check the client id and its secret; a client without a secret must be public (in Dex: public: true)"
	case code == "invalid_scope":
		return description +
			": a scope that it does not know, or an audience whose client does not trust this one (in Dex: trustedPeers)"
	case code == "invalid_grant":
		return description + ": the code is used up or too old; run the command again"
	case response.Response.StatusCode >= http.StatusInternalServerError:
		return description + ": its log says why; try again later"
	default:
		return description
	}
}

// refreshError tells a refresh token that is no good from whatever may pass. Dex
// says invalid_request where others say invalid_grant (RFC 6749, 5.2), and 500 both
// when GitHub is down and when a user may no longer log in.
func refreshError(ctx context.Context, err error) error {
	var response *oauth2.RetrieveError
	if errors.As(err, &response) {
		code := text.ErrorCode(response.ErrorCode)
		switch {
		case response.Response.StatusCode >= http.StatusInternalServerError:
			return fmt.Errorf("the issuer could not refresh the login (it answered %d): it or its upstream identity provider "+
				"has a problem, "+
				"or you may no longer log in; try again, or log in again with --force", response.Response.StatusCode)
		case response.Response.StatusCode == http.StatusBadRequest &&
			(code == "invalid_grant" || code == "invalid_request" || code == ""):
			return &loginExpiredError{"the cached login has expired (the issuer answered 400 " + code + ")"}
		}
	}
	return tokenEndpointError(ctx, "to refresh the login", err)
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
