//go:build unix

package apiserver_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

func TestTheRoleOfTheExampleIsEnough(t *testing.T) {
	apply(t, rbac)
	s := set(t, stage.Options{})
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
	s := set(t, stage.Options{Config: func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "name: argo-admin}", "name: root}", 1)
	}})
	a := page(t, s, arrive(t, s, "alice"))
	if a.Status != http.StatusBadGateway || !strings.Contains(a.Body, "resourceNames [root]") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := page(t, s, arrive(t, s, "bob")); a.Status != http.StatusOK {
		t.Errorf("the other account's people suffer: %d %s", a.Status, a.Body)
	}
}

func TestAPageNamesAMissingRoleAndAuthgateRecovers(t *testing.T) {
	s := set(t, stage.Options{}) // a start without any right
	alice := arrive(t, s, "alice")
	a := page(t, s, alice)
	if a.Status != http.StatusBadGateway || !strings.Contains(a.Body, "create on serviceaccounts/token") || !strings.Contains(a.Body, "namespace argo") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a, err := alice.Open(t.Context(), s.ArgoCD+"/applications"); err != nil || a.Status != http.StatusOK {
		t.Errorf("Argo CD suffers: %v %d", err, a.Status)
	}
	apply(t, tokens)
	eventually(t, "the page to ask for the account", func() bool {
		a := page(t, s, alice)
		return a.Status == http.StatusBadGateway && strings.Contains(a.Body, "Create ServiceAccount argo-admin")
	})
	apply(t, strings.TrimSuffix(rbac, "\n---\n"+tokens))
	eventually(t, "the page to open", func() bool { return page(t, s, alice).Status == http.StatusOK })
}

func TestDoctorSaysWhetherTokensCanBeHad(t *testing.T) {
	s := set(t, stage.Options{})
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
func TestAPodsTokenIsAcceptedWithoutALogin(t *testing.T) {
	apply(t, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: reporter, namespace: argo}\n")
	apply(t, rbac)
	s := set(t, stage.Options{Config: func(yaml string, _ stage.Files) string {
		return yaml + fmt.Sprintf("bearer:\n  - issuer: %s\n    audience: authgate\n    require: {sub: [\"system:serviceaccount:argo:reporter\"]}\n    groups: [\"pod:{sub}\"]\n", cluster.Issuer)
	}})
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

// Every manifest that operators copy, or the chart renders, is one that a server
// takes, each field of it.
func TestAnAPIServerTakesEveryManifest(t *testing.T) {
	if err := cluster.Check(t.Context(), "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: odd, namespace: argo}\nautomount: true\n"); err == nil {
		t.Fatal("the check finds no fault in a field that there is not")
	}
	var files []string
	for _, pattern := range []string{"../../examples/argo-cd/argocd-*.yaml", "../../examples/argo-workflows/authgate-tokens.yaml", "../../examples/argo-workflows/rbac.yaml", "../../examples/sidecar/[ds]*.yaml", "../chart/testdata/*.golden.yaml", "../chart/testdata/kustomize/*.golden.yaml"} {
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
			if err := cluster.Check(t.Context(), withoutOperators(string(text))); err != nil {
				t.Error(err)
			}
		})
	}
}

// withoutOperators leaves out the objects whose kinds an operator brings: this server
// does not have them. The tests of the chart check their fields.
func withoutOperators(manifests string) string {
	kept := slices.DeleteFunc(strings.Split(manifests, "\n---\n"), func(document string) bool {
		for _, group := range []string{"monitoring.coreos.com", "gateway.networking.k8s.io", "cert-manager.io", "external-secrets.io"} {
			if strings.Contains(document, "apiVersion: "+group+"/") {
				return true
			}
		}
		return false
	})
	return strings.Join(kept, "\n---\n")
}
