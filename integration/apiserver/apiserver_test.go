//go:build unix

// Package apiserver_test tests authgate with a real Kubernetes API server, and the real
// Argo CD and Argo Workflows on it, with their own commands. There is no node, so no pod
// ever runs.
package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/argo"
	"github.com/example-org/authgate/integration/dashboards"
	"github.com/example-org/authgate/integration/kube"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
	"github.com/example-org/authgate/integration/wait"
)

// cluster is an API server that all tests share, with what Argo Workflows needs,
// authgate's own account, and no right of that. A test that gives rights takes them
// away again, and so they run one after another. All is set by TestMain, and never
// after.
var (
	cluster   *kube.Server
	workflows *argo.Workflows
	server    *argo.Server // of Workflows
	cd        *argo.CD
	binaries  stage.Binaries
	rbac      string // examples/argo-workflows/rbac.yaml and authgate-tokens.yaml
	tokens    string // examples/argo-workflows/authgate-tokens.yaml
)

// ours is what the tests have in the cluster next to Argo Workflows.
const ours = `
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
kind: Namespace
metadata: {name: monitoring}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: authgate, namespace: authgate}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: argo-server-binding}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: argo-server-cluster-role}
subjects: [{kind: ServiceAccount, name: argo-server, namespace: argo}]
---
# Which a values file of the chart names.
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: gvisor}
handler: runsc
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: argocd-server, namespace: argocd}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: argocd-server}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: argocd-server, namespace: argocd}]
`

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "apiserver-test-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir) // a temporary folder
	ctx := context.Background()
	if err := kube.Build(ctx, dir, os.Stderr, kube.Etcd, kube.APIServer); err != nil {
		return 0, err
	}
	if workflows, err = argo.BuildWorkflows(ctx, dir, os.Stderr); err != nil {
		return 0, err
	}
	if cd, err = argo.BuildCD(ctx, dir, os.Stderr); err != nil {
		return 0, err
	}
	if binaries, err = stage.Build(ctx, dir, true, os.Stderr); err != nil {
		return 0, err
	}
	for file, text := range map[string]*string{"rbac.yaml": &rbac, "authgate-tokens.yaml": &tokens} {
		content, err := os.ReadFile("../../examples/argo-workflows/" + file)
		if err != nil {
			return 0, err
		}
		*text = string(content)
	}
	rbac += "\n---\n" + tokens
	if cluster, err = kube.Start(ctx, dir, dir); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	kinds, err := cd.Manifests()
	if err != nil {
		return 0, err
	}
	manifests, err := workflows.Manifests()
	if err != nil {
		return 0, err
	}
	if err := cluster.Apply(ctx, ours+"\n---\n"+manifests+"\n---\n"+kinds); err != nil {
		return 0, err
	}
	kubeconfig := filepath.Join(dir, "argo-server.kubeconfig")
	if err := enter(ctx, kubeconfig, "argo", "argo-server"); err != nil {
		return 0, err
	}
	if server, err = workflows.Serve(ctx, dir, kubeconfig); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return m.Run(), nil
}

// enter writes the kubeconfig of a ServiceAccount.
func enter(ctx context.Context, file, namespace, account string) error {
	token, err := cluster.Token(ctx, namespace, account)
	if err != nil {
		return err
	}
	return cluster.Kubeconfig(file, token)
}

// set is a stage whose authgate asks the cluster for tokens, as the pod that the
// chart makes does, and whose Argo Workflows asks it whose they are.
func set(t *testing.T, o stage.Options) *stage.Stage {
	t.Helper()
	o.Dir, o.Dex, o.Authgate = t.TempDir(), binaries.Dex, binaries.Authgate
	kubeconfig := filepath.Join(o.Dir, "kubeconfig")
	if err := enter(t.Context(), kubeconfig, "authgate", "authgate"); err != nil {
		t.Fatal(err)
	}
	o.Env = []string{"KUBECONFIG=" + kubeconfig}
	o.Accounts = dashboards.ClientAuth(func(ctx context.Context, token string) (string, error) {
		name, err := cluster.TokenReview(ctx, token)
		return strings.TrimPrefix(name, "system:serviceaccount:argo:"), err
	})
	config := o.Config
	o.Config = func(yaml string, f stage.Files) string {
		for _, account := range []string{"argo-admin", "argo-viewer"} {
			yaml = strings.Replace(yaml, "tokenFile: "+f.Dir+"/"+account+"-token", "namespace: argo, name: "+account, 1)
		}
		if config != nil {
			yaml = config(yaml, f)
		}
		return yaml
	}
	s, err := stage.Start(t.Context(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.FindLeaks(context.Background()); err != nil { // the test's own context has ended
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

// rewrite adds rows to the policy and waits until they are in force.
func rewrite(t *testing.T, s *stage.Stage, rows string) {
	t.Helper()
	if rows == "" {
		return
	}
	policy, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Files.WritePolicy(policy + rows); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the policy", func() bool {
		log, err := s.Files.ReadLog()
		return err == nil && strings.Contains(log, "generation=2")
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	wait.For(t, 30*time.Second, what, holds)
}

// page is what a user sees on Argo Workflows.
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
