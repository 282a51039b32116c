package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/redis"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// presented gives the upstreams texts and an icon, and a further host.
func presented(yaml string, f stage.Files) string {
	_ = os.WriteFile(filepath.Join(f.Dir, "cd.svg"), []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), 0o600)
	return strings.NewReplacer(
		"kind: argo-cd", "kind: argo-cd\n    title: Argo CD\n    description: Deploys applications.\n    icon: cd.svg\n    home: /applications",
		"hosts: [workflows", "hosts: [further.localhost, workflows",
	).Replace(yaml)
}

func TestThePortalShowsEachDashboardOnce(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: presented})
	v := arrive(t, s, "bob")
	a := open(t, v, s.ArgoCD+"/oauth2/") // through the login, and back to the portal
	wantPage(t, a, http.StatusOK, "Argo CD", "Deploys applications.", `src="data:image/svg`, "role:viewer", "Read my groups again")
	if a.URL.Path != "/oauth2/" || !a.Via("/oauth2/callback") {
		t.Errorf("ended at %s", a.URL)
	}
	for _, link := range []string{`href="` + s.ArgoCD + `/applications"`, `/workflows"`} {
		if n := strings.Count(a.Body, link); n > 1 {
			t.Errorf("%s is there %d times", link, n)
		}
	}
	if strings.Count(a.Body, "<span>workflows</span>") != 1 {
		t.Errorf("the workflows are not there once: %s", shown(a))
	}
	stranger := arrive(t, s, "carol")
	if a := open(t, stranger, s.ArgoCD+"/oauth2/"); a.Status == http.StatusOK && strings.Contains(a.Body, `<ul class="tiles">`) {
		t.Errorf("a user without rights sees tiles: %s", shown(a))
	}
}

func TestAUserReadsTheirGroupsAgainAtOnce(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	bob := signedIn(t, s, "bob")
	wantProblem(t, fetch(t, bob, http.MethodPost, s.ArgoCD+guestbook+"/sync"), http.StatusForbidden)
	if err := s.GitHub.Join("bob", fakegithub.Team{Org: stage.Org, Name: "Argo", Slug: "argo"}); err != nil {
		t.Fatal(err)
	}
	a := submit(t, bob, s.ArgoCD+"/oauth2/refresh", nil)
	wantPage(t, a, http.StatusOK, "example-org:argo")
	if a.URL.Path != "/oauth2/" {
		t.Errorf("ended at %s", a.URL)
	}
	if got := fetch(t, bob, http.MethodPost, s.ArgoCD+guestbook+"/sync").Status; got != http.StatusOK {
		t.Errorf("with the new group: %d", got)
	}
	wantPage(t, submit(t, bob, s.ArgoCD+"/oauth2/refresh", nil), http.StatusTooManyRequests, "10 seconds")
	wantProblem(t, fetch(t, bob, http.MethodGet, s.ArgoCD+"/oauth2/refresh"), http.StatusMethodNotAllowed)
}

func TestAnUpstreamUnderMaintenanceIsClosedAndTheRestIsNot(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "kind: argo-workflows", "kind: argo-workflows\n    maintenance: Workflows are being upgraded until 14:00 UTC.", 1)
	}})
	const text = "Workflows are being upgraded until 14:00 UTC."
	a := open(t, arrive(t, s, "alice"), s.Workflows+"/workflows")
	wantPage(t, a, http.StatusServiceUnavailable, text)
	if a.Header.Get("Retry-After") != "60" || len(a.Hops) != 1 {
		t.Errorf("Retry-After %q after %d requests", a.Header.Get("Retry-After"), len(a.Hops))
	}
	program := curl(t, s.Workflows+"/api/v1/version")
	wantProblem(t, program, http.StatusServiceUnavailable)
	if !strings.Contains(program.Body, text) || program.Header.Get("Retry-After") != "60" {
		t.Errorf("%q %s", program.Header, program.Body)
	}
	if got := curl(t, s.Workflows+"/healthz").Status; got != http.StatusOK {
		t.Errorf("health: %d", got)
	}
	alice := signedIn(t, s, "alice")
	wantPage(t, open(t, alice, s.Workflows+"/oauth2/"), http.StatusOK, text)
	n, err := s.Metric(t.Context(), "authgate_requests_total", "upstream", "workflows", "decision", "refuse", "code", "503")
	if err != nil || n < 2 {
		t.Errorf("%v refusals are counted, %v", n, err)
	}
}

func TestAPageComesFirstWithoutAutoRedirect(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "issuer:\n", "issuer:\n  autoRedirect: false\n", 1)
	}})
	alice := arrive(t, s, "alice")
	a := open(t, alice, s.ArgoCD+"/applications?view=tiles")
	wantPage(t, a, http.StatusOK, "Sign in with "+strings.TrimPrefix(s.ArgoCD, "http://"))
	if a.URL.Path != "/oauth2/start" || a.GitHubPrompted {
		t.Errorf("ended at %s", a.URL)
	}
	_, link, _ := strings.Cut(a.Body, `<a href="/oauth2/start?`)
	link, _, _ = strings.Cut(link, `"`)
	a = open(t, alice, s.ArgoCD+"/oauth2/start?"+strings.ReplaceAll(link, "&amp;", "&"))
	wantPage(t, a, http.StatusOK, "alice")
	if a.URL.RequestURI() != "/applications?view=tiles" {
		t.Errorf("ended at %s", a.URL)
	}
}

func TestSigningOutEverywhereEndsTheSessionsOfOtherBrowsers(t *testing.T) {
	t.Parallel()
	_, config := startRedis(t, redis.Options{})
	s := set(t, stage.Options{Config: config})
	here, there := signedIn(t, s, "alice"), signedIn(t, s, "alice")
	bob := signedIn(t, s, "bob")
	wantPage(t, open(t, here, s.ArgoCD+"/oauth2/"), http.StatusOK, "Sign out everywhere")
	wantPage(t, open(t, here, s.ArgoCD+"/oauth2/sign_out?everywhere=1"), http.StatusOK, `name="everywhere" value="1"`)
	submit(t, here, s.ArgoCD+"/oauth2/sign_out", url.Values{"everywhere": {"1"}})
	for what, v := range map[string]*visitor.Visitor{"this browser": here, "the other browser": there} {
		if got := fetch(t, v, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status; got != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, got)
		}
	}
	if got := fetch(t, bob, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status; got != http.StatusOK {
		t.Errorf("another user: %d", got)
	}
}
