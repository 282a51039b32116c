package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// renewing has groups read again every second, and old ones last for a while.
func renewing(grace string) func(string, stage.Files) string {
	return sessionKeys("refreshEvery: 1s", "refreshGrace: "+grace)
}

// sessionKeys puts keys under session.
func sessionKeys(lines ...string) func(string, stage.Files) string {
	return func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "session:\n", "session:\n  "+strings.Join(lines, "\n  ")+"\n", 1)
	}
}

type known struct {
	Groups      []string
	Refreshed   time.Time
	StaleSince  *time.Time `json:"stale_since"`
	StaleReason string     `json:"stale_reason"`
}

// userinfo is what authgate knows of a user with a session.
func userinfo(t *testing.T, s *stage.Stage, v *visitor.Visitor) (k known) {
	t.Helper()
	a := fetch(t, v, http.MethodGet, s.ArgoCD+"/oauth2/userinfo")
	if a.Status != http.StatusOK {
		t.Fatalf("userinfo answers %d: %s", a.Status, shown(a))
	}
	if err := json.Unmarshal([]byte(a.Body), &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// awaitRefresh waits until the groups were read after now.
func awaitRefresh(t *testing.T, s *stage.Stage, v *visitor.Visitor) {
	t.Helper()
	after := time.Now()
	eventually(t, "the groups to be read again", func() bool { return userinfo(t, s, v).Refreshed.After(after) })
}

// awaitStale uses a session until authgate says that its groups are old.
func awaitStale(t *testing.T, s *stage.Stage, v *visitor.Visitor) {
	t.Helper()
	eventually(t, "the groups to be stale", func() bool { return userinfo(t, s, v).StaleSince != nil })
}

// awaitRefused uses a session until it is refused for its old groups.
func awaitRefused(t *testing.T, s *stage.Stage, v *visitor.Visitor) {
	t.Helper()
	eventually(t, "the end of the grace", func() bool {
		a := fetch(t, v, http.MethodGet, s.ArgoCD+"/api/v1/applications")
		if a.Status != http.StatusOK && (a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, "groups_stale")) {
			t.Fatalf("within the grace or after it: %d %s", a.Status, shown(a))
		}
		return a.Status == http.StatusServiceUnavailable
	})
}

// wantSilentLogin checks what users see of an expired session: nothing,
// and scripts a problem that they can act on.
func wantSilentLogin(t *testing.T, s *stage.Stage, v *visitor.Visitor, reason string) {
	t.Helper()
	eventually(t, "the session to end", func() bool {
		return fetch(t, v, http.MethodGet, s.ArgoCD+"/api/v1/applications").Status == http.StatusUnauthorized
	})
	a := fetch(t, v, http.MethodGet, s.ArgoCD+"/api/v1/applications")
	wantProblem(t, a, http.StatusUnauthorized)
	if !strings.Contains(a.Body, `"reason":"`+reason+`"`) || !strings.Contains(a.Body, `"login":"/oauth2/start"`) {
		t.Errorf("a script does not learn what to do: %s", a.Body)
	}
	a = open(t, v, s.ArgoCD+"/applications?view=tiles")
	if a.GitHubPrompted || !a.Via("/oauth2/callback") || a.URL.RequestURI() != "/applications?view=tiles" {
		t.Errorf("the login was not silent, or ended elsewhere: asked %v, at %s", a.GitHubPrompted, a.URL)
	}
	wantPage(t, a, http.StatusOK, v.Login)
}

func refreshes(t *testing.T, s *stage.Stage, result string) float64 {
	t.Helper()
	n, err := s.Metric(t.Context(), "authgate_refreshes_total", "result", result)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLosingATeamCountsAtTheNextRefresh(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: renewing("1m")})
	alice := signedIn(t, s, "alice")
	if err := s.GitHub.Join("alice", fakegithub.Team{Org: stage.Org, Name: "Dev", Slug: "dev"}); err != nil {
		t.Fatal(err)
	}
	awaitRefresh(t, s, alice)
	if got := fetch(t, alice, http.MethodPost, s.ArgoCD+guestbook+"/sync").Status; got != http.StatusOK {
		t.Fatalf("alice syncs: %d", got)
	}
	if err := s.GitHub.Leave("alice", stage.Org, "argo"); err != nil {
		t.Fatal(err)
	}
	awaitRefresh(t, s, alice)
	wantProblem(t, fetch(t, alice, http.MethodPost, s.ArgoCD+guestbook+"/sync"), http.StatusForbidden)
	if got := fetch(t, alice, http.MethodGet, s.ArgoCD+"/api/v1/applications").Status; got != http.StatusOK {
		t.Errorf("what the other team may: %d", got)
	}
	if groups := userinfo(t, s, alice).Groups; len(groups) != 1 || groups[0] != "example-org:dev" {
		t.Errorf("groups: %q", groups)
	}
	if refreshes(t, s, "ok") < 2 || refreshes(t, s, "unavailable") != 0 {
		t.Error("the metric does not count what was read")
	}
}

