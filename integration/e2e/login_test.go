package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/stage"
)

const guestbook = "/api/v1/applications/guestbook"

func TestOneLoginOpensBothDashboards(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := arrive(t, s, "alice")

	a := open(t, alice, s.ArgoCD+"/applications?view=tiles")
	wantPage(t, a, http.StatusOK, "alice", "example-org:argo")
	if !a.GitHubPrompted || !a.Via("/oauth2/start") || !a.Via("/api/dex/auth") || !a.Via("/oauth2/callback") {
		t.Errorf("the login took another way: %v", a.Hops)
	}
	if got := a.URL.RequestURI(); got != "/applications?view=tiles" {
		t.Errorf("the login ended at %q", got)
	}
	a = open(t, alice, s.Workflows+"/")
	wantPage(t, a, http.StatusOK, "alice")
	if a.GitHubPrompted {
		t.Error("the second dashboard asked at GitHub again")
	}
	if a = open(t, alice, s.ArgoCD+"/"); len(a.Hops) != 1 {
		t.Errorf("signed in, but sent round again: %v", a.Hops)
	}
}

func TestTeamDecidesWhatAPersonMayDo(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	for _, c := range []struct {
		login                   string
		page, list, sync, flows int
	}{
		{"alice", 200, 200, 200, 200},
		{"bob", 200, 200, 403, 200},
		{"carol", 403, 403, 403, 403},
	} {
		v := signedIn(t, s, c.login)
		if got := open(t, v, s.ArgoCD+"/").Status; got != c.page {
			t.Errorf("%s opens the page: %d, want %d", c.login, got, c.page)
		}
		if got := fetch(t, v, http.MethodGet, s.ArgoCD+"/api/v1/applications").Status; got != c.list {
			t.Errorf("%s lists applications: %d, want %d", c.login, got, c.list)
		}
		sync := fetch(t, v, http.MethodPost, s.ArgoCD+guestbook+"/sync")
		if sync.Status != c.sync {
			t.Errorf("%s syncs: %d, want %d", c.login, sync.Status, c.sync)
		}
		if c.sync == http.StatusForbidden {
			wantProblem(t, sync, http.StatusForbidden)
		}
		if a := open(t, v, s.Workflows+"/"); a.Status != c.flows {
			t.Errorf("%s opens Workflows: %d, want %d: %s", c.login, a.Status, c.flows, shown(a))
		}
	}
}

func TestDeniedBrowserSeesItsGroupsAndWhichGetIn(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	carol := signedIn(t, s, "carol")
	wantPage(t, open(t, carol, s.ArgoCD+"/"), http.StatusForbidden,
		"carol", "no groups", "example-org:argo", "example-org:dev")

	bob := signedIn(t, s, "bob")
	a := open(t, bob, s.ArgoCD+"/settings")
	wantPage(t, a, http.StatusForbidden, "example-org:dev", "example-org:argo")
}

func TestUnauthenticatedClientsGetJSONUnlessABrowserNavigates(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	a := curl(t, s.ArgoCD+"/api/v1/applications")
	wantProblem(t, a, http.StatusUnauthorized)
	if a.Header.Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}
	wantProblem(t, fetch(t, arrive(t, s, "alice"), http.MethodGet, s.ArgoCD+"/api/v1/applications"), http.StatusUnauthorized)
	wantProblem(t, curl(t, s.ArgoCD+"/oauth2/userinfo"), http.StatusUnauthorized)
	wantProblem(t, curl(t, s.ArgoCD+"/", "Host", "other.example.com"), http.StatusMisdirectedRequest)
}

func TestUserinfoShowsThePersonTheGroupsAndTheRoles(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	a := fetch(t, signedIn(t, s, "alice"), http.MethodGet, s.ArgoCD+"/oauth2/userinfo")
	var said map[string]any
	if err := json.Unmarshal([]byte(a.Body), &said); err != nil {
		t.Fatalf("%v in %s", err, shown(a))
	}
	for _, want := range []string{"alice@example.com", "example-org:argo", "role:admin", "role:viewer", s.ArgoCD + "/api/dex"} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("userinfo does not say %q: %s", want, shown(a))
		}
	}
}

