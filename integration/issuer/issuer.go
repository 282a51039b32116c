// Package issuer knows how to be an OpenID Connect issuer that signs in every user without
// a page. It is for tests and measurements of the request path that need a session; logins
// themselves are tested with a real Dex.
package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
)

// ClientID and ClientSecret are what authgate's configuration says to it.
const (
	ClientID     = "authgate"
	ClientSecret = "not-shown"
)

// Server is an issuer on a port of 127.0.0.1. It remembers nothing: a code is the
// nonce of a login, and who it is for. It is safe for concurrent use.
type Server struct {
	groups []string
	key    *ecdsa.PrivateKey
	http   *httptest.Server
	page   atomic.Pointer[http.HandlerFunc] // what browsers are shown; nil: nothing
}

// Start serves until Close. Every user who signs in is in the groups.
func Start(groups ...string) (*Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the issuer's key: %w", err)
	}
	s := &Server{groups: groups, key: key}
	about := &oidctest.Server{
		PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "1", Algorithm: oidc.ES256}},
		Algorithms: []string{oidc.ES256},
	}
	mux := http.NewServeMux()
	mux.Handle("/", about)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("GET /auth", func(w http.ResponseWriter, r *http.Request) {
		page := s.page.Load()
		if page == nil {
			http.NotFound(w, r)
			return
		}
		(*page)(w, r)
	})
	s.http = httptest.NewServer(mux)
	about.SetIssuer(s.URL())
	return s, nil
}

// URL is the issuer's name.
func (s *Server) URL() string { return s.http.URL }

// SetLoginPage answers the authorization requests of browsers from now on.
func (s *Server) SetLoginPage(page http.HandlerFunc) { s.page.Store(&page) }

// CallbackURL is where an authorization request is answered, with the code of who signs in.
func CallbackURL(asked *http.Request, who string) string {
	q := asked.URL.Query()
	return q.Get("redirect_uri") + "?" + url.Values{"state": {q.Get("state")}, "code": {q.Get("nonce") + " " + who}}.Encode()
}

// Close stops serving and waits for that.
func (s *Server) Close() { s.http.Close() }

// Token is an ID token for an audience.
func (s *Server) Token(audience, nonce, who string) (string, error) {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": s.URL(), "aud": audience, "sub": "sub-" + who, "nonce": nonce, "iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(),
		"email": who + "@example.com", "email_verified": true, "name": who, "preferred_username": who, "groups": s.groups,
	})
	if err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	return oidctest.SignIDToken(s.key, "1", oidc.ES256, string(claims)), nil
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	nonce, who, _ := strings.Cut(r.PostFormValue("code"), " ")
	token, err := s.Token(ClientID, nonce, who)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // who asked may have gone
		"token_type": "Bearer", "access_token": "unused", "expires_in": 3600,
		"id_token": token,
	})
}

// SignIn walks a user through a login at the authgate that serves host on an
// address, and gives the session cookie as NAME=VALUE. Extra headers are what a
// load balancer in front would add, in pairs.
func SignIn(ctx context.Context, address, host, who string, headers ...string) (string, error) {
	step := func(target, cookie string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+target, nil)
		if err != nil {
			return nil, err
		}
		req.Host = host
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		if cookie != "" {
			req.Header.Set("Cookie", cookie)
		}
		req.Close = true
		res, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
		if err != nil {
			return nil, fmt.Errorf("signing in: %w", err)
		}
		return res, res.Body.Close()
	}
	start, err := step("/oauth2/start?rd=/", "")
	if err != nil {
		return "", err
	}
	to, err := url.Parse(start.Header.Get("Location"))
	if err != nil || to.Query().Get("state") == "" {
		return "", fmt.Errorf("signing in: status %d leads nowhere", start.StatusCode)
	}
	begun, _, _ := strings.Cut(start.Header.Get("Set-Cookie"), ";")
	callback := url.Values{"state": {to.Query().Get("state")}, "code": {to.Query().Get("nonce") + " " + who}}
	done, err := step("/oauth2/callback?"+callback.Encode(), begun)
	if err != nil {
		return "", err
	}
	for _, c := range done.Cookies() {
		if c.Value != "" && (c.Name == "authgate" || c.Name == "__Host-authgate") {
			return c.Name + "=" + c.Value, nil
		}
	}
	return "", errors.New("signing in: the callback brings no session, with status " + done.Status)
}
