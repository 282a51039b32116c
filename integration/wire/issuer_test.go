package wire_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
)

// issuer lets one person in, who needs no browser: the code of a login is its
// nonce. Logins themselves have their tests in e2e, with a real Dex.
type issuer struct {
	*httptest.Server
	key *rsa.PrivateKey
}

func newIssuer() (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key}
	about := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "1", Algorithm: oidc.RS256}}}
	mux := http.NewServeMux()
	mux.Handle("/", about)
	mux.HandleFunc("POST /token", i.token)
	i.Server = httptest.NewServer(mux)
	about.SetIssuer(i.URL)
	return i, nil
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": i.URL, "aud": "authgate", "sub": "sub-alice", "nonce": r.FormValue("code"),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"email": "alice@example.com", "email_verified": true, "preferred_username": "alice", "groups": []string{"example-org:argo"},
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"token_type":"Bearer","access_token":"unused","expires_in":3600,"id_token":%q}`,
		oidctest.SignIDToken(i.key, "1", oidc.RS256, string(claims)))
}