// What anonymous clients may open, users may too: the style sheet, and Dex
// on Argo CD's host, where each further dashboard's login passes through.
func TestAnonymousRowsAlsoApplyToSignedInUsers(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	bob := signedIn(t, s, "bob")
	for _, path := range []string{"/assets/dashboard.css", "/api/dex/.well-known/openid-configuration"} {
		if a := fetch(t, bob, http.MethodGet, s.ArgoCD+path); a.Status != http.StatusOK {
			t.Errorf("bob gets %s: %d", path, a.Status)
		}
		if a := curl(t, s.ArgoCD+path); a.Status != http.StatusOK {
			t.Errorf("an anonymous client gets %s: %d", path, a.Status)
		}
	}
}

func TestWhoLeftTheTeamIsOutAfterTheNextLogin(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := signedIn(t, s, "alice")
	if err := s.GitHub.Leave("alice", stage.Org, "argo"); err != nil {
		t.Fatal(err)
	}
	signOut(t, s, alice)

	a := open(t, alice, s.ArgoCD+"/")
	wantPage(t, a, http.StatusForbidden, "no groups")
	if !a.Via("/oauth2/callback") {
		t.Error("there was no new login")
	}
}

func TestSignOutNeedsAButtonAndEndsTheSession(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := signedIn(t, s, "alice")
	wantPage(t, open(t, alice, s.ArgoCD+"/oauth2/sign_out"), http.StatusOK, "<form")
	if got := fetch(t, alice, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status; got != http.StatusOK {
		t.Errorf("looking at the page already signed out: %d", got)
	}
	signOut(t, s, alice)
	wantProblem(t, fetch(t, alice, http.MethodGet, s.ArgoCD+"/api/v1/applications"), http.StatusUnauthorized)
}

// Dex answers 500 to users it does not let in, and argocd-server sends them to
// its own /login, on a host that authgate guards: without the anonymous row for
// /login the browser would go round and round.
func TestWhoDexRefusesSeesAPageAndNoLoop(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	if err := s.GitHub.LeaveOrg("carol", stage.Org); err != nil {
		t.Fatal(err)
	}
	wantPage(t, open(t, arrive(t, s, "carol"), s.ArgoCD+"/"), http.StatusForbidden, "did not let you sign in", "Start again")
	wantPage(t, open(t, arrive(t, s, ""), s.ArgoCD+"/"), http.StatusForbidden, "did not let you sign in", "Start again")
}

func TestRedirectTargetOfAnotherSiteIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	for _, rd := range []string{
		"https://evil.example.com/", "//evil.example.com/", "/\\evil.example.com", "%2F%2Fevil.example.com", "javascript:alert(1)",
	} {
		v := arrive(t, s, "alice")
		a := open(t, v, s.ArgoCD+"/oauth2/start?rd="+rd)
		if a.URL.Host != strings.TrimPrefix(s.ArgoCD, "http://") {
			t.Errorf("rd=%s led to %s", rd, a.URL)
		}
	}
}

func TestDashboardSeesNothingThatTheClientSaidAboutItself(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	bob := signedIn(t, s, "bob")
	var lies []string
	for _, name := range []string{
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
		"X-Auth-Request-User", "X-Auth-Request-Groups", "Remote-User", "X-Remote-User", "X-Webauth-User",
		"X_Forwarded_User", "X-Forwarded-Host", "X-Real-Ip", "Impersonate-User", "X-Http-Method-Override", "Grpc-Metadata-Token",
	} {
		lies = append(lies, name, "mallory")
	}
	for who, ask := range map[string]func(){
		"bob":       func() { fetch(t, bob, http.MethodGet, s.ArgoCD+"/api/v1/session/userinfo", lies...) },
		"anonymous": func() { curl(t, s.ArgoCD+"/assets/dashboard.css", lies...) },
	} {
		ask()
		saw := s.LastArgoCDHeader()
		for name, values := range saw {
			if strings.Contains(strings.Join(values, ","), "mallory") {
				t.Errorf("asked by %s, the dashboard sees %s: %q", who, name, values)
			}
			if name == "Cookie" && strings.Contains(strings.Join(values, ";"), "authgate") {
				t.Errorf("asked by %s, the dashboard sees the session: %q", who, values)
			}
		}
		if who == "bob" && (saw.Get("X-Forwarded-Email") != "bob@example.com" || saw.Get("X-Forwarded-Groups") != "example-org:dev") {
			t.Errorf("the dashboard gets %q", saw)
		}
	}
}
