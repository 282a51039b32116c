package identity

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/example-org/authgate/text"
)

// Bearer says which tokens of an issuer are accepted, and how they make a principal.
type Bearer struct {
	Issuer   string // exactly as iss
	Audience string // one of aud

	// Require maps claims to accepted values, compared as strings; all must match. If it is
	// empty, every token for Audience is accepted, and its principal is Untrusted.
	Require map[string][]string

	// SubjectClaim and Groups make the principal. They are ignored if Issuer is the login
	// issuer: its tokens are read as at a login.
	SubjectClaim string
	Groups       []GroupTemplate

	// RootCAs are trusted for an additional issuer: those of its first Bearer that has any;
	// nil in all of them: the system's.
	RootCAs *x509.CertPool
}

// Bearers verifies the bearer tokens of requests: those of the login issuer, and of
// additional issuers. It is safe for concurrent use. [Bearers.Run] is called once, and
// fetches the keys that Verify uses.
type Bearers struct {
	relyingParty *RelyingParty
	issuers      map[string]*bearerIssuer // iss → issuer
	cache        tokenCache
}

// bearerIssuer is one iss. Several Bearers may be of it, with different audiences.
type bearerIssuer struct {
	keySet  *issuerKeySet
	configs []bearerConfig // in the order of the configuration; the first with a matching audience counts
}

// bearerConfig is a prepared Bearer.
type bearerConfig struct {
	Bearer
	isLoginIssuer bool     // of the login issuer
	idTokensOnly  bool     // and no access tokens: no item of bearer accepts them
	required      []string // claims of Require, sorted

	clientID func() string // of the login issuer: its current client id, in place of Audience
}

// NewBearers accepts tokens of own for its client, and those that others accept. It makes no
// requests; Run does.
func NewBearers(rp *RelyingParty, others []Bearer, log *slog.Logger) *Bearers {
	return newBearers(rp, others, log, nil)
}

// newBearers reaches additional issuers over base; nil: each over a transport of its own.
func newBearers(rp *RelyingParty, others []Bearer, log *slog.Logger, base http.RoundTripper) *Bearers {
	b := &Bearers{relyingParty: rp, cache: newTokenCache(), issuers: map[string]*bearerIssuer{
		rp.cfg.URL: {
			keySet: rp.keySet,
			configs: []bearerConfig{{
				Bearer: Bearer{Issuer: rp.cfg.URL}, isLoginIssuer: true, idTokensOnly: true, clientID: rp.clientID,
			}},
		},
	}}
	for _, o := range others {
		i := b.issuers[o.Issuer]
		if i == nil {
			i = &bearerIssuer{keySet: newAdditionalIssuer(rp.cfg, o.Issuer, rootCAs(others, o.Issuer), log, base).keySet}
			b.issuers[o.Issuer] = i
		}
		i.configs = append(i.configs, bearerConfig{
			Bearer: o, isLoginIssuer: o.Issuer == rp.cfg.URL, required: slices.Sorted(maps.Keys(o.Require)),
		})
	}
	return b
}

func rootCAs(others []Bearer, issuer string) *x509.CertPool {
	for _, o := range others {
		if o.Issuer == issuer && o.RootCAs != nil {
			return o.RootCAs
		}
	}
	return nil
}

// Run fetches the keys of all issuers independently, and keeps them fresh. It returns when
// ctx ends.
func (b *Bearers) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, i := range b.issuers {
		running.Go(func() { i.keySet.run(ctx) })
	}
	running.Wait()
}

// maxBearer is far more than tokens of machines need, and leaves room for some hundred
// groups of a user.
const maxBearer = 8 << 10

// Token is an accepted bearer token: its principal, and what identifies it. Requests share it:
// callers must not write to it.
type Token struct {
	Principal

	IssuedAt  time.Time         // iat
	SessionID string            // sid: the issuer's own session; empty where it does not say
	Digest    [sha256.Size]byte // [TokenDigest]
	ID        string            // of Digest; names the token in memory, and is no credential
}

// NewToken makes the token of a principal.
func NewToken(p Principal, raw string) *Token {
	digest := TokenDigest(raw)
	return &Token{Principal: p, Digest: digest, ID: "bearer " + base64.RawURLEncoding.EncodeToString(digest[:])}
}

// Verify accepts a token. An error is a [TokenRefusedError], whose Reason may be logged and shown
// to the client, or an [UnreachableError]: the signing keys are unavailable.
func (b *Bearers) Verify(ctx context.Context, raw string) (*Token, error) {
	if len(raw) > maxBearer {
		refusal := refused("it is larger than %d bytes", maxBearer)
		refusal.KnownIssuer = b.knowsIssuer(raw)
		return nil, refusal
	}
	client := b.relyingParty.credentials.Load()
	if t := b.cache.get(raw); t != nil && t.client == client && t.isValid(b.relyingParty.cfg.Now()) {
		return t.token, nil
	}
	iss, err := unverifiedIssuer(raw)
	if refusal, ok := errors.AsType[*TokenRefusedError](err); ok {
		refusal.KnownIssuer = b.knowsIssuer(raw)
		return nil, refusal
	}
	i := b.issuers[iss]
	if i == nil {
		return nil, refused("it is of the issuer %s, which is neither issuer.url nor an issuer of bearer",
			text.Quote(iss))
	}
	t, err := i.verify(ctx, raw)
	if refusal, ok := errors.AsType[*TokenRefusedError](err); ok {
		refusal.KnownIssuer = true
		return nil, refusal
	}
	if err != nil {
		return nil, err
	}
	t.client = client
	b.cache.put(raw, t)
	return t.token, nil
}

