// Package clilogin logs in a user from a terminal, and caches the tokens for the next
// command: see [Client.Token]. It implements the two flows of native programs: a browser
// that returns to a loopback address (RFC 8252), and a code that the user enters on
// another device (RFC 8628).
//
// The relying party of package identity waits in the background for an issuer and serves
// many users with one secret. This client is usually public, sends one request, and
// reports an error immediately.
//
// No error and no message of this package holds a token, a code or a secret.
package clilogin

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/text"
)

// Config is what a Client has to know, resolved.
type Config struct {
	Issuer       string // exactly as it calls itself
	ClientID     string
	ClientSecret string // empty: a public client (RFC 6749, 2.1)
	Scopes       []string
	Audiences    []string       // further clients for which the ID token must be valid
	RootCAs      *x509.CertPool // nil: the system's

	Dir string // of the token cache, for this user alone

	Device bool   // by a code on another device, not by a browser here
	Listen string // host:port on loopback where the browser comes back to; empty: 127.0.0.1 and any port
	Force  bool   // log in again and ignore the cache

	OpenURL   func(address string) error       // opens a browser; nil: only the address is printed
	Printf    func(format string, args ...any) // prints a line for the user
	Now       func() time.Time                 // nil: time.Now
	Transport http.RoundTripper                // nil: the network
}

// Token is an ID token, verified when it was received.
type Token struct {
	Raw    string
	Expiry time.Time
}

// String and GoString keep a Token out of messages.
func (Token) String() string   { return "[redacted]" }
func (Token) GoString() string { return "[redacted]" }

// minValidity is how long a token that is handed out is good for at least: the request
// that it is for has still to be sent.
const minValidity = time.Minute

// Client gets tokens from one issuer, for one user.
type Client struct {
	cfg   Config
	http  *http.Client
	cache cache
}

// New checks what it is given; it asks the network nothing.
func New(cfg Config) (*Client, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Printf == nil {
		cfg.Printf = func(string, ...any) {}
	}
	if _, err := identity.ParseHTTPURL(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("the issuer %s %w", text.Quote(cfg.Issuer), err)
	}
	if cfg.ClientID == "" {
		return nil, errors.New("no client ID is given")
	}
	if cfg.Device && cfg.ClientSecret != "" {
		// Dex v2.45.1 puts the secret of such a client into the address that the
		// browser opens (server/deviceflowhandlers.go).
		return nil, errors.New("a login by code (--device) is for public clients, and this one has a secret; " +
			"name a client without one (in Dex: public: true) with --client-id")
	}
	cfg.Listen = cmp.Or(cfg.Listen, "127.0.0.1:0")
	if err := checkLoopback(cfg.Listen); err != nil {
		return nil, err
	}
	scopes := append([]string{oidc.ScopeOpenID}, cfg.Scopes...)
	for _, audience := range cfg.Audiences {
		scopes = append(scopes, "audience:server:client_id:"+audience) // Dex's own (custom-scopes-claims-clients)
	}
	for _, scope := range scopes {
		if !text.ValidScope(scope) || strings.HasSuffix(scope, ":") { // an audience without a name
			return nil, fmt.Errorf("%s is not a scope; write one word of printable ASCII for each", text.Quote(scope))
		}
	}
	slices.Sort(scopes)
	cfg.Scopes = slices.Compact(scopes)
	base := cfg.Transport
	if base == nil {
		base = identity.NewTransport(cfg.RootCAs)
	}
	return &Client{cfg: cfg, http: identity.NewClient(base, caHint, redirectHint), cache: newCache(cfg)}, nil
}

const (
	caHint       = "--ca-file (issuer.caFile) names a further authority to trust"
	redirectHint = "; name the issuer by the address that answers by itself"
)

// checkLoopback keeps the code from being received on the network: RFC 8252, 8.3.
func checkLoopback(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		if _, err = net.LookupPort("tcp", port); err == nil {
			if ip, noIP := netip.ParseAddr(host); host == "localhost" || noIP == nil && ip.IsLoopback() {
				return nil
			}
		}
	}
	return fmt.Errorf("%s is not a loopback address; write one such as 127.0.0.1:8000, or 127.0.0.1:0 for any free port",
		text.Quote(address))
}

// Token gives an ID token that is good for a minute or more: the one that is kept,
// or a refreshed one, or that of a new login.
func (c *Client) Token(ctx context.Context) (Token, error) {
	if !c.cfg.Force {
		if cached, _ := c.cache.read(); c.fresh(cached) { // without the lock: files are replaced whole
			return cached.token(), nil
		}
	}
	// Only one process at a time: a refresh token works once, and a user has one login.
	unlock, err := c.cache.lock(ctx, c.cfg.Printf)
	if err != nil {
		return Token{}, err
	}
	defer unlock()
	cached, problem := c.cache.read()
	if problem != nil {
		c.cfg.Printf("not using the cached token: %v", problem)
	}
	if !c.cfg.Force && c.fresh(cached) { // the previous holder of the lock got one
		return cached.token(), nil
	}
	token, err := c.refreshOrLogin(ctx, cached)
	if err != nil {
		return Token{}, err
	}
	if err := c.cache.write(token); err != nil { // the token is as good as any
		c.cfg.Printf("the token was not cached: %v", err)
	}
	return token.token(), nil
}

func (c *Client) fresh(r cachedToken) bool {
	return r.IDToken != "" && r.Expiry.Sub(c.cfg.Now()) >= minValidity
}

// refreshOrLogin refreshes what is kept, or logs in.
func (c *Client) refreshOrLogin(ctx context.Context, cached cachedToken) (cachedToken, error) {
	i, err := c.discover(ctx)
	if err != nil {
		return cachedToken{}, err
	}
	if cached.RefreshToken != "" && !c.cfg.Force {
		token, err := c.refresh(ctx, i, cached)
		var expired *loginExpiredError
		if !errors.As(err, &expired) {
			return token, err
		}
		c.cfg.Printf("%v; logging in again", expired)
	}
	if c.cfg.Device {
		return c.deviceLogin(ctx, i)
	}
	return c.browserLogin(ctx, i)
}

// Logout removes every token of the issuer and the client, whatever its scopes, and
// reports their number.
func (c *Client) Logout(ctx context.Context) (int, error) {
	if !c.cache.exists() {
		return 0, nil
	}
	unlock, err := c.cache.lock(ctx, c.cfg.Printf)
	if err != nil {
		return 0, err
	}
	defer unlock()
	return c.cache.clear()
}
