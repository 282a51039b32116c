//go:build unix

package apiserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/argo"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/redis"
	"github.com/example-org/authgate/integration/stage"
)

// prerequisites is what Argo CD needs in addition to the examples.
const prerequisites = `
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, namespace: argocd, labels: {app.kubernetes.io/part-of: argocd}}
---
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default, namespace: argocd}
spec:
  sourceRepos: ["*"]
  destinations: [{server: "*", namespace: "*"}]
`

// guestbook is the application that users sync.
const guestbook = `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: guestbook, namespace: argocd}
spec:
  project: default
  source: {repoURL: "https://github.com/example-org/deploy", path: guestbook, targetRevision: HEAD}
  destination: {server: "https://kubernetes.default.svc", namespace: argocd}
`

// commit is one that needs no look into a repository.
const commit = "4a1f09c4a1f09c4a1f09c4a1f09c4a1f09c4a1f0"

// behindCD is a stage with the real Argo CD behind authgate, set up by the examples,
// and Dex behind Argo CD: the reference deployment.
func behindCD(t *testing.T, rows string) (s *stage.Stage, argocd func(login string, web bool, args ...string) (string, error)) {
	t.Helper()
	port, err := program.ReservePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s = set(t, stage.Options{ArgoCD: "http://127.0.0.1:" + strconv.Itoa(port.Number), Config: func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "hosts: ["+stage.ArgoCDHost+"]", "hosts: ["+stage.ArgoCDHost+", localhost]", 1)
	}})
	rewrite(t, s, rows)
	for _, file := range []string{"argocd-cm.yaml", "argocd-rbac-cm.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "examples", "argo-cd", file))
		if err != nil {
			t.Fatal(err)
		}
		apply(t, strings.ReplaceAll(string(text), "https://argo-cd.example.com", s.ArgoCD))
	}
	apply(t, prerequisites)
	cache, err := redis.Start(t.Context(), t.TempDir(), redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cache.Stop(); err != nil {
			t.Error(err)
		}
	})
	around := argo.Dependencies{Kubeconfig: filepath.Join(s.Files.Dir, "argocd.kubeconfig"), Dex: s.DexAddress(), Redis: hostOf(t, cache.URL)}
	if err := enter(t.Context(), around.Kubeconfig, "argocd", "argocd-server"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	server, err := cd.Serve(t.Context(), dir, around, port)
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "argocd-server.log"))
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "argocd-server.log"))
			t.Logf("argocd-server's log:\n%s", log)
		}
	})
	tokens := map[string]string{"": ""} // anonymous
	_, at, _ := strings.Cut(hostOf(t, s.ArgoCD), ":")
	return s, func(login string, web bool, args ...string) (string, error) {
		t.Helper()
		if _, ok := tokens[login]; !ok {
			if tokens[login], err = s.Token(t.Context(), login); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := cd.Command(ctx, "localhost:"+at, tokens[login], web, args...).CombinedOutput()
		return string(out), err
	}
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

var ways = map[string]bool{"gRPC": false, "gRPC-web": true}

const viewersRPC = `
p, role:viewer, argocd, /application.ApplicationService/Get*, POST, allow
p, role:viewer, argocd, /application.ApplicationService/List*, POST, allow
p, role:viewer, argocd, /cluster.SettingsService/Get, POST, allow
p, system:anonymous, argocd, /version.VersionService/Version, POST, allow
`

func TestTheRealArgoCDCommandWorksThroughAuthgate(t *testing.T) {
	s, argocd := behindCD(t, viewersRPC+"p, role:viewer, argocd, /application.ApplicationService/Sync, POST, allow\n")
	for way, web := range ways {
		t.Run(way, func(t *testing.T) {
			apply(t, guestbook)
			for _, login := range []string{"alice", "bob"} {
				if said, err := argocd(login, web, "app", "list", "-o", "name"); err != nil || !strings.Contains(said, "argocd/guestbook") {
					t.Errorf("%s lists: %v\n%s", login, err, said)
				}
			}
			if said, err := argocd("alice", web, "account", "get-user-info", "-o", "json"); err != nil || !strings.Contains(said, `"example-org:argo"`) {
				t.Errorf("alice is: %v\n%s", err, said)
			}
			if said, err := argocd("alice", web, "app", "sync", "guestbook", "--revision", commit, "--async"); err != nil {
				t.Errorf("alice syncs: %v\n%s", err, said)
			}
			// authgate admits bob, and Argo CD's own RBAC denies.
			if said, err := argocd("bob", web, "app", "sync", "guestbook", "--revision", commit, "--async"); err == nil || !strings.Contains(said, "permission denied: applications, sync, default/guestbook") {
				t.Errorf("bob syncs: %v\n%s", err, said)
			}
			if said, err := argocd("bob", web, "app", "delete", "guestbook", "--yes"); err == nil || !strings.Contains(said, "No rule of the policy lets you do this") {
				t.Errorf("bob deletes: %v\n%s", err, said)
			}
			if said, err := argocd("", web, "app", "list"); err == nil || strings.Contains(said, "guestbook") {
				t.Errorf("an anonymous client lists: %v\n%s", err, said)
			}
		})
	}
	if err := s.FindLeaks(t.Context()); err != nil {
		t.Error(err)
	}
}

// Argo CD knows the user and their groups by the ID token that it is shown, and Dex
// is reached through it.
func TestTheRealArgoCDKnowsWhoComes(t *testing.T) {
	s, _ := behindCD(t, "")
	apply(t, guestbook)
	if said, _ := s.Run(t.Context(), "doctor", "--config", s.Files.Config); !strings.Contains(said, "Argo CD accepts tokens of the client authgate") { // its exit code is for all checks
		t.Errorf("the doctor says:\n%s", said)
	}
	for login, group := range map[string]string{"alice": "example-org:argo", "bob": "example-org:dev"} {
		v := arrive(t, s, login)
		if _, err := v.Open(t.Context(), s.ArgoCD+"/auth/login?return_url="+url.QueryEscape(s.ArgoCD+"/api/version")); err != nil {
			t.Fatal(err)
		}
		a, err := v.Fetch(t.Context(), http.MethodGet, s.ArgoCD+"/api/v1/session/userinfo", "")
		if err != nil {
			t.Fatal(err)
		}
		var who struct {
			LoggedIn bool     `json:"loggedIn"`
			Issuer   string   `json:"iss"`
			Groups   []string `json:"groups"`
		}
		if err := json.Unmarshal([]byte(a.Body), &who); err != nil || !who.LoggedIn || who.Issuer != s.ArgoCD+"/api/dex" || !slices.Contains(who.Groups, group) {
			t.Errorf("%s: %v %d %s", login, err, a.Status, a.Body)
		}
		if a, err = v.Fetch(t.Context(), http.MethodGet, s.ArgoCD+"/api/v1/applications", ""); err != nil || !strings.Contains(a.Body, "guestbook") {
			t.Errorf("%s lists: %v %d %s", login, err, a.Status, a.Body)
		}
	}
	for path, want := range map[string]int{
		"/api/v1/clusters/https%3A%2F%2Fkubernetes.default.svc": http.StatusOK, "/api/v1/applications/guestbook": http.StatusOK,
		"/api/v1/applications/guestbook%2Fsync": http.StatusBadRequest,
	} {
		alice := arrive(t, s, "alice")
		if _, err := alice.Open(t.Context(), s.ArgoCD+"/auth/login"); err != nil {
			t.Fatal(err)
		}
		if a, err := alice.Fetch(t.Context(), http.MethodGet, s.ArgoCD+path, ""); err != nil || a.Status != want {
			t.Errorf("%s: %v %d %s", path, err, a.Status, a.Body)
		}
	}
}