func TestWhoLostTheLastTeamIsOutAfterTheGrace(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: renewing("2s")})
	alice := signedIn(t, s, "alice")
	if err := s.GitHub.LeaveOrg("alice", stage.Org); err != nil { // Dex: HTTP 500, as for everything else
		t.Fatal(err)
	}
	awaitStale(t, s, alice)
	awaitRefused(t, s, alice)
	a := open(t, alice, s.ArgoCD+"/applications?view=tiles")
	wantPage(t, a, http.StatusServiceUnavailable, "identity provider", "/oauth2/start?rd=%2Fapplications%3Fview%3Dtiles")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestAGitHubOutageIsInvisibleWithinTheGrace(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]struct{ begin, end func(*stage.Stage) }{
		"rate limited": {func(s *stage.Stage) { s.GitHub.SetAPIState(fakegithub.RateLimited) }, func(s *stage.Stage) { s.GitHub.SetAPIState(fakegithub.Healthy) }},
		"down":         {func(s *stage.Stage) { s.GitHub.SetAPIState(fakegithub.Outage) }, func(s *stage.Stage) { s.GitHub.SetAPIState(fakegithub.Healthy) }},
		"Dex answers garbage": {func(s *stage.Stage) {
			s.Backchannel.InjectFault(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Welcome to nginx!</html>") })
		}, func(s *stage.Stage) { s.Backchannel.InjectFault(nil) }},
		"Dex never answers": {func(s *stage.Stage) {
			s.Backchannel.InjectFault(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then it is known that the client goes
				<-r.Context().Done()
			})
		}, func(s *stage.Stage) { s.Backchannel.InjectFault(nil); s.Backchannel.CloseConnections() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := set(t, stage.Options{Config: renewing("10m")})
			alice := signedIn(t, s, "alice")
			trouble.begin(s)
			asked := s.Backchannel.TokenRequests()
			eventually(t, "a refresh to be tried", func() bool {
				wantPage(t, open(t, alice, s.ArgoCD+"/"), http.StatusOK, "alice")
				return s.Backchannel.TokenRequests() > asked
			})
			if name != "Dex never answers" { // that one is still waited for
				awaitStale(t, s, alice)
				if why := userinfo(t, s, alice).StaleReason; !strings.Contains(why, "identity provider") {
					t.Errorf("the reason is %q", why)
				}
			}
			wantPage(t, open(t, alice, s.ArgoCD+"/"), http.StatusOK, "alice")
			trouble.end(s)
			eventually(t, "the groups to be fresh again", func() bool {
				return userinfo(t, s, alice).StaleSince == nil && refreshes(t, s, "ok") > 0
			})
		})
	}
}

func TestAGrantTakenBackAtGitHubEndsTheSessionAfterTheGrace(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: renewing("2s")})
	alice := signedIn(t, s, "alice")
	s.GitHub.Revoke("alice")
	awaitStale(t, s, alice)
	awaitRefused(t, s, alice)
	a := open(t, alice, s.ArgoCD+"/oauth2/start?rd=/") // what the page offers
	wantPage(t, a, http.StatusOK, "alice")
}

func TestASecondBrowserCostsTheFirstNoMoreThanASilentLogin(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: renewing("1m")})
	first := signedIn(t, s, "alice")
	signedIn(t, s, "alice") // Dex forgets the first one's refresh token
	wantSilentLogin(t, s, first, "session_expired")
	if refreshes(t, s, "revoked") == 0 || refreshes(t, s, "unavailable") != 0 {
		t.Error("the metric does not tell what happened")
	}
}

func TestARefreshTokenThatHasExpiredCostsASilentLogin(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: renewing("1m"), DexRefresh: "{absoluteLifetime: 2s}"})
	wantSilentLogin(t, s, signedIn(t, s, "alice"), "session_expired")
}

func TestWithinDexesReuseIntervalTheSameTokenComesBackAndIsGood(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: renewing("1m"), DexRefresh: "{reuseInterval: 30s}"})
	alice := signedIn(t, s, "alice")
	awaitRefresh(t, s, alice)
	awaitRefresh(t, s, alice)
	if refreshes(t, s, "ok") < 2 || refreshes(t, s, "unavailable")+refreshes(t, s, "revoked") != 0 {
		t.Error("a refresh failed")
	}
}

func TestADexWithNewKeysAndWithoutItsTokensCostsASilentLogin(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: renewing("10m")})
	alice := signedIn(t, s, "alice")
	if err := s.Dex.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitStale(t, s, alice)
	wantPage(t, open(t, alice, s.ArgoCD+"/"), http.StatusOK, "alice")
	if err := s.StartDex(t.Context()); err != nil { // memory storage
		t.Fatal(err)
	}
	wantSilentLogin(t, s, alice, "session_expired")
	awaitRefresh(t, s, alice)
}

func TestWithoutOfflineAccessASessionLastsAsLongAsItsIDToken(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: func(yaml string, f stage.Files) string {
		return strings.Replace(renewing("1m")(yaml, f), "issuer:\n", "issuer:\n  scopes: [openid, profile, email, groups]\n", 1)
	}, DexIDTokens: "4s"})
	alice := signedIn(t, s, "alice")
	wantSilentLogin(t, s, alice, "no_session") // the browser knows how long it lasts
	if asked := s.Backchannel.TokenRequests(); asked != 2 {
		t.Errorf("%d token requests; want those of two logins", asked)
	}
}

func TestASessionEndsWithItsLifetimeAndWhenIdle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys   []string
		reason string
	}{
		"lifetime": {[]string{"lifetime: 3s", "refreshEvery: 2s"}, "no_session"}, // the browser knows as well
		"idle":     {[]string{"idleTimeout: 2s"}, "session_expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := set(t, stage.Options{Config: sessionKeys(c.keys...)})
			alice := signedIn(t, s, "alice")
			over := time.Now().Add(3 * time.Second)
			eventually(t, "some seconds without a request", func() bool { return time.Now().After(over) })
			wantSilentLogin(t, s, alice, c.reason)
		})
	}
}
