package terminal

import (
	"context"
	"errors"
	"fmt"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/example-org/authgate/redact"
)

// maxAddress is how many characters of an address are told.
const maxAddress = 300

// byDevice logs in by a code that the person enters in a browser anywhere: RFC 8628.
// PKCE is not part of that; Dex takes it, and others ignore what they do not know
// (RFC 6749, 3.1).
func (c *Client) byDevice(ctx context.Context, i *issuer) (record, error) {
	if i.oauth.Endpoint.DeviceAuthURL == "" {
		return record{}, errors.New("the issuer offers no login by code (no device_authorization_endpoint, RFC 8628); leave --device out, " +
			"and where this machine has no browser, lead a port of yours to it: ssh -L 8000:127.0.0.1:8000, and --no-browser --listen 127.0.0.1:8000")
	}
	if err := c.checkEndpoint(i.oauth.Endpoint.DeviceAuthURL); err != nil {
		return record{}, fmt.Errorf("the issuer's device_authorization_endpoint %w", err)
	}
	ctx = oidc.ClientContext(ctx, c.http)
	verifier := oauth2.GenerateVerifier()
	asked, err := i.oauth.DeviceAuth(ctx, oauth2.S256ChallengeOption(verifier))
	if err != nil {
		return record{}, answerError(ctx, "a login by code", err)
	}
	if asked.DeviceCode == "" || asked.UserCode == "" || checkURL(asked.VerificationURI) != nil {
		return record{}, errors.New("the issuer's answer to a login by code lacks device_code, user_code or verification_uri (RFC 8628, 3.2)")
	}
	c.cfg.Say("To log in, open this address in any browser and enter the code %s:", redact.Line(asked.UserCode))
	c.cfg.Say("  %s", redact.Within(asked.VerificationURI, maxAddress))
	if checkURL(asked.VerificationURIComplete) == nil {
		c.cfg.Say("or this one, if it shows the same code:")
		c.cfg.Say("  %s", redact.Within(asked.VerificationURIComplete, maxAddress))
	}
	tokens, err := i.oauth.DeviceAccessToken(ctx, asked, oauth2.VerifierOption(verifier))
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // the code's own time, which x/oauth2 counts
		return record{}, errors.New("the code was not entered in time; run the command again")
	}
	if err != nil {
		return record{}, answerError(ctx, "the login", err)
	}
	return c.accept(ctx, i, tokens, "")
}
