package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/example-org/authgate/integration/redis"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// startRedis gives a Redis and what has authgate keep its sessions there, with
// groups read again all the time.
func startRedis(t *testing.T, o redis.Options) (*redis.Server, func(string, stage.Files) string) {
	t.Helper()
	server, err := redis.Start(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	where := fmt.Sprintf("redis: {url: %q}", server.URL)
	if server.CAFile != "" {
		where = fmt.Sprintf("redis: {url: %q, caFile: %q}", server.URL, server.CAFile)
	}
	return server, sessionKeys("store: redis", where, "refreshEvery: 2s", "refreshGrace: 1m")
}

// killedBalancer goes to the other replica when one is gone: what was under way
// there is lost, and nothing else. A dead one refuses the check; one that is slow to
// answer it, for the load is all that this machine can do, is not taken for dead.
const killedBalancer = `global
  maxconn 500
defaults
  mode http
  retries 3
  option redispatch 1
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout check 10s
frontend front
  bind 127.0.0.1:%s
  default_backend authgates
backend authgates
  balance roundrobin
  option httpchk GET /readyz
  default-server check inter 100ms fastinter 50ms fall 1 rise 1
`

// TestUsersStaySignedInWhenAReplicaIsKilled kills one of two replicas under load,
// with both stores.
func TestUsersStaySignedInWhenAReplicaIsKilled(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]func(t *testing.T) func(string, stage.Files) string{
		"cookies": func(*testing.T) func(string, stage.Files) string {
			return sessionKeys("refreshEvery: 2s", "refreshGrace: 1m")
		},
		"redis": func(t *testing.T) func(string, stage.Files) string {
			_, config := startRedis(t, redis.Options{})
			return config
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := set(t, stage.Options{NoAuthgate: true, Config: kept(t), DexRefresh: "{reuseInterval: 30s}"})
			replicas := []*replica{newReplica(t, s, "a"), newReplica(t, s, "b")}
			config := fmt.Sprintf(killedBalancer, port(s.ArgoCD))
			for _, r := range replicas {
				r.start(t)
				config += "  server " + r.name + " " + r.address + "\n"
			}
			startBalancer(t, s, config)
			for _, r := range replicas {
				r.awaitReady(t)
			}
			eventually(t, "the balancer to find a replica", func() bool {
				a, err := visitor.Curl(t.Context(), http.MethodGet, s.ArgoCD+"/healthz")
				return err == nil && a.Status == http.StatusOK
			})
			alice, bob := signedIn(t, s, "alice"), signedIn(t, s, "bob")
			loads := []*load{startLoad(t, s, alice), startReading(t, s, bob)}
			asked := s.Backchannel.TokenRequests()
			awaitRenewals := func() {
				eventually(t, "groups to be read again", func() bool { return s.Backchannel.TokenRequests() >= asked+2 })
				for _, l := range loads {
					l.awaitMore(t, 100)
				}
				asked = s.Backchannel.TokenRequests()
			}
			awaitRenewals()
			if err := replicas[0].process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			awaitRenewals()
			awaitRenewals()
			for _, l := range loads {
				answered, failures := l.stop()
				for _, f := range failures {
					// What the dead one had taken is lost: haproxy says so, or hangs up.
					if !strings.HasSuffix(f, ": 502 Bad Gateway") && !strings.HasSuffix(f, ": EOF") {
						t.Errorf("of %d requests: %s", answered, f)
					}
				}
			}
			for _, v := range []*visitor.Visitor{alice, bob} {
				if a := open(t, v, s.ArgoCD+"/"); a.Status != http.StatusOK || len(a.Hops) != 1 {
					t.Errorf("%s had to go round: %v", v.Login, a.Hops)
				}
			}
		})
	}
}

