package chart_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"
)

// configOf reads the configuration that the pods get.
func configOf(t testing.TB, r rendered) map[string]any {
	t.Helper()
	var config map[string]any
	if err := yaml.Unmarshal([]byte(dataOf(t, r.objects, "authgate.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestIssuerBehindAuthgateIsReachedInsideTheCluster(t *testing.T) {
	t.Parallel()
	const argocd = "http://argocd-server.argocd.svc:80/api/dex"
	for _, test := range []struct {
		base string
		set  []string
		want any
		row  string
	}{
		{"default", nil, argocd, "p, system:anonymous, argocd, /api/dex/**, *, allow"},
		{"default", []string{"config.issuer.url=https://argo-cd.example.com:443/api/dex"}, argocd, "p, system:anonymous, argocd, /api/dex/**, *, allow"},
		{"default", []string{"config.issuer.url=https://sso.example.com/api/dex"}, nil, ""},
		{"default", []string{"config.issuer.backchannelURL=http://dex.dex.svc:5556"}, "http://dex.dex.svc:5556", ""},
		{"default", []string{"config.upstreams[0].path=/api/dexterity"}, nil, ""},
		{"default", []string{"config.upstreams[0].path=/api"}, argocd, ""},
		{"other-issuer", nil, nil, ""},
		{"single-upstream", nil, nil, ""}, // any host is not the issuer's
	} {
		r := render(t, valuesOf(t, test.base, test.set...))
		if got := configOf(t, r)["issuer"].(map[string]any)["backchannelURL"]; got != test.want {
			t.Errorf("%s %q: backchannelURL is %v, want %v", test.base, test.set, got, test.want)
		}
		policy := dataOf(t, r.objects, "policy.csv")
		if !strings.Contains(policy, test.row) || test.want == nil && strings.Contains(policy, "system:anonymous") {
			t.Errorf("%s %q: the policy is\n%s, want the row %q", test.base, test.set, policy, test.row)
		}
	}
}

func TestPolicyOfTheChartAdmitsAdminGroupsAndNoOthers(t *testing.T) {
	t.Parallel()
	policyOf := func(set ...string) string {
		file := filepath.Join(t.TempDir(), "policy.csv")
		text := dataOf(t, render(t, valuesOf(t, "default", set...)).objects, "policy.csv")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	asks(t, policyOf("adminGroups={example-org:platform,user:alice@example.com}"), true, `
		--group example-org:platform DELETE argocd:/api/v1/applications/shop
		--user alice@example.com GET argocd:/
		--anonymous POST argocd:/api/dex/token
	`)
	closed := policyOf()
	asks(t, closed, true, "--anonymous GET argocd:/api/dex/auth")
	asks(t, closed, false, `
		--group example-org:platform GET argocd:/
		--anonymous GET argocd:/
	`)
}

func TestArgoCDGetsTheIDTokenUnlessTheValuesSayOtherwise(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]any{
		"config.upstreams[0].title=Argo CD":                     "idToken",
		"config.upstreams[0].identity.headers=false":            "idToken",
		"config.upstreams[0].identity.credential=none":          "none",
		"config.upstreams[0].kind=generic":                      nil,
		"config.upstreams[0].identity.credential=accessToken":   "accessToken",
		"config.upstreams[0].identity.groups=policy,image.tag=": "idToken",
	} {
		upstream := configOf(t, render(t, valuesOf(t, "default", set)))["upstreams"].([]any)[0].(map[string]any)
		identity, _ := upstream["identity"].(map[string]any)
		if got := identity["credential"]; got != want {
			t.Errorf("--set %s: credential %v, want %v", set, got, want)
		}
	}
}

// secretItems lists the keys that the pods need of existingSecret.
func secretItems(t testing.TB, r rendered) (items []string) {
	t.Helper()
	for _, volume := range deploymentOf(t, r).Spec.Template.Spec.Volumes {
		if volume.Name == "secrets" {
			for _, item := range volume.Secret.Items {
				items = append(items, item.Key)
			}
		}
	}
	return items
}

func TestSecretNeedsOnlyTheKeysThatTheConfigurationReads(t *testing.T) {
	t.Parallel()
	env := []string{"config.issuer.clientID.env=ID", "config.issuer.clientSecret.env=SECRET", "config.session.keys.env=KEYS"}
	for _, test := range []struct{ set, want []string }{
		{nil, []string{"client-id", "client-secret", "session-keys"}},
		{env[:1], []string{"client-secret", "session-keys"}},
		{append([]string{"config.issuer.clientID.file=null"}, env[0]), []string{"client-secret", "session-keys"}},
		{[]string{"config.issuer.clientID=authgate"}, []string{"client-secret", "session-keys"}},
		{[]string{"config.adminToken.file=/etc/authgate/secrets/admin-token"}, []string{"admin-token", "client-id", "client-secret", "session-keys"}},
		{append([]string{"existingSecret="}, env...), nil},
	} {
		r := render(t, valuesOf(t, "default", test.set...))
		if got := secretItems(t, r); !slices.Equal(got, test.want) {
			t.Errorf("%q: the Secret needs %q, want %q", test.set, got, test.want)
		}
	}
}

// clients makes a cluster of these objects readable to the template function lookup.
type clients struct{ dynamic.Interface }

func (c clients) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	version, err := schema.ParseGroupVersion(apiVersion)
	resource := map[string]string{"Secret": "secrets", "Namespace": "namespaces"}[kind]
	return c.Resource(version.WithResource(resource)), kind != "Namespace", err
}

func renderIn(values map[string]any, objects ...runtime.Object) (rendered, error) {
	cluster := clients{fake.NewSimpleDynamicClient(kinds, objects...)}
	return renderWith(values, func(c *chart.Chart, values chartutil.Values) (map[string]string, error) {
		return engine.RenderWithClientProvider(c, values, cluster)
	})
}

// keysOf decodes the file that a generated Secret is mounted as.
func keysOf(t testing.TB, r rendered) string {
	t.Helper()
	secret := one[*corev1.Secret](t, r.objects)
	if secret.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("uninstalling removes the Secret %s, and with it every session", secret.Name)
	}
	return string(secret.Data["session-keys"])
}

func TestGeneratedSessionKeysSurviveUpgrades(t *testing.T) {
	t.Parallel()
	values := valuesOf(t, "default", "sessionKeys.create=true")
	namespace := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}}
	installed, err := renderIn(values, namespace)
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf(t, installed)
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys)); err != nil || len(raw) < 32 {
		t.Errorf("%v: %q is not a session key", err, keys)
	}
	if got := secretItems(t, installed); slices.Contains(got, "session-keys") {
		t.Errorf("existingSecret still needs %q", got)
	}
	// The pods read the key that was generated.
	from := sourcesOf(t, installed.objects)
	from.secrets["authgate-session-keys"] = map[string]string{"session-keys": keys}
	pod := deploymentOf(t, installed).Spec.Template.Spec
	mount(t, pod, pod.Containers[0], from).isAccepted(t, "/etc/authgate/config/authgate.yaml")

	const rotated = "a key that was rotated by hand\n"
	upgraded, err := renderIn(values, namespace, &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: "authgate-session-keys", Namespace: "login"},
		Data:       map[string][]byte{"session-keys": []byte(rotated)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := keysOf(t, upgraded); got != rotated {
		t.Errorf("an upgrade writes the key %q over %q", got, rotated)
	}
	if _, err := tryRender(values); err == nil || !strings.Contains(err.Error(), "existingSecret") {
		t.Errorf("helm template generates a key with each render: %v", err)
	}
}

