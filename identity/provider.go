package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/example-org/authgate/cache"
	"github.com/example-org/authgate/text"
)

// Config is what a relying party needs, resolved: it reads no files or variables. It must
// not be modified after New.
type Config struct {
	URL            string // the issuer, exactly as it calls itself
	BackchannelURL string // where to send requests to URL; empty: to URL
	ClientID       string
	ClientSecret   string
	RootCAs        *x509.CertPool    // nil: the system's
	Scopes         []string          // openid is always requested
	AuthParams     map[string]string // further parameters of the authorization request
	GroupsClaim    string            // a claim by its exact name, else a path with dots; empty: no user has groups
	ClockSkew      time.Duration

	// AccessAudiences are those for which [Bearers] accepts access tokens of URL.
	AccessAudiences []string

	Now func() time.Time // nil: time.Now
	// GroupDropped is called for a dropped group ("reserved", "malformed"), or for all groups of
	// a login ("no_claim", "overage"). It must be safe for concurrent use, or nil.
	GroupDropped func(reason string)
	KeySkipped   func(reason string) // nil, or safe for concurrent use: a published key is unusable
}

// String, GoString and LogValue keep the secret out of logs and errors.
func (Config) String() string       { return "[redacted]" }
func (Config) GoString() string     { return "[redacted]" }
func (Config) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// RelyingParty signs users in at one issuer. It is safe for concurrent use.
type RelyingParty struct {
	cfg       Config
	log       *slog.Logger
	client    *http.Client
	configErr error // no request can be sent with this Config

	credentials atomic.Pointer[credentials]
	transport   *swappableTransport // of client

	state          atomic.Pointer[discoveryState]
	keySet         *issuerKeySet
	logouts        *cache.Replay
	discovered     chan struct{} // closed with the first provider
	discoveredOnce sync.Once

	noClaimLogged, overageLogged sync.Once
}

// discoveryState is what Run last learned about the issuer. Only Run replaces it, as a
// whole.
type discoveryState struct {
	provider *provider // nil until discovery first succeeds; kept while the issuer is down
	failure  error     // why the last attempt failed; nil: it succeeded
}

// provider is a discovery document. It is immutable.
type provider struct {
	endpoint   oauth2.Endpoint
	metadata   Metadata
	algorithms []string // the announced ones that authgate accepts
}

// Metadata are the members of the discovery document that go-oidc does not export (OpenID
// Connect Discovery 1.0, section 3; RFC 9207, section 3).
type Metadata struct {
	JWKSURI           string   `json:"jwks_uri"`
	Algorithms        []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods       []string `json:"token_endpoint_auth_methods_supported"`
	EndSession        string   `json:"end_session_endpoint"`
	SendsIssParameter bool     `json:"authorization_response_iss_parameter_supported"`
}

// New prepares a relying party. It makes no requests; Run does.
func New(cfg Config, log *slog.Logger) *RelyingParty {
	transport := newSwappableTransport(NewTransport(cfg.RootCAs))
	rp := newRelyingParty(cfg, log, transport)
	rp.transport = transport
	return rp
}

func newRelyingParty(cfg Config, log *slog.Logger, base http.RoundTripper) *RelyingParty {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.GroupDropped == nil {
		cfg.GroupDropped = func(string) {}
	}
	if cfg.KeySkipped == nil {
		cfg.KeySkipped = func(string) {}
	}
	if !slices.Contains(cfg.Scopes, oidc.ScopeOpenID) { // without it there is no ID token
		cfg.Scopes = append([]string{oidc.ScopeOpenID}, cfg.Scopes...)
	}
	rp := &RelyingParty{cfg: cfg, log: log, discovered: make(chan struct{}), logouts: cache.NewReplay(maxLogouts, cfg.Now)}
	rp.credentials.Store(&credentials{cfg.ClientID, cfg.ClientSecret})
	rp.keySet = newIssuerKeySet(rp, rp.discovered, log)
	rp.state.Store(&discoveryState{failure: errors.New("discovery has not finished its first attempt")})
	transport, err := newBackchannelTransport(cfg, base)
	if err != nil {
		rp.configErr = err
		return rp
	}
	rp.client = newClient(transport)
	return rp
}

