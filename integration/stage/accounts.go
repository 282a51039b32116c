package stage

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/coreos/go-oidc/v3/oidc"
)

// newAccounts gives each ServiceAccount a token, as Kubernetes would.
func newAccounts() map[string]string {
	tokens := make(map[string]string)
	for _, account := range []string{"argo-admin", "argo-viewer"} {
		tokens["header."+rand.Text()+rand.Text()+".signature"] = account
	}
	return tokens
}

// verifier checks ID tokens as argocd-server does with oidc.config: by the keys of
// Dex, which it finds inside the cluster, for an audience of allowedAudiences.
func (s *Stage) verifier(dexURL string) func(ctx context.Context, raw string) (string, error) {
	keys := oidc.NewRemoteKeySet(context.Background(), dexURL+"/api/dex/keys")
	verify := oidc.NewVerifier(s.ArgoCD+"/api/dex", keys, &oidc.Config{ClientID: dexClient})
	return func(ctx context.Context, raw string) (string, error) {
		token, err := verify.Verify(ctx, raw)
		if err != nil {
			return "", fmt.Errorf("verifying: %w", err)
		}
		var claims struct {
			Groups []string `json:"groups"`
		}
		if err := token.Claims(&claims); err != nil {
			return "", fmt.Errorf("reading claims: %w", err)
		}
		for _, group := range claims.Groups {
			if group == Org+":argo" { // its own argocd-rbac-cm: g, example-org:argo, role:admin
				return "role admin", nil
			}
		}
		return "role readonly", nil
	}
}