// knowsIssuer reports whether a token that cannot be verified names an issuer whose tokens
// are accepted. It reads more leniently than Verify, as an upstream may: padding and spaces
// in a JWT hide nothing.
func (b *Bearers) knowsIssuer(raw string) bool {
	iss, err := unverifiedIssuer(strings.Map(func(r rune) rune {
		if r == '=' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, raw))
	return err == nil && b.issuers[iss] != nil
}

// unverifiedIssuer reads, unverified, whose keys must verify a token.
func unverifiedIssuer(raw string) (string, error) {
	c, err := unverifiedClaims(raw)
	if err != nil {
		return "", err
	}
	iss, err := c.stringClaim("iss")
	if err == nil && iss == "" {
		err = refused("it does not say who issued it (no iss)")
	}
	if err != nil {
		return "", err
	}
	return iss, nil
}

func (i *bearerIssuer) verify(ctx context.Context, raw string) (cachedToken, error) {
	rp, typ := i.keySet.rp, header(raw).Typ
	if err := checkType(typ); err != nil {
		return cachedToken{}, err
	}
	o, err := i.keySet.verifySignature(ctx, raw, fromClient)
	if err != nil {
		return cachedToken{}, err
	}
	c := o.claims
	a, err := i.selectConfig(c, typ)
	if err != nil {
		return cachedToken{}, err
	}
	if err := rp.checkTimes(c); err != nil {
		return cachedToken{}, err
	}
	if err := a.checkRequired(c); err != nil {
		return cachedToken{}, err
	}
	p, err := a.principal(rp, c)
	if err != nil {
		return cachedToken{}, err
	}
	t := NewToken(p, raw)
	if t.IssuedAt, _, err = c.numericDate("iat"); err != nil {
		return cachedToken{}, err
	}
	if t.SessionID, err = c.stringClaim("sid"); err != nil {
		return cachedToken{}, err
	}
	return cachedToken{
		token:     t,
		expiresAt: p.Expiry.Add(rp.cfg.ClockSkew).UnixNano(), keySet: i.keySet, verifiedBy: o.keys,
	}, nil
}

// checkType refuses JWTs that issuers sign for other purposes, with the same keys and often
// for the same audience: logout tokens, security events, proofs (RFC 8725, 3.11). at+jwt is
// RFC 9068.
func checkType(typ string) error {
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "", "jwt", "at+jwt":
		return nil
	}
	return refused("its typ is %s, which is no token that says who asks", text.Quote(typ))
}

// selectConfig finds the configuration for a token's audience. A token that a browser login
// obtained is accepted for none, and an access token only for an audience that bearer names.
func (i *bearerIssuer) selectConfig(c claims, typ string) (*bearerConfig, error) {
	iss, err := c.stringClaim("iss")
	if err != nil {
		return nil, err
	}
	if want := i.configs[0].Issuer; iss != want { // the verified issuer differs from the unverified one
		return nil, refused("it is of the issuer %s, not of %s", text.Quote(iss), want)
	}
	if !c.absent("events") {
		return nil, refused("it reports an event (RFC 8417) and does not say who asks")
	}
	switch marked, err := c.hasLoginNonce(); {
	case err != nil:
		return nil, err
	case marked:
		return nil, refusedLoginToken()
	}
	audience, err := c.stringList("aud")
	if err != nil {
		return nil, err
	}
	access := isAccessToken(typ, c)
	// azp may differ: whichever client asked, the issuer made the token for us to read.
	for n := range i.configs {
		if a := &i.configs[n]; a.matchesAudience(audience) && !(access && a.idTokensOnly) {
			return a, nil
		}
	}
	if access {
		return nil, refused("it is an access token for the audience %s, which no item of bearer accepts; send an ID token",
			text.Quote(strings.Join(audience, ", ")))
	}
	return nil, refused("it is for the audience %s, which is not one that is accepted of its issuer",
		text.Quote(strings.Join(audience, ", ")))
}

// matchesAudience reports whether a token's audience is accepted.
func (a *bearerConfig) matchesAudience(audience []string) bool {
	want := a.Audience
	if a.clientID != nil {
		want = a.clientID()
	}
	return want != "" && slices.Contains(audience, want)
}

// newAdditionalIssuer makes a RelyingParty without logins: signatures, times and groups work
// the same for every issuer. A nil base is a transport of its own, which trusts cas.
func newAdditionalIssuer(
	own Config, issuer string, cas *x509.CertPool, log *slog.Logger, base http.RoundTripper,
) *RelyingParty {
	cfg := Config{
		URL: issuer, RootCAs: cas, ClockSkew: own.ClockSkew, Now: own.Now,
		GroupDropped: own.GroupDropped, KeySkipped: own.KeySkipped,
	}
	var transport *swappableTransport
	if base == nil {
		transport = newSwappableTransport(NewTransport(cas))
		base = transport
	}
	rp := newRelyingParty(cfg, log, base)
	rp.transport = transport
	rp.keySet = newIssuerKeySet(rp, nil, log)
	publicURL, err := ParseHTTPURL(issuer)
	if err != nil {
		return rp // every request fails with the error
	}
	rp.client = newClient(&backchannelTransport{
		base: base, publicURL: publicURL, trustHint: trustByBearer, redirectHint: bearerRedirectHint,
	})
	return rp
}