func TestARedisThatComesAndGoesKeepsUsersSignedIn(t *testing.T) {
	t.Parallel()
	server, config := startRedis(t, redis.Options{Persistent: true})
	s := set(t, stage.Options{NoAuthgate: true, Config: config})
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.StartAuthgate(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "authgate to live", func() bool { return s.Healthy(t.Context()) == nil })
	if a := curl(t, s.ArgoCD+"/readyz"); a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, `"sessions":"down"`) {
		t.Errorf("readiness without Redis: %d %s", a.Status, a.Body)
	}
	a := open(t, arrive(t, s, "alice"), s.ArgoCD+"/oauth2/start?rd=/")
	wantPage(t, a, http.StatusServiceUnavailable, "session store")

	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness", func() bool { return s.Ready(t.Context()) == nil })
	alice := signedIn(t, s, "alice")

	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the outage to be noticed", func() bool {
		up, err := s.Metric(t.Context(), "authgate_session_store_up")
		return err == nil && up == 0
	})
	wantPage(t, open(t, alice, s.ArgoCD+"/"), http.StatusOK, "alice") // known here
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("all targets would leave the load balancer: %v", err)
	}
	stranger := arrive(t, s, "bob")
	wantPage(t, open(t, stranger, s.ArgoCD+"/oauth2/start?rd=/"), http.StatusServiceUnavailable, "session store")
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis to be used again", func() bool {
		up, err := s.Metric(t.Context(), "authgate_session_store_up")
		return err == nil && up == 1
	})
	if a := open(t, alice, s.ArgoCD+"/"); a.Status != http.StatusOK || len(a.Hops) != 1 {
		t.Errorf("after the outage: %d by %v", a.Status, a.Hops)
	}
	signedIn(t, s, "bob")
}

// authgate runs a command of the binary and gives what it prints and its exit code.
func authgate(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binaries.Authgate, args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if complaint.Len() > 0 {
		t.Logf("authgate %s: %s", strings.Join(args, " "), complaint.String())
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestSessionsAreListedAndEndedOnAllReplicas(t *testing.T) {
	t.Parallel()
	_, config := startRedis(t, redis.Options{TLS: true, User: "authgate", Password: "not-shown-either"})
	const token = "0123456789abcdef-not-shown"
	s := set(t, stage.Options{Config: func(yaml string, f stage.Files) string {
		return "adminToken: " + token + "\n" + config(yaml, f)
	}})
	alice, bob, elsewhere := signedIn(t, s, "alice"), signedIn(t, s, "bob"), signedIn(t, s, "alice")

	out, code := authgate(t, "session", "list", "--config", s.Files.Config, "-o", "json")
	var listed struct {
		Sessions []struct {
			ID, Email string
			Groups    []string
		}
	}
	if err := json.Unmarshal([]byte(out), &listed); err != nil || code != 0 || len(listed.Sessions) != 3 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	for _, secret := range append(alice.Secrets(), s.Backchannel.Secrets()...) {
		if strings.Contains(out, secret) {
			t.Error("the list holds a cookie or a token")
		}
	}
	hers := ""
	for _, one := range listed.Sessions {
		if one.Email == "bob@example.com" {
			hers = one.ID
		}
	}
	if out, code = authgate(t, "session", "show", "--config", s.Files.Config, hers); code != 0 || !strings.Contains(out, "bob@example.com") || !strings.Contains(out, "example-org:dev") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code = authgate(t, "session", "revoke", "--config", s.Files.Config, "--user", "unknown@example.com"); code != 1 {
		t.Errorf("sessions of an unknown user: exit %d: %s", code, out)
	}

	events, err := alice.Listen(t.Context(), s.ArgoCD+"/api/v1/stream/applications")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	if _, err := events.Next(); err != nil {
		t.Fatal(err)
	}
	if out, code = authgate(t, "session", "revoke", "--config", s.Files.Config, "--user", "alice@example.com"); code != 0 || !strings.Contains(out, "2") {
		t.Errorf("exit %d: %s", code, out)
	}
	for range 1000 { // the stream ends, whatever was on its way
		if _, err = events.Next(); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("the stream goes on")
	}
	for _, v := range []*visitor.Visitor{alice, elsewhere} {
		eventually(t, "the session to end", func() bool {
			return fetch(t, v, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status == http.StatusUnauthorized
		})
	}
	if got := fetch(t, bob, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status; got != http.StatusOK {
		t.Errorf("bob is out as well: %d", got)
	}

	if a := curl(t, s.Admin+"/sessions"); a.Status != http.StatusUnauthorized {
		t.Errorf("the admin port lists sessions to every client: %d", a.Status)
	}
	bearer := []string{"Authorization", "Bearer " + token}
	if a := curl(t, s.Admin+"/sessions", bearer...); a.Status != http.StatusOK || !strings.Contains(a.Body, hers) || strings.Contains(a.Body, "alice") {
		t.Errorf("the admin port lists %d %s", a.Status, a.Body)
	}
	a, err := visitor.Curl(t.Context(), http.MethodDelete, s.Admin+"/sessions/"+hers, bearer...)
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("%d, %v", a.Status, err)
	}
	eventually(t, "bob's session to end", func() bool {
		return fetch(t, bob, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status == http.StatusUnauthorized
	})
	if log, err := s.Files.ReadLog(); err != nil || strings.Contains(log, token) || strings.Contains(log, "not-shown-either") {
		t.Errorf("the log holds a token or a password: %v", err)
	}
}
