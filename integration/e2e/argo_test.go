package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/stage"
)

func TestEachDashboardKnowsTheUserInItsOwnWay(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	for who, want := range map[string]struct{ argocd, workflows string }{
		"alice": {"logged in as alice, role admin, by their own ID token", "logged in as alice, role admin, by ServiceAccount argo-admin"},
		"bob":   {"logged in as bob, role readonly, by their own ID token", "logged in as bob, role viewer, by ServiceAccount argo-viewer"},
	} {
		v := signedIn(t, s, who)
		wantPage(t, open(t, v, s.ArgoCD+"/applications"), http.StatusOK, want.argocd)
		wantPage(t, open(t, v, s.Workflows+"/workflows"), http.StatusOK, want.workflows)
		if a := fetch(t, v, http.MethodGet, s.ArgoCD+"/api/v1/applications"); a.Status != http.StatusOK {
			t.Errorf("%s lists applications: %d %s", who, a.Status, a.Body)
		}
	}
}

// The UI reacts to a 401 by opening the dashboard's own login.
func TestADashboardsOwnLoginReturnsUsersToTheirPage(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := arrive(t, s, "alice")
	a := open(t, alice, s.ArgoCD+"/auth/login?return_url="+s.ArgoCD+"/applications?view=tiles")
	if a.URL.RequestURI() != "/applications?view=tiles" {
		t.Errorf("ended at %s", a.URL)
	}
	wantPage(t, a, http.StatusOK, "logged in as alice")
	a = open(t, alice, s.Workflows+"/login?redirect="+s.Workflows+"/workflows/argo")
	if a.URL.Path != "/workflows/argo" || a.GitHubPrompted {
		t.Errorf("ended at %s, asked %v", a.URL, a.GitHubPrompted)
	}
	wantPage(t, open(t, alice, s.ArgoCD+"/auth/logout"), http.StatusOK, "<form")
}

// An ID token that ends while its session goes on is renewed before Argo CD is
// shown it.
func TestArgoCDIsNeverShownAnIDTokenThatHasEnded(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{DexIDTokens: "8s"})
	alice := signedIn(t, s, "alice")
	asked := s.Backchannel.TokenRequests()
	eventually(t, "the ID token to have ended, and some requests after it", func() bool {
		a := fetch(t, alice, http.MethodGet, s.ArgoCD+"/api/v1/applications")
		if a.Status != http.StatusOK {
			t.Fatalf("Argo CD answers %d: %s", a.Status, a.Body)
		}
		return s.Backchannel.TokenRequests() >= asked+2
	})
}

func TestATokenOfTheIssuerOpensWithoutABrowser(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	idToken, err := s.Token(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	for name, headers := range map[string][]string{
		"curl":                {"Authorization", "Bearer " + idToken},
		"with another header": {"Proxy-Authorization", "Bearer " + idToken},
		"argocd":              {"token", idToken},
	} {
		if a := curl(t, s.ArgoCD+"/api/v1/applications", headers...); a.Status != http.StatusOK || !strings.Contains(a.Body, "guestbook") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := curl(t, s.Workflows+"/api/v1/workflows/argo", "Authorization", "Bearer "+idToken); a.Status != http.StatusOK {
		t.Errorf("argo: %d %s", a.Status, a.Body)
	}
	broken := idToken[:len(idToken)-4] + "AAAA"
	wantProblem(t, curl(t, s.ArgoCD+"/api/v1/applications", "Authorization", "Bearer "+broken), http.StatusUnauthorized)
	wantProblem(t, curl(t, s.ArgoCD+"/api/v1/applications", "token", ""), http.StatusUnauthorized)
}

// The token that Argo CD gets for a user is for Argo CD only: Dex repeats the nonce of
// the login in ID tokens, in those of refreshes and in access tokens.
func TestATokenThatADashboardWasShownOpensNothing(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{DexIDTokens: "3s"})
	alice := signedIn(t, s, "alice")
	asked := s.Backchannel.TokenRequests()
	eventually(t, "the token to be renewed", func() bool {
		fetch(t, alice, http.MethodGet, s.ArgoCD+"/api/v1/applications")
		return s.Backchannel.TokenRequests() >= asked+2
	})
	seen := 0
	for _, token := range s.Backchannel.Secrets() {
		if strings.Count(token, ".") != 2 {
			continue
		}
		seen++
		for name, headers := range map[string][]string{
			"curl": {"Authorization", "Bearer " + token}, "proxy": {"Proxy-Authorization", "Bearer " + token}, "argocd": {"token", token},
		} {
			a := curl(t, s.ArgoCD+"/api/v1/applications", headers...)
			wantProblem(t, a, http.StatusUnauthorized)
			if !strings.Contains(a.Body, `"reason":"login_token"`) && !strings.Contains(a.Body, "expired at") {
				t.Errorf("%s: %s", name, a.Body)
			}
		}
	}
	if seen < 2 {
		t.Errorf("only %d tokens were given", seen)
	}
}

func TestAMissingTokenFileIsAPageAndRecovers(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: func(yaml string, f stage.Files) string {
		return strings.Replace(yaml, "/argo-admin-token", "/late-token", 1)
	}})
	alice := signedIn(t, s, "alice")
	wantPage(t, open(t, alice, s.Workflows+"/"), http.StatusBadGateway, "role:admin", "tokenFile")
	token, err := os.ReadFile(filepath.Join(s.Files.Dir, "argo-admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Files.Dir, "late-token"), token, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token to be found", func() bool {
		return open(t, alice, s.Workflows+"/").Status == http.StatusOK
	})
}