// The first retries come quickly, since authgate and its issuer are often started together.
// A running issuer is checked just often enough for a metric.
const (
	minRetryInterval  = 250 * time.Millisecond
	maxRetryInterval  = 30 * time.Second
	discoveryInterval = 40 * time.Second // at most; 30 s on average
)

// Run discovers the issuer, retries until that succeeds, and then checks it regularly. It
// returns when ctx ends.
func (rp *RelyingParty) Run(ctx context.Context) {
	retry := minRetryInterval
	for {
		rp.refreshDiscovery(ctx)
		pause := discoveryInterval
		if rp.state.Load().provider == nil {
			pause, retry = retry, min(2*retry, maxRetryInterval)
		}
		// Half of it is random: replicas that started together must not ask together.
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// Discovered is closed once discovery first succeeded, when Ready becomes nil.
func (rp *RelyingParty) Discovered() <-chan struct{} { return rp.discovered }

// Ready is nil once discovery has succeeded, and stays so: Up reports a later outage.
// Before, it wraps ErrNotReady and says why.
func (rp *RelyingParty) Ready() error {
	_, err := rp.provider()
	return err
}

// Up reports whether the last attempt to reach the issuer succeeded.
func (rp *RelyingParty) Up() bool {
	v := rp.state.Load()
	return v.provider != nil && v.failure == nil
}

// Failure says why the last attempt to reach the issuer failed; nil: it succeeded.
func (rp *RelyingParty) Failure() error { return rp.state.Load().failure }

func (rp *RelyingParty) provider() (*provider, error) {
	v := rp.state.Load()
	if v.provider == nil {
		return nil, fmt.Errorf("%w: %w", ErrNotReady, v.failure)
	}
	return v.provider, nil
}

// refreshDiscovery asks the issuer once, publishes the result and logs changes.
func (rp *RelyingParty) refreshDiscovery(ctx context.Context) {
	old := rp.state.Load()
	discovered, err := rp.discover(ctx)
	switch {
	case ctx.Err() != nil: // says nothing about the issuer
		return
	case err != nil:
		if old.provider == nil || old.failure == nil {
			rp.log.WarnContext(ctx, "issuer is not usable, trying again", "error", err, "ready", old.provider != nil)
		}
		rp.state.Store(&discoveryState{provider: old.provider, failure: err})
		return
	case old.provider == nil:
		rp.log.InfoContext(ctx, "issuer discovered", "issuer", rp.cfg.URL)
	case !discovered.equal(old.provider):
		rp.log.InfoContext(ctx, "issuer has changed its discovery document", "issuer", rp.cfg.URL)
	default:
		discovered = old.provider
	}
	if old.provider != nil && old.failure != nil {
		rp.log.InfoContext(ctx, "issuer reachable again", "issuer", rp.cfg.URL)
	}
	rp.state.Store(&discoveryState{provider: discovered})
	rp.discoveredOnce.Do(func() { close(rp.discovered) })
}

func (p *provider) equal(q *provider) bool {
	return p.endpoint == q.endpoint && reflect.DeepEqual(p.metadata, q.metadata)
}

// discover fetches and checks the discovery document.
func (rp *RelyingParty) discover(ctx context.Context) (*provider, error) {
	if rp.configErr != nil {
		return nil, rp.configErr
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, rp.client), attemptTimeout)
	defer cancel()
	p, err := rp.fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("discovering issuer %s: %w", rp.cfg.URL, err)
	}
	return p, nil
}

