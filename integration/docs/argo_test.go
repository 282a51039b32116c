package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// strictly reads one YAML document into what it has to be, and refuses what that
// does not have.
func strictly[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

// TestArgoCDTakesTheTokensThatAuthgateShows holds argocd-cm to authgate.yaml.
func TestArgoCDTakesTheTokensThatAuthgateShows(t *testing.T) {
	t.Parallel()
	cm := strictly[corev1.ConfigMap](t, read(t, "examples/argo-cd/argocd-cm.yaml"))
	if cm.Name != "argocd-cm" || cm.Labels["app.kubernetes.io/part-of"] != "argocd" {
		t.Errorf("Argo CD would not look at %s %v", cm.Name, cm.Labels)
	}
	// util/settings/settings.go, OIDCConfig: the keys that are used here.
	oidc := strictly[struct {
		Name             string   `json:"name"`
		Issuer           string   `json:"issuer"`
		ClientID         string   `json:"clientID"`
		AllowedAudiences []string `json:"allowedAudiences"`
	}](t, cm.Data["oidc.config"])
	dex := strictly[struct {
		Connectors []struct {
			Type, ID, Name string
			Config         map[string]any
		}
		StaticClients []struct {
			ID, Name, SecretEnv        string
			RedirectURIs, TrustedPeers []string
			Public                     bool
		}
	}](t, cm.Data["dex.config"])
	gate := strictly[map[string]any](t, read(t, "examples/authgate.yaml"))
	issuer := gate["issuer"].(map[string]any)
	client := dex.StaticClients[0]
	if oidc.Issuer != issuer["url"] || !slices.Contains(oidc.AllowedAudiences, client.ID) || oidc.ClientID != client.ID {
		t.Errorf("Argo CD takes tokens of %s for %q, authgate shows those of %s for %s", oidc.Issuer, oidc.AllowedAudiences, issuer["url"], client.ID)
	}
	if terminal := dex.StaticClients[1]; !terminal.Public || !slices.Equal(client.TrustedPeers, []string{terminal.ID}) || !strings.Contains(read(t, "docs/argo.md"), "--client-id "+terminal.ID+" ") {
		t.Errorf("terminals log in by %+v, whom %s trusts: %q", terminal, client.ID, client.TrustedPeers)
	}
	for _, u := range gate["upstreams"].([]any) {
		host := u.(map[string]any)["hosts"].([]any)[0].(string)
		if !slices.Contains(client.RedirectURIs, "https://"+host+"/oauth2/callback") {
			t.Errorf("Dex does not know the callback on %s", host)
		}
	}
	rbac := strictly[corev1.ConfigMap](t, read(t, "examples/argo-cd/argocd-rbac-cm.yaml"))
	if rbac.Name != "argocd-rbac-cm" || rbac.Data["scopes"] != "[groups]" {
		t.Errorf("%+v", rbac)
	}
}

func TestAuthgatesOwnRoleNamesTheAccountsOfTheExample(t *testing.T) {
	t.Parallel()
	var accounts []string
	var role *rbacv1.Role
	for document := range strings.SplitSeq(read(t, "examples/argo-workflows/rbac.yaml")+"\n---\n"+read(t, "examples/argo-workflows/authgate-tokens.yaml"), "\n---\n") {
		kind := strictly[struct {
			Kind                           string
			APIVersion                     string
			Metadata, RoleRef              map[string]any
			Subjects, Rules                []any
			AutomountServiceAccountToken   *bool
			Secrets, ImagePullSecrets, Any []any
		}](t, document).Kind
		switch kind {
		case "ServiceAccount":
			accounts = append(accounts, strictly[corev1.ServiceAccount](t, document).Name)
		case "Role":
			if one := strictly[rbacv1.Role](t, document); one.Name == "authgate-tokens" {
				role = &one
			}
		case "RoleBinding":
			strictly[rbacv1.RoleBinding](t, document)
		case "ClusterRoleBinding":
			strictly[rbacv1.ClusterRoleBinding](t, document)
		default:
			t.Errorf("a %s", kind)
		}
	}
	rule := role.Rules[0]
	if len(role.Rules) != 1 || !slices.Equal(rule.ResourceNames, accounts) || !slices.Equal(rule.Verbs, []string{"create"}) || !slices.Equal(rule.Resources, []string{"serviceaccounts/token"}) {
		t.Errorf("%+v for %q", role.Rules, accounts)
	}
	for _, account := range accounts {
		if !strings.Contains(read(t, "examples/authgate.yaml"), "name: "+account+"}") {
			t.Errorf("authgate.yaml does not name %s", account)
		}
	}
}

// TestConfigurationsOfThePagesLoad has authgate check what is shown of authgate.yaml
// and policy.csv.
func TestConfigurationsOfThePagesLoad(t *testing.T) {
	t.Parallel()
	bin := authgate(t)
	const head = "issuer: {url: https://argo-cd.example.com/api/dex, clientID: authgate, clientSecret: not-shown}\nsession: {keys: {env: KEYS}}\npolicy: {files: [policy.csv]}\n"
	const workflows = "upstreams: [{name: workflows, hosts: [argo-workflows.example.com], url: http://argo-server.argo.svc:2746}]\n"
	for page, rest := range map[string]string{"docs/argo.md": workflows, "examples/dashboards/README.md": ""} {
		dir := t.TempDir()
		config, policy := head+rest, "p, role:admin, *, /**, *, allow\n"
		for _, fence := range block.FindAllStringSubmatch(read(t, page), -1) {
			switch {
			case fence[1] == "yaml" && (strings.HasPrefix(fence[3], "bearer:") || strings.HasPrefix(fence[3], "upstreams:")):
				config += fence[3]
			case fence[1] == "csv":
				policy += fence[3]
			}
		}
		for name, text := range map[string]string{"authgate.yaml": config, "policy.csv": policy} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if out, code := run(t, bin, dir, "config", "check", "--config", "authgate.yaml"); code != 0 || !strings.Contains(out, "authgate.yaml: ok") {
			t.Errorf("%s: exit %d: %s\n%s", page, code, out, config)
		}
		if out, code := run(t, bin, dir, "policy", "lint", "--policy", "policy.csv"); code == 3 {
			t.Errorf("%s: %s", page, out)
		}
	}
}

func TestWorkflowsOfTheExamplesAskForNoMoreThanTheyNeed(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{"submit.yml": "id-token:write", "set-image.yml": "contents:write"} {
		text := read(t, "examples/github-actions/"+file)
		job := strictly[map[string]any](t, text)
		permissions, _ := job["permissions"].(map[string]any)
		got := ""
		for name, level := range permissions {
			got += name + ":" + level.(string)
		}
		if got != want || job["jobs"] == nil {
			t.Errorf("%s may do %q, want %q", file, got, want)
		}
		if strings.Contains(text, "secrets.") {
			t.Errorf("%s uses a stored secret", file)
		}
	}
}

// TestEachSystemIsTestedByName reads the table of docs/argo.md.
func TestEachSystemIsTestedByName(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(read(t, "docs/argo.md"), "## What is tested")
	names := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(table, -1)
	if len(names) < 10 {
		t.Errorf("only %d tests", len(names))
	}
	for _, name := range names {
		if out, _ := exec.Command("grep", "-rlw", "--include=*_test.go", "func "+name[1], root).Output(); len(out) == 0 {
			t.Errorf("there is no %s", name[1])
		}
	}
}
