//go:build unix

package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/kube"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/wait"
)

const limit = 30 * time.Second

// account is authgate's own, without any right.
const account = `
apiVersion: v1
kind: Namespace
metadata: {name: authgate}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: authgate, namespace: authgate}
`

// role is what docs/operations.md says, and its binding.
const role = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: authgate-policy, namespace: authgate}
rules:
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [authgate-policy]
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: authgate-policy, namespace: authgate}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: authgate-policy}
subjects: [{kind: ServiceAccount, name: authgate, namespace: authgate}]
`

const firstRow = "p, role:admin, *, /**, *, allow"

// policyMap is a ConfigMap with further rows in each key.
func policyMap(keys ...string) string {
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: authgate-policy, namespace: authgate}\ndata:\n  README: not a policy\n"
	for i := 0; i < len(keys); i += 2 {
		text += fmt.Sprintf("  %s: %q\n", keys[i], keys[i+1])
	}
	return text
}

// gate is an authgate whose policy is in the cluster, and whose issuer cannot be reached.
type gate struct {
	process *program.Process
	log     string
	admin   string
}

func startGate(t *testing.T, binary, kubeconfig string) *gate {
	t.Helper()
	dir := t.TempDir()
	port, admin := reserve(t), reserve(t)
	for name, text := range map[string]string{
		"session-keys": strings.Repeat("QUJD", 11) + "\n",
		"authgate.yaml": fmt.Sprintf(`
listen: "127.0.0.1:%s"
adminListen: "127.0.0.1:%s"
issuer: {url: "http://127.0.0.1:1/dex", clientID: authgate, clientSecret: not-a-real-secret}
session: {keys: {file: session-keys}}
policy: {configMap: {name: authgate-policy}}
timeouts: {shutdownDelay: 0s, shutdown: 1s}
upstreams: [{name: argocd, hosts: ["*"], url: "http://127.0.0.1:1"}]
`, port, admin),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := &gate{log: filepath.Join(dir, "log"), admin: "http://127.0.0.1:" + admin}
	var err error
	g.process, err = program.Start(t.Context(), program.Command{
		Name: "authgate", Path: binary, Args: []string{"serve", "--config", "authgate.yaml"}, Dir: dir,
		Env: []string{"KUBECONFIG=" + kubeconfig}, Stdout: g.log, Stderr: g.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.process.Stop() // some tests expect that it ends
		if t.Failed() {
			t.Logf("authgate:\n%s", g.text())
		}
	})
	return g
}

func reserve(t *testing.T) string {
	t.Helper()
	port, err := program.ReservePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Release() })
	return strconv.Itoa(port.Number)
}

// text is what authgate wrote: its log and its audit.
func (g *gate) text() string {
	text, err := os.ReadFile(g.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (g *gate) get(path string) string {
	res, err := http.Get(g.admin + path)
	if err != nil {
		return ""
	}
	defer res.Body.Close() // only read
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

// policy is that of the admin port's /readyz.
type policy struct {
	Generation int
	Refused    *struct{ Error string }
}

func (g *gate) policy() policy {
	var answer struct{ Policy policy }
	_ = json.Unmarshal([]byte(g.get("/readyz")), &answer) // generation 0: it does not answer yet
	return answer.Policy
}

func (g *gate) awaitGeneration(t *testing.T, generation int) {
	t.Helper()
	wait.For(t, limit, "generation "+strconv.Itoa(generation), func() bool { return g.policy().Generation == generation })
}

func (g *gate) awaitRefusal(t *testing.T, says string) {
	t.Helper()
	wait.For(t, limit, says, func() bool {
		p := g.policy()
		return p.Refused != nil && strings.Contains(p.Refused.Error, says)
	})
}

func (g *gate) awaitExit(t *testing.T, says string) {
	t.Helper()
	wait.For(t, limit, says, func() bool { return strings.Contains(g.text(), "authgate: cannot start: ") })
	if text := g.text(); !strings.Contains(text, says) {
		t.Errorf("want %q in\n%s", says, text)
	}
}

func TestThePolicyFollowsItsConfigMap(t *testing.T) {
	dir := t.TempDir()
	programs := t.TempDir()
	if err := kube.Build(t.Context(), programs, os.Stderr, kube.Etcd, kube.APIServer); err != nil {
		t.Fatal(err)
	}
	binary, err := program.Authgate(dir)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kube.Start(t.Context(), programs, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	apply := func(manifests string) {
		t.Helper()
		if err := cluster.Apply(t.Context(), manifests); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(manifests string) {
		t.Helper()
		if err := cluster.Delete(t.Context(), manifests); err != nil {
			t.Fatal(err)
		}
	}
	apply(account)
	token, err := cluster.Token(context.Background(), "authgate", "authgate")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := cluster.Kubeconfig(kubeconfig, token); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	inNamespace := strings.Replace(string(text), "cluster: test\n", "cluster: test\n    namespace: authgate\n", 1)
	if err := os.WriteFile(kubeconfig, []byte(inNamespace), 0o600); err != nil {
		t.Fatal(err)
	}

	startGate(t, binary, kubeconfig).awaitExit(t, "allows list and watch on configmaps with resourceNames [authgate-policy]")
	apply(role)
	startGate(t, binary, kubeconfig).awaitExit(t, "ConfigMap authgate/authgate-policy does not exist")
	apply(policyMap())
	startGate(t, binary, kubeconfig).awaitExit(t, "has no key that ends in .csv")
	apply(policyMap("policy.csv", "p, role:admin, argcd, /**, *, allow\n"))
	startGate(t, binary, kubeconfig).awaitExit(t, "authgate/authgate-policy/policy.csv:1:16: ")

	apply(policyMap("policy.csv", firstRow+"\n"))
	g := startGate(t, binary, kubeconfig)
	g.awaitGeneration(t, 1)
	wait.For(t, limit, "the watch", func() bool { return strings.Contains(g.get("/metrics"), "authgate_policy_configmap_up 1") })

	started := time.Now()
	apply(policyMap("policy.csv", firstRow+"\ng, example-org:argo, role:admin\n"))
	g.awaitGeneration(t, 2)
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("an edit took %s", took)
	}
	apply(policyMap("policy.csv", firstRow+"\ng, example-org:argo, role:admin\n", "a.csv", "g, example-org:ops, role:admin\n"))
	g.awaitGeneration(t, 3)

	apply(policyMap("policy.csv", firstRow+"\np, role:admin\n"))
	g.awaitRefusal(t, "authgate/authgate-policy/policy.csv:2:1")
	wait.For(t, limit, "the audit record", func() bool {
		return strings.Contains(g.text(), `"event":"policy"`) && strings.Contains(g.text(), `"decision":"refuse"`)
	})
	remove(policyMap())
	g.awaitRefusal(t, "does not exist")
	apply(policyMap("policy.csv", firstRow+"\ng, example-org:dev, role:admin\n"))
	g.awaitGeneration(t, 4)

	if err := cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	wait.For(t, limit, "the end of the watch", func() bool { return strings.Contains(g.get("/metrics"), "authgate_policy_configmap_up 0") })
	if p := g.policy(); p.Generation != 4 || p.Refused != nil {
		t.Errorf("without the API server: %+v", p)
	}
	if n := strings.Count(g.text(), "cannot watch the policy's ConfigMap"); n != 1 {
		t.Errorf("the log says %d times that it cannot be watched", n)
	}
}
