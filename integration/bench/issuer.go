package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const clientID = "bench"

// issuer signs in whoever comes, so that the sessions which are measured were
// made by authgate. It remembers nothing: a code is the nonce and who asks.
type issuer struct {
	url     string
	key     jose.SigningKey
	server  *http.Server
	serving sync.WaitGroup
}

func newIssuer(ctx context.Context) (*issuer, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i := &issuer{
		url: "http://" + listener.Addr().String(),
		key: jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: "bench"}},
	}
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: "bench", Algorithm: "ES256", Use: "sig"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"issuer": i.url, "authorization_endpoint": i.url + "/auth", "token_endpoint": i.url + "/token", "jwks_uri": i.url + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256"}, "code_challenge_methods_supported": []string{"S256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, public) })
	mux.HandleFunc("POST /token", i.token)
	i.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	i.serving.Go(func() { _ = i.server.Serve(listener) }) // until it is closed
	return i, nil
}

func (i *issuer) close() error {
	err := i.server.Close()
	i.serving.Wait()
	return err
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked has gone
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	nonce, who, _ := strings.Cut(r.PostFormValue("code"), " ")
	claims := map[string]any{
		"iss": i.url, "aud": clientID, "sub": "CgcxMDAwMDAw" + who, "nonce": nonce,
		"iat": time.Now().Unix(), "exp": time.Now().Add(24 * time.Hour).Unix(),
		"email": who + "@example.com", "email_verified": true, "name": who, "preferred_username": who, "groups": groupNames(),
	}
	signer, err := jose.NewSigner(i.key, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]any{"access_token": "unused", "token_type": "Bearer", "expires_in": 3600, "id_token": token})
}

// signIn walks somebody through a login and gives the session cookie, as
// NAME=VALUE.
func (s *scene) signIn(ctx context.Context, c *contender, who string) (string, error) {
	start, err := s.step(ctx, c, "/oauth2/start?rd=/", "")
	if err != nil {
		return "", err
	}
	to, err := url.Parse(start.Header.Get("Location"))
	if err != nil || to.Query().Get("state") == "" {
		return "", fmt.Errorf("signing in: status %d leads to %q", start.StatusCode, to)
	}
	login, _, _ := strings.Cut(start.Header.Get("Set-Cookie"), ";")
	callback := url.Values{"state": {to.Query().Get("state")}, "code": {to.Query().Get("nonce") + " " + who}}
	done, err := s.step(ctx, c, "/oauth2/callback?"+callback.Encode(), login)
	if err != nil {
		return "", err
	}
	for _, cookie := range done.Cookies() {
		if cookie.Name == "__Host-authgate" && cookie.Value != "" {
			return cookie.Name + "=" + cookie.Value, nil
		}
	}
	return "", errors.Join(fmt.Errorf("signing in: status %d brings no session\n%s", done.StatusCode, c.process.Tail(5)))
}

// step makes one request of a login and follows no redirect.
func (s *scene) step(ctx context.Context, c *contender, target, cookie string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+target, nil)
	if err != nil {
		return nil, err
	}
	req.Header, req.Host = browserHeaders(cookie), host
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("signing in: %w", err)
	}
	return res, res.Body.Close()
}
