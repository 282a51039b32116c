package clilogin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity/clilogin"
)

const (
	issuerURL = "https://dex.example.com/dex"
	clientID  = "authgate-cli"
)

// issuer is an OpenID provider without a network, which can be bent. It honours a
// refresh token once, as Dex does.
type issuer struct {
	now func() time.Time

	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	lifetime time.Duration
	document func(map[string]any)
	claims   func(map[string]any)
	tokens   func(map[string]any)
	instead  map[string]http.HandlerFunc
	asked    map[string]int // grant type, or path

	codes   map[string]url.Values
	refresh map[string]string // refresh token → nonce
	pending int               // polls of the device until it is let in
	secret  string
}

func newIssuer(now func() time.Time) *issuer {
	return &issuer{
		now: now, key: key(), lifetime: time.Hour, instead: map[string]http.HandlerFunc{}, asked: map[string]int{},
		codes: map[string]url.Values{}, refresh: map[string]string{},
	}
}

var key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (i *issuer) bend(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *issuer) count(what string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[what]
}

// RoundTrip makes the issuer a transport.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	i.serve(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/dex")
	i.asked[path]++
	if other := i.instead[path]; other != nil {
		other(w, r)
		return
	}
	switch path {
	case "/.well-known/openid-configuration":
		doc := map[string]any{
			"issuer": issuerURL, "authorization_endpoint": issuerURL + "/auth", "token_endpoint": issuerURL + "/token",
			"jwks_uri": issuerURL + "/keys", "device_authorization_endpoint": issuerURL + "/device/code",
			"id_token_signing_alg_values_supported": []string{"ES256", "HS256"},
		}
		apply(i.document, doc)
		answer(w, http.StatusOK, doc)
	case "/keys":
		answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "one", Algorithm: "ES256", Use: "sig", Key: key().Public()}}})
	case "/device/code":
		i.codes["device"] = url.Values{"code_challenge": {r.PostFormValue("code_challenge")}}
		answer(w, http.StatusOK, map[string]any{
			"device_code": "device", "user_code": "WDJB-MJHT", "verification_uri": issuerURL + "/device",
			"verification_uri_complete": issuerURL + "/device?user_code=WDJB-MJHT", "expires_in": 300, "interval": 5,
		})
	case "/token":
		i.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	_, secret, basic := r.BasicAuth()
	if !basic {
		secret = r.PostFormValue("client_secret")
	}
	if secret != i.secret || basic != (i.secret != "") {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "no " + secret})
		return
	}
	grant := r.PostFormValue("grant_type")
	i.asked[grant]++
	var nonce string
	switch grant {
	case "refresh_token":
		spent := r.PostFormValue("refresh_token")
		was, ok := i.refresh[spent]
		if delete(i.refresh, spent); !ok {
			answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "claimed " + spent})
			return
		}
		nonce = was
	case "urn:ietf:params:oauth:grant-type:device_code":
		if i.pending--; i.pending >= 0 {
			answer(w, http.StatusUnauthorized, map[string]string{"error": "authorization_pending"})
			return
		}
		if !i.proves(r, "device_code") {
			answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
			return
		}
	default:
		if !i.proves(r, "code") {
			answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
			return
		}
		nonce = i.codes[r.PostFormValue("code")].Get("nonce")
		delete(i.codes, r.PostFormValue("code"))
	}
	i.give(w, nonce)
}

func (i *issuer) proves(r *http.Request, name string) bool {
	request, ok := i.codes[r.PostFormValue(name)]
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	return ok && request.Get("redirect_uri") == r.PostFormValue("redirect_uri") &&
		request.Get("code_challenge") == base64.RawURLEncoding.EncodeToString(challenge[:])
}

func (i *issuer) give(w http.ResponseWriter, nonce string) {
	claims := map[string]any{
		"iss": issuerURL, "sub": "CgVhbGljZQ", "aud": clientID, "iat": i.now().Unix(), "exp": i.now().Add(i.lifetime).Unix(),
		"jti": rand.Text(), "email": "alice@example.com",
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	apply(i.claims, claims)
	refresh := rand.Text()
	i.refresh[refresh] = nonce
	tokens := map[string]any{"refresh_token": refresh, "access_token": "access", "token_type": "Bearer", "id_token": sign(i.key, jose.ES256, claims)}
	apply(i.tokens, tokens)
	answer(w, http.StatusOK, tokens)
}

func sign(key any, alg jose.SignatureAlgorithm, claims any) string {
	s := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "one")))
	return must(must(s.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

func apply(bend func(map[string]any), m map[string]any) {
	if bend != nil {
		bend(m)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(must(json.Marshal(body)))
}

// approve is the person who says yes at the issuer: it gives the address to which
// the browser comes back.
func (i *issuer) approve(there string) string {
	q := must(url.Parse(there)).Query()
	code := rand.Text()
	i.bend(func() { i.codes[code] = q })
	return q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
}

// desk is a person at a terminal: a clock, a folder, and what was said.
type desk struct {
	t      *testing.T
	issuer *issuer
	cfg    clilogin.Config

	mu    sync.Mutex
	clock time.Time
	said  []string
	pages []string // that the browser showed
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, clock: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	d.issuer = newIssuer(d.now)
	d.cfg = clilogin.Config{
		Issuer: issuerURL, ClientID: clientID, Scopes: []string{"groups", "offline_access"}, Dir: t.TempDir() + "/authgate/tokens",
		Now: d.now, Transport: d.issuer, Printf: d.say,
		OpenURL: func(there string) error { return d.visit(d.issuer.approve(there)) },
	}
	return d
}

func (d *desk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock
}

func (d *desk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = d.clock.Add(by)
}

func (d *desk) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, fmt.Sprintf(format, args...))
}

func (d *desk) heard() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.said, "\n")
}

// visit is the browser.
func (d *desk) visit(address string) error {
	status, body, err := get(address, "")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pages = append(d.pages, fmt.Sprint(status, " ", body))
	return err
}

func get(address, host string) (int, string, error) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = host
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// token is one run of the command.
func (d *desk) token(bend ...func(*clilogin.Config)) (clilogin.Token, error) {
	d.t.Helper()
	cfg := d.cfg
	for _, b := range bend {
		b(&cfg)
	}
	c, err := clilogin.New(cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	return c.Token(d.t.Context())
}

func (d *desk) mustToken(bend ...func(*clilogin.Config)) clilogin.Token {
	d.t.Helper()
	token, err := d.token(bend...)
	if err != nil {
		d.t.Fatal(err)
	}
	return token
}

// asked wants numbers of logins and refreshes.
func (d *desk) asked(logins, refreshes int) {
	d.t.Helper()
	if l, r := d.issuer.count("authorization_code"), d.issuer.count("refresh_token"); l != logins || r != refreshes {
		d.t.Errorf("%d logins and %d refreshes, want %d and %d; said:\n%s", l, r, logins, refreshes, d.heard())
	}
}
