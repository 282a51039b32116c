package clilogin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/text"
)

// maxAddressLength is how many characters of an address are printed.
const maxAddressLength = 300

// deviceLogin logs in by a code that the user enters in any browser: RFC 8628.
// PKCE is not part of that; Dex takes it, and others ignore what they do not know
// (RFC 6749, 3.1).
func (c *Client) deviceLogin(ctx context.Context, i *issuer) (cachedToken, error) {
	if i.oauth.Endpoint.DeviceAuthURL == "" {
		return cachedToken{},
			errors.New("the issuer offers no login by code (no device_authorization_endpoint, RFC 8628); leave --device out, " +
				"or, if this machine has no browser, forward a port to it: ssh -L 8000:127.0.0.1:8000, and --no-browser --listen " +
				"127.0.0.1:8000")
	}
	if err := identity.CheckEndpoint(c.cfg.Issuer, i.oauth.Endpoint.DeviceAuthURL); err != nil {
		return cachedToken{}, fmt.Errorf("the issuer's device_authorization_endpoint %w", err)
	}
	ctx = oidc.ClientContext(ctx, c.http)
	verifier := oauth2.GenerateVerifier()
	device, err := i.oauth.DeviceAuth(ctx, oauth2.S256ChallengeOption(verifier))
	if err != nil {
		return cachedToken{}, tokenEndpointError(ctx, "a login by code", err)
	}
	if device.DeviceCode == "" || device.UserCode == "" || !isWebURL(device.VerificationURI) {
		return cachedToken{},
			errors.New("the issuer's answer to a login by code lacks device_code, user_code or verification_uri (RFC 8628, 3.2)")
	}
	c.cfg.Printf("To log in, open this address in any browser and enter the code %s:", text.Sanitize(device.UserCode))
	c.cfg.Printf("  %s", text.SanitizeMax(device.VerificationURI, maxAddressLength))
	if isWebURL(device.VerificationURIComplete) {
		c.cfg.Printf("or this one, if it shows the same code:")
		c.cfg.Printf("  %s", text.SanitizeMax(device.VerificationURIComplete, maxAddressLength))
	}
	tokens, err := i.oauth.DeviceAccessToken(ctx, device, oauth2.VerifierOption(verifier))
	if errors.Is(err, context.DeadlineExceeded) && !device.Expiry.IsZero() && !time.Now().Before(device.Expiry) {
		return cachedToken{}, errors.New("the code was not entered in time; run the command again")
	}
	if err != nil {
		return cachedToken{}, tokenEndpointError(ctx, "the login", err)
	}
	return c.verifyResponse(ctx, i, tokens, "")
}

func isWebURL(address string) bool {
	_, err := identity.ParseHTTPURL(address)
	return err == nil
}
