//go:build unix

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example-org/authgate/integration/visitor"
)

// readme gives the blocks of one language in the quick start of the chart's README.
func readme(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shared.root, "deploy", "helm", "authgate", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## Quick start")
	section, _, _ = strings.Cut(section, "\n## ")
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(section)
	if !found || block == nil {
		t.Fatalf("the README has no quick start in %s", language)
	}
	return block[1]
}

// removeAll takes authgate, and its namespace, out of the cluster.
func removeAll(t *testing.T) {
	t.Helper()
	_, _ = shared.run(t.Context(), "helm", "uninstall", releaseName, "--namespace", namespace, "--wait", "--ignore-not-found")
	kubectl(t, "delete", "namespace", namespace, "--ignore-not-found", "--wait")
}

// A user follows the quick start: the commands as they are, the values with their own
// hosts and team.
func TestTheQuickStartOfTheReadme(t *testing.T) {
	removeAll(t)
	dir := scratch(t)
	values := strings.NewReplacer(
		"https://argo-cd.example.com", shared.url(argoCDHost), "argo-cd.example.com", argoCDHost,
		"10.0.32.0/20", "10.0.0.0/8", "example-org:platform", "example-org:argo",
	).Replace(readme(t, "yaml"))
	for name, content := range map[string]string{"client-id": clientID, "client-secret": clientSecret, "values.yaml": values} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := shell(t, dir, readme(t, "sh")); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, shared.Explain(t.Context(), namespace))
	}
	if err := shared.Await(t.Context(), namespace, releaseName); err != nil {
		t.Fatal(err)
	}
	reachable(t)
	const page = "/api/v1/applications"
	see(t, arrive(t, "alice"), shared.url(argoCDHost)+page, http.StatusOK, "guestbook")
	see(t, arrive(t, "bob"), shared.url(argoCDHost)+page, http.StatusForbidden, "example-org:dev")
	see(t, arrive(t, "carol"), shared.url(argoCDHost)+page, http.StatusForbidden, "no groups")
	if a, err := visitor.Curl(t.Context(), http.MethodGet, shared.url(argoCDHost)+page); err != nil || a.Status != http.StatusUnauthorized {
		t.Errorf("without a login: %v %d", err, a.Status)
	}
	if out, err := shared.run(t.Context(), "helm", "test", releaseName, "--namespace", namespace); err != nil {
		t.Error(err)
	} else {
		t.Log(out)
	}
}

// The namespace enforces the restricted standard: pods that break it are not admitted, and
// authgate's are.
func TestPodsObeyTheRestrictedStandard(t *testing.T) {
	install(t)
	err := shared.Apply(t.Context(), `
apiVersion: v1
kind: Pod
metadata: {name: root, namespace: authgate}
spec:
  containers: [{name: root, image: "local.test/pods:1", securityContext: {runAsUser: 0}}]
`)
	if !apierrors.IsForbidden(err) && (err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`)) {
		t.Errorf("a pod that runs as root: %v", err)
	}
	if n := len(pods(t)); n != 2 {
		t.Errorf("authgate has %d pods", n)
	}
}

// What is there after an uninstall is what says that it is kept, and what users made.
func TestUninstallLeavesNothing(t *testing.T) {
	removeAll(t)
	install(t, "existingSecret: authgate", "existingSecret: authgate\nsessionKeys: {create: true}\nnetworkPolicy: {enabled: true}\nargocd: {networkPolicy: {create: true}}")
	for _, kind := range []string{"networkpolicies", "poddisruptionbudgets", "deployments", "services", "roles"} {
		if found := kubectl(t, "get", kind, "-A", "-l", "app.kubernetes.io/instance="+releaseName, "-o", "name"); found == "" {
			t.Errorf("the release has no %s", kind)
		}
	}
	if _, err := shared.run(t.Context(), "helm", "uninstall", releaseName, "--namespace", namespace, "--wait"); err != nil {
		t.Fatal(err)
	}
	kinds := strings.Join(strings.Fields(kubectl(t, "api-resources", "--verbs=list", "-o", "name")), ",")
	eventually(t, "pods to end", func() bool { return len(pods(t)) == 0 })
	left := kubectl(t, "get", kinds, "-A", "-l", "app.kubernetes.io/instance="+releaseName, "-o", "name", "--ignore-not-found")
	if left != "secret/authgate-session-keys\n" {
		t.Errorf("an uninstall leaves\n%s", left)
	}
	// What hooks made has no such label.
	left = kubectl(t, "get", "configmaps,jobs,pods,serviceaccounts,secrets", "-n", namespace, "-o", "name")
	if want := "configmap/kube-root-ca.crt\nserviceaccount/default\nsecret/authgate\nsecret/authgate-session-keys\n"; left != want {
		t.Errorf("in the namespace there are\n%swant\n%s", left, want)
	}
	if err := shared.CoreV1().Secrets(namespace).Delete(t.Context(), "authgate-session-keys", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
