package dashboards

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Credential determines the user of a request. A refusal has a status and words.
type Credential func(r *http.Request) (as string, refused *Rejection)

// Rejection is how a server rejects a request.
type Rejection struct {
	Status  int
	Message string
}

// IDToken is how argocd-server looks for a token, and where it does: in gRPC's
// metadata, which is the header token, or Grpc-Metadata-Token where a gateway makes
// metadata of headers, even an empty one; in Authorization, where it has three parts;
// in the cookie (server/server.go, getToken). The terminal and extensions read
// nothing but the cookie (util/session/sessionmanager.go, WithAuthMiddleware).
func IDToken(verify func(ctx context.Context, raw string) (name string, err error)) Credential {
	return func(r *http.Request) (string, *Rejection) {
		raw := ""
		if c, err := r.Cookie("argocd.token"); err == nil {
			raw = c.Value
		}
		metadata := "Grpc-Metadata-Token"
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			metadata = "Token"
		}
		if r.URL.Path == "/terminal" || strings.HasPrefix(r.URL.Path, "/extensions/") {
			if raw == "" {
				return "", &Rejection{http.StatusBadRequest, "Auth cookie not found"}
			}
		} else if token, ok := r.Header[metadata]; ok {
			raw = token[0]
		} else if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && strings.Count(bearer, ".") == 2 {
			raw = bearer
		}
		if raw == "" {
			return "", &Rejection{http.StatusUnauthorized, "no session information"}
		}
		name, err := verify(r.Context(), raw)
		if err != nil {
			return "", &Rejection{http.StatusUnauthorized, "invalid session: " + err.Error()}
		}
		return name + ", by their own ID token", nil
	}
}

// ServiceAccounts is argo-server with --auth-mode=client: Authorization and no
// cookie, and the user of a token (server/auth/gatekeeper.go). tokens maps them to
// accounts.
func ServiceAccounts(tokens map[string]string) Credential {
	return ClientAuth(func(_ context.Context, token string) (string, error) {
		if account, ok := tokens[token]; ok {
			return account, nil
		}
		return "", errors.New("token not valid")
	})
}

// ClientAuth is ServiceAccounts where another server is asked whose token it is, as the
// real one leaves that to the API server.
func ClientAuth(accountOf func(ctx context.Context, token string) (account string, err error)) Credential {
	return func(r *http.Request) (string, *Rejection) {
		bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			return "", &Rejection{http.StatusUnauthorized, "token not valid"}
		}
		account, err := accountOf(r.Context(), bearer)
		if err != nil {
			return "", &Rejection{http.StatusUnauthorized, err.Error()}
		}
		return "role " + strings.TrimPrefix(account, "argo-") + ", by ServiceAccount " + account, nil
	}
}

// guarded asks for a credential below some paths.
func guarded(check Credential, h http.Handler, paths ...string) http.Handler {
	if check == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, path := range paths {
			if !strings.HasPrefix(r.URL.Path, path) {
				continue
			}
			if _, refused := check(r); refused != nil {
				refuse(w, refused.Status, 16, refused.Message)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// as is who a request runs as; empty if unknown.
func (check Credential) as(r *http.Request) string {
	if check == nil {
		return ""
	}
	as, _ := check(r)
	return as
}
