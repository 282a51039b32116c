//go:build unix

package kube_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/dashboards"
	"github.com/example-org/authgate/integration/kube"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// cluster is an API server that all tests share, with Argo Workflows' namespace,
// authgate's own account, and no right of anybody's. A test that gives rights takes
// them away again, and so they run one after another.
var (
	cluster  *kube.Server
	binaries stage.Binaries
	rbac     string // examples/argo-workflows/rbac.yaml
)

const namespaces = `
apiVersion: v1
kind: Namespace
metadata: {name: argo}
---
apiVersion: v1
kind: Namespace
metadata: {name: argocd}
---
apiVersion: v1
kind: Namespace
metadata: {name: authgate}
---
apiVersion: v1
kind: Namespace
metadata: {name: login}
---
apiVersion: v1
kind: Namespace
metadata: {name: edge}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: authgate, namespace: authgate}
`

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "kube-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir) // a temporary folder
		ctx := context.Background()
		server := filepath.Join(dir, "kube-apiserver")
		if err := kube.Build(ctx, server, os.Stderr); err != nil {
			panic(err)
		}
		if binaries, err = stage.Build(ctx, dir, true, os.Stderr); err != nil {
			panic(err)
		}
		if cluster, err = kube.Start(ctx, server, dir); err != nil {
			panic(err)
		}
		defer func() {
			if err := cluster.Stop(); err != nil {
				panic(err)
			}
		}()
		text, err := os.ReadFile("../../examples/argo-workflows/rbac.yaml")
		if err != nil {
			panic(err)
		}
		rbac = string(text)
		if err := cluster.Apply(ctx, namespaces); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// set is a stage whose authgate asks the cluster for tokens, as the pod that the
