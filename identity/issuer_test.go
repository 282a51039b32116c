package identity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity"
)

const (
	clientID     = "authgate"
	clientSecret = "s3cret/with:odd+signs %"
	redirectURI  = "https://argo-cd.example.com/oauth2/callback"
	accessToken  = "the-access-token"
)

// issuer is an OpenID provider that can be bent in every part. It is bent by
// functions that run under its lock, through bend.
type issuer struct {
	url string // what it calls itself

	mu         sync.Mutex
	published  []jose.JSONWebKey
	sign       func(claims []byte) string
	document   func(map[string]any)        // bends the discovery document
	claims     func(map[string]any)        // bends the ID token
	tokens     func(map[string]any)        // bends the token response
	onToken    func()                      // before a token is made
	instead    map[string]http.HandlerFunc // path below the issuer → another answer
	codes      map[string]url.Values       // code → authorization request
	refreshing map[string]string           // refresh token → nonce of its login
	asked      []string                    // paths below the issuer
	authBy     string                      // how the client last authenticated
}

// Generating RSA keys takes longer than all else here.
var (
	rsaKeys = []func() *rsa.PrivateKey{sync.OnceValue(newRSA), sync.OnceValue(newRSA)}
	ecKey   = sync.OnceValue(func() *ecdsa.PrivateKey {
		return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	})
)

func newRSA() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newIssuer(address string) *issuer {
	i := &issuer{url: address, codes: map[string]url.Values{}, instead: map[string]http.HandlerFunc{}}
	i.signWith("one", jose.RS256, rsaKeys[0]())
	return i
}

// bend changes the issuer while it may be answering.
func (i *issuer) bend(f func(*issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(i)
}

// signWith makes the issuer publish and use this key, and no other.
func (i *issuer) signWith(kid string, alg jose.SignatureAlgorithm, key crypto.Signer) {
	i.published = []jose.JSONWebKey{{KeyID: kid, Algorithm: string(alg), Use: "sig", Key: key.Public()}}
	i.sign = signer(kid, alg, key)
}

func signer(kid string, alg jose.SignatureAlgorithm, key any) func([]byte) string {
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	s := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options))
	return func(claims []byte) string { return must(must(s.Sign(claims)).CompactSerialize()) }
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	path, ok := strings.CutPrefix(r.URL.Path, must(url.Parse(i.url)).Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	i.asked = append(i.asked, path)
	if other := i.instead[path]; other != nil {
		other(w, r)
		return
	}
	switch path {
	case "/.well-known/openid-configuration":
		doc := map[string]any{
			"issuer":                                i.url,
			"authorization_endpoint":                i.url + "/auth",
			"token_endpoint":                        i.url + "/token",
			"userinfo_endpoint":                     i.url + "/userinfo",
			"jwks_uri":                              i.url + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		}
		apply(i.document, doc)
		answer(w, http.StatusOK, doc)
	case "/keys":
		answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: i.published})
	case "/token":
		i.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

// token is as strict as a good issuer: a wrong secret, code, verifier or redirect
// URI gets nothing.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if basic {
		i.authBy = "client_secret_basic"
		id, secret = must(url.QueryUnescape(id)), must(url.QueryUnescape(secret)) // RFC 6749, 2.3.1
	} else {
		i.authBy = "client_secret_post"
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if id != clientID || secret != clientSecret {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "no " + secret})
		return
	}
	if r.PostFormValue("grant_type") == "refresh_token" {
		i.refresh(w, r.PostFormValue("refresh_token"))
		return
	}
	request := i.codes[r.PostFormValue("code")]
	delete(i.codes, r.PostFormValue("code"))
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if request == nil || r.PostFormValue("grant_type") != "authorization_code" ||
		request.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]) ||
		request.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	if i.onToken != nil {
		i.onToken()
	}
	i.grant(w, request.Get("nonce"))
}

// refresh honours each token once, as Dex does.
func (i *issuer) refresh(w http.ResponseWriter, token string) {
	nonce, ok := i.refreshing[token]
	if !ok {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "claimed " + token})
		return
	}
	delete(i.refreshing, token)
	i.grant(w, nonce)
}

// grant gives tokens, a new refresh token among them.
func (i *issuer) grant(w http.ResponseWriter, nonce string) {
	now := time.Now()
	claims := map[string]any{
		"iss": i.url, "sub": "CgVhbGljZQ", "aud": clientID, "nonce": nonce,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"email": "alice@example.com", "email_verified": true,
		"name": "Alice", "preferred_username": "alice", "groups": []string{"example-org:argo"},
	}
	apply(i.claims, claims)
	refresh := rand.Text()
	if i.refreshing == nil {
		i.refreshing = map[string]string{}
	}
	i.refreshing[refresh] = nonce
	tokens := map[string]any{"refresh_token": refresh, "access_token": accessToken, "token_type": "Bearer", "id_token": i.sign(must(json.Marshal(claims)))}
	apply(i.tokens, tokens)
	answer(w, http.StatusOK, tokens)
}

func apply(bend func(map[string]any), m map[string]any) {
	if bend != nil {
		bend(m)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(must(json.Marshal(body)))
}

// approve is the person at the browser who follows the URL and says yes. It
// gives the query that the browser comes back with.
func (i *issuer) approve(t *testing.T, there string) url.Values {
	t.Helper()
	u, err := url.Parse(there)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": clientID, "redirect_uri": redirectURI, "code_challenge_method": "S256",
	} {
		if q.Get(name) != want {
			t.Errorf("authorization request: %s is %q, want %q", name, q.Get(name), want)
		}
	}
	code := rand.Text()
	i.bend(func(i *issuer) { i.codes[code] = q })
	return url.Values{"code": {code}, "state": {q.Get("state")}}
}

// login is a whole one.
func (i *issuer) login(t *testing.T, rp *identity.RelyingParty) (identity.Principal, error) {
	t.Helper()
	l, answer := i.halfLogin(t, rp)
	g, err := rp.Finish(t.Context(), l, answer)
	return g.Principal, err
}

// halfLogin stops when the browser is back with the issuer's answer.
func (i *issuer) halfLogin(t *testing.T, rp *identity.RelyingParty) (identity.Login, url.Values) {
	t.Helper()
	l, there, err := rp.Begin(redirectURI, identity.BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return l, i.approve(t, there)
}

// wasAsked counts requests.
func (i *issuer) wasAsked(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(i.asked), func(p string) bool { return p != path }))
}

func config(address string) identity.Config {
	return identity.Config{
		URL: address, ClientID: clientID, ClientSecret: clientSecret,
		Scopes:      []string{"openid", "profile", "email", "groups", "offline_access"},
		GroupsClaim: "groups", ClockSkew: 30 * time.Second,
	}
}

var discard = slog.New(slog.DiscardHandler)

// serve starts an issuer under /dex of a server of its own.
func serve(t *testing.T) *issuer {
	t.Helper()
	i := newIssuer("")
	srv := httptest.NewServer(i)
	t.Cleanup(srv.Close)
	i.bend(func(i *issuer) { i.url = srv.URL + "/dex" })
	return i
}

// party is a relying party that has discovered the issuer.
func party(t *testing.T, cfg identity.Config) *identity.RelyingParty {
	t.Helper()
	rp := identity.New(cfg, discard)
	rp.Look(t.Context())
	if err := rp.Ready(); err != nil {
		t.Fatal(err)
	}
	return rp
}

// memory is a transport that ends in a handler: an issuer without a network, for
// tests that hold the clock.
type memory struct{ http.Handler }

func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Result(), nil
}
