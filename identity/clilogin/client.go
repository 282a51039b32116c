// Package terminal logs in a person who sits at a terminal, and keeps what the
// issuer gave for the next command: [Client.Token] is the whole of it. It knows the
// two ways that native programs have, a browser that comes back to loopback (RFC
// 8252) and a code that is typed in on another device (RFC 8628).
//
// It is not the relying party of package identity, which waits in the background
// for an issuer and serves many people with one secret. This one is mostly a public
// client, asks once, and says at once what is wrong.
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
	Audiences    []string       // further clients that the ID token shall be for
	RootCAs      *x509.CertPool // nil: the system's

	Dir string // where tokens are kept, for this person alone

	Device bool   // by a code on another device, not by a browser here
	Listen string // host:port on loopback where the browser comes back to; empty: 127.0.0.1 and any port
	Force  bool   // log in anew, whatever is kept

	OpenURL   func(address string) error       // opens a browser; nil: only the address is told
	Printf    func(format string, args ...any) // tells the person a line
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

// Client gets tokens from one issuer, for one person.
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
		return nil, errors.New("no client id is named")
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
	return fmt.Errorf("%s is no address on loopback; write such as 127.0.0.1:8000, or 127.0.0.1:0 for any free port", text.Quote(address))
}

// Token gives an ID token that is good for a minute or more: the one that is kept,
// or a refreshed one, or that of a new login.
func (c *Client) Token(ctx context.Context) (Token, error) {
	if !c.cfg.Force {
		if cached, _ := c.cache.read(); c.fresh(cached) { // without the lock: files are replaced whole
			return cached.token(), nil
		}
	}
	// From here on alone: a refresh token is good once, and a person at one login.
	unlock, err := c.cache.lock(ctx, c.cfg.Printf)
	if err != nil {
		return Token{}, err
	}
	defer unlock()
	cached, problem := c.cache.read()
	if problem != nil {
		c.cfg.Printf("not using what was kept: %v", problem)
	}
	if !c.cfg.Force && c.fresh(cached) { // whoever had the lock has done it
		return cached.token(), nil
	}
	token, err := c.refreshOrLogin(ctx, cached)
	if err != nil {
		return Token{}, err
	}
	if err := c.cache.write(token); err != nil { // the token is as good as any
		c.cfg.Printf("the token is not kept for the next time: %v", err)
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
		c.cfg.Printf("%v; logging in anew", expired)
	}
	if c.cfg.Device {
		return c.deviceLogin(ctx, i)
	}
	return c.browserLogin(ctx, i)
}

// Logout removes every token of the issuer and the client, whatever its scopes, and
// says how many there were.
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