// chart makes does, and whose Argo Workflows asks it whose they are.
func set(t *testing.T, config func(yaml string) string) *stage.Stage {
	t.Helper()
	own, err := cluster.Token(t.Context(), "authgate", "authgate")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := cluster.Kubeconfig(kubeconfig, own); err != nil {
		t.Fatal(err)
	}
	s, err := stage.Set(t.Context(), slog.New(slog.DiscardHandler), stage.Options{
		Dir: dir, Dex: binaries.Dex, Authgate: binaries.Authgate, Env: []string{"KUBECONFIG=" + kubeconfig},
		Accounts: dashboards.Client(func(ctx context.Context, token string) (string, error) {
			name, err := cluster.WhoIs(ctx, token)
			return strings.TrimPrefix(name, "system:serviceaccount:argo:"), err
		}),
		Config: func(yaml string, f stage.Files) string {
			for _, account := range []string{"argo-admin", "argo-viewer"} {
				yaml = strings.Replace(yaml, "tokenFile: "+f.Dir+"/"+account+"-token", "namespace: argo, name: "+account, 1)
			}
			if config != nil {
				yaml = config(yaml)
			}
			return yaml
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Leaks(context.Background()); err != nil { // the test's own context has ended
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if log, err := s.Files.ReadLog(); err != nil || t.Failed() || strings.Contains(log, "DATA RACE") {
			t.Errorf("%v, authgate's log:\n%s", err, log)
		}
	})
	return s
}

// apply gives what the manifests say until the test ends.
func apply(t *testing.T, manifests string) {
	t.Helper()
	if err := cluster.Apply(t.Context(), manifests); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Delete(context.Background(), manifests); err != nil { // the test's own context has ended
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// page is what somebody sees on Argo Workflows.
func page(t *testing.T, s *stage.Stage, v *visitor.Visitor) visitor.Answer {
	t.Helper()
	a, err := v.Open(t.Context(), s.Workflows+"/workflows")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func arrive(t *testing.T, s *stage.Stage, login string) *visitor.Visitor {
	t.Helper()
	v, err := s.Visitor(login)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheRoleOfTheExampleIsEnough(t *testing.T) {
	apply(t, rbac)
	s := set(t, nil)
	for login, want := range map[string]string{
		"alice": "logged in as alice, role admin, by ServiceAccount argo-admin",
		"bob":   "logged in as bob, role viewer, by ServiceAccount argo-viewer",
	} {
		v := arrive(t, s, login)
		if a := page(t, s, v); a.Status != http.StatusOK || !strings.Contains(a.Body, want) {
			t.Errorf("%s: %d, want %q in %s", login, a.Status, want, a.Body)
		}
		if a, err := v.Fetch(t.Context(), http.MethodGet, s.Workflows+"/api/v1/workflows/argo", ""); err != nil || a.Status != http.StatusOK {
			t.Errorf("%s lists: %v %d %s", login, err, a.Status, a.Body)
		}
	}
}

// The right is for two accounts by name, and for nothing else.
func TestTheRoleOfTheExampleIsNotTooMuch(t *testing.T) {
	apply(t, rbac)
	apply(t, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: root, namespace: argo}\n")
	s := set(t, func(yaml string) string { return strings.Replace(yaml, "name: argo-admin}", "name: root}", 1) })
	a := page(t, s, arrive(t, s, "alice"))
	if a.Status != http.StatusBadGateway || !strings.Contains(a.Body, "resourceNames [root]") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := page(t, s, arrive(t, s, "bob")); a.Status != http.StatusOK {
		t.Errorf("the other account's people suffer: %d %s", a.Status, a.Body)
	}
}

func TestWithoutTheRoleAPageNamesItAndItMendsItself(t *testing.T) {
	s := set(t, nil) // a start without any right
	alice := arrive(t, s, "alice")
	a := page(t, s, alice)
	if a.Status != http.StatusBadGateway || !strings.Contains(a.Body, "create on serviceaccounts/token") || !strings.Contains(a.Body, "namespace argo") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a, err := alice.Open(t.Context(), s.ArgoCD+"/applications"); err != nil || a.Status != http.StatusOK {
		t.Errorf("Argo CD suffers: %v %d", err, a.Status)
	}
	role := rbac[strings.Index(rbac, "# The chart makes"):]
	apply(t, role)
	eventually(t, "the page to ask for the account", func() bool {
		a := page(t, s, alice)
		return a.Status == http.StatusBadGateway && strings.Contains(a.Body, "Create ServiceAccount argo-admin")
	})
	apply(t, strings.TrimSuffix(rbac, role))
	eventually(t, "the page to open", func() bool { return page(t, s, alice).Status == http.StatusOK })
}

func TestDoctorSaysWhetherTokensCanBeHad(t *testing.T) {
	s := set(t, nil)
	find := func() string {
		out, err := s.Run(t.Context(), "doctor", "--config", s.Files.Config)
		t.Logf("%v\n%s", err, out)
		return out
	}
	if out := find(); !strings.Contains(out, "create on serviceaccounts/token with resourceNames [argo-admin]") {
		t.Error("the missing Role is not named")
	}
	apply(t, rbac)
	if out := find(); strings.Contains(out, "serviceaccounts/token") {
		t.Error("it still complains")
	}
}

// A pod shows its own token, asked for with authgate's audience.
func TestAPodsTokenOpensWithoutAnybodysLogin(t *testing.T) {
	apply(t, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: reporter, namespace: argo}\n")
	apply(t, rbac)
	s := set(t, func(yaml string) string {
		return yaml + fmt.Sprintf("bearer:\n  - issuer: %s\n    audience: authgate\n    require: {sub: [\"system:serviceaccount:argo:reporter\"]}\n    groups: [\"pod:{sub}\"]\n", cluster.Issuer)
	})
	policy, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Files.WritePolicy(policy + "g, pod:system%3Aserviceaccount%3Aargo%3Areporter, role:viewer\n"); err != nil {
		t.Fatal(err)
	}
	list := func(account string, audiences ...string) visitor.Answer {
		token, err := cluster.Token(t.Context(), "argo", account, audiences...)
		if err != nil {
			t.Fatal(err)
		}
		a, err := visitor.Curl(t.Context(), http.MethodGet, s.Workflows+"/api/v1/workflows/argo", "Authorization", "Bearer "+token)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	eventually(t, "the pod to be let in", func() bool { return list("reporter", "authgate").Status == http.StatusOK })
	if a := list("reporter"); a.Status != http.StatusUnauthorized {
		t.Errorf("a token for the API server itself: %d", a.Status)
	}
	if a := list("argo-viewer", "authgate"); a.Status != http.StatusUnauthorized {
		t.Errorf("another account: %d", a.Status)
	}
}

// Every manifest that somebody copies, or the chart makes, is one that a server
// takes, each field of it.
func TestAnAPIServerTakesEveryManifest(t *testing.T) {
	if err := cluster.Check(t.Context(), "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: odd, namespace: argo}\nautomount: true\n"); err == nil {
		t.Fatal("the check finds no fault in a field that there is not")
	}
	var files []string
	for _, pattern := range []string{"../../examples/argo-cd/argocd-*.yaml", "../../examples/argo-workflows/rbac.yaml", "../../examples/sidecar/[ds]*.yaml", "../chart/testdata/*.golden.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %d files", pattern, err, len(found))
		}
		files = append(files, found...)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := cluster.Check(t.Context(), string(text)); err != nil {
				t.Error(err)
			}
		})
	}
}