func (rp *RelyingParty) fetch(ctx context.Context) (*provider, error) {
	ctx, prefix := withBodyPrefix(ctx)
	document, err := oidc.NewProvider(ctx, rp.cfg.URL)
	if err != nil {
		return nil, rp.discoveryError(ctx, prefix, err)
	}
	p := &provider{endpoint: document.Endpoint()}
	if p.metadata, err = ReadMetadata(document); err != nil {
		return nil, err
	}
	for _, e := range []struct{ name, address string }{
		{"authorization_endpoint", p.endpoint.AuthURL},
		{"token_endpoint", p.endpoint.TokenURL},
		{"jwks_uri", p.metadata.JWKSURI},
	} {
		if err := rp.checkEndpoint(e.address); err != nil {
			return nil, fmt.Errorf("its %s %w", e.name, err)
		}
	}
	if p.metadata.EndSession != "" {
		if err := rp.checkEndpoint(p.metadata.EndSession); err != nil {
			return nil, fmt.Errorf("its end_session_endpoint %w", err)
		}
	}
	if p.endpoint.AuthStyle, err = authStyle(p.metadata.AuthMethods); err != nil {
		return nil, err
	}
	if p.algorithms, err = supportedAlgorithms(p.metadata.Algorithms); err != nil {
		return nil, err
	}
	return p, nil
}

func (rp *RelyingParty) discoveryError(ctx context.Context, prefix *bodyPrefix, err error) error {
	var mismatch *oidc.IssuerMismatchError
	var unreachable *UnreachableError
	switch {
	case errors.As(err, &mismatch):
		discovered, want := mismatch.Discovered, mismatch.Provided
		if strings.TrimSuffix(discovered, "/") == strings.TrimSuffix(want, "/") {
			return fmt.Errorf("the issuer calls itself %s, the configuration says %s: "+
				"write issuer.url exactly as the issuer does, trailing slash included", text.Sanitize(discovered), want)
		}
		return fmt.Errorf("the issuer calls itself %s, the configuration says %s: one of them is wrong, "+
			"or issuer.backchannelURL leads to another issuer", text.Sanitize(discovered), want)
	case errors.As(err, &unreachable):
		return unreachable
	case ctx.Err() != nil:
		return &UnreachableError{
			Request: "GET " + strings.TrimSuffix(rp.cfg.URL, "/") + "/.well-known/openid-configuration",
			Reason:  text.RedactError(ctx.Err()), cause: ctx.Err(),
		}
	default: // go-oidc's words may repeat the whole response
		return errors.New("its discovery document could not be read: cut off, larger than 1 MiB, or not JSON" +
			prefix.describe())
	}
}

// ReadMetadata reads the members of a discovery document that go-oidc does not export.
func ReadMetadata(document *oidc.Provider) (m Metadata, err error) {
	if document.Claims(&m) != nil {
		return m, errors.New("its discovery document has members of the wrong type (OpenID Connect Discovery 1.0, section 3)")
	}
	return m, nil
}

// checkEndpoint also accepts http below the backchannel's address: some issuers (Keycloak)
// name their endpoints by the address of the request.
func (rp *RelyingParty) checkEndpoint(address string) error {
	err := CheckEndpoint(rp.cfg.URL, address)
	if _, invalid := ParseHTTPURL(address); invalid == nil && rp.cfg.BackchannelURL != "" &&
		strings.HasPrefix(address, strings.TrimSuffix(rp.cfg.BackchannelURL, "/")+"/") {
		return nil
	}
	return err
}

// CheckEndpoint rejects an endpoint that would take a login from https to http: the secret
// and the code would be sent in clear text.
func CheckEndpoint(issuer, address string) error {
	if address == "" {
		return errors.New("is missing in the discovery document")
	}
	u, err := ParseHTTPURL(address)
	switch {
	case err != nil:
		return fmt.Errorf("%s %w", text.Quote(address), err)
	case u.Scheme == "http" && !strings.HasPrefix(issuer, "http:"):
		return fmt.Errorf("%s is http although the issuer is https", text.Quote(address))
	}
	return nil
}

// authStyle decides once how the client authenticates. x/oauth2 would find out by trying,
// and a failed try may cost the code.
func authStyle(methods []string) (oauth2.AuthStyle, error) {
	switch {
	case len(methods) == 0, slices.Contains(methods, "client_secret_basic"): // the default: Discovery 1.0, section 3
		return oauth2.AuthStyleInHeader, nil
	case slices.Contains(methods, "client_secret_post"):
		return oauth2.AuthStyleInParams, nil
	}
	return 0, fmt.Errorf("it wants clients to authenticate by %s; "+
		"only client_secret_basic and client_secret_post are supported", text.Sanitize(strings.Join(methods, ", ")))
}