func TestBudgetKeepsAllPodsButOne(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "default"))
	budget := one[*policyv1.PodDisruptionBudget](t, r.objects)
	if budget.Spec.MaxUnavailable.IntValue() != 1 || *budget.Spec.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Errorf("%+v", budget.Spec)
	}
	selector := labelSelector(t, budget.Spec.Selector)
	if pods := deploymentOf(t, r).Spec.Template.Labels; !selector.Matches(labelSet(pods)) {
		t.Errorf("the budget selects %s, pods have %v", selector, pods)
	}
	if b := one[*policyv1.PodDisruptionBudget](t, render(t, valuesOf(t, "default", "podDisruptionBudget.minAvailable=50%")).objects); b.Spec.MaxUnavailable != nil || b.Spec.MinAvailable.String() != "50%" {
		t.Errorf("%+v", b.Spec)
	}
	for _, set := range []string{"replicaCount=1", "podDisruptionBudget.enabled=false"} {
		if n := len(all[*policyv1.PodDisruptionBudget](render(t, valuesOf(t, "default", set)).objects)); n != 0 {
			t.Errorf("--set %s: %d budgets, want none", set, n)
		}
	}
}

// A hung process cannot drain, so that its grace period is lost time.
func TestHungProcessIsRestartedWithinAMinute(t *testing.T) {
	t.Parallel()
	probe := deploymentOf(t, render(t, valuesOf(t, "default"))).Spec.Template.Spec.Containers[0].LivenessProbe
	grace := probe.TerminationGracePeriodSeconds
	if grace == nil {
		t.Fatal("the kubelet waits for the pod's grace period")
	}
	if worst := int64(probe.PeriodSeconds*(probe.FailureThreshold+1)+probe.TimeoutSeconds) + *grace; worst > 60 {
		t.Errorf("a hung process is restarted after up to %ds", worst)
	}
}

func TestProbesFollowTheirValues(t *testing.T) {
	t.Parallel()
	container := deploymentOf(t, render(t, valuesOf(t, "default", "startupProbe.enabled=false", "livenessProbe.periodSeconds=20",
		"readinessProbe.initialDelaySeconds=3"))).Spec.Template.Spec.Containers[0]
	if container.StartupProbe != nil || container.LivenessProbe.PeriodSeconds != 20 || container.ReadinessProbe.InitialDelaySeconds != 3 {
		t.Errorf("startup %v, liveness %v, readiness %v", container.StartupProbe, container.LivenessProbe, container.ReadinessProbe)
	}
}
