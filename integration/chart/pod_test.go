package chart_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// obeysRestricted asks the admission plugin's own checks.
func obeysRestricted(t testing.TB, meta *metav1.ObjectMeta, pod *corev1.PodSpec) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, meta, pod) {
		if !result.Allowed {
			t.Errorf("Pod Security restricted refuses the pod: %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	for _, name := range ciNames(t) {
		r := render(t, valuesOf(t, name))
		template := deploymentOf(t, r).Spec.Template
		template.Spec.HostNetwork = false // which no level but privileged allows, and one feature is
		obeysRestricted(t, &template.ObjectMeta, &template.Spec)
		test := one[*corev1.Pod](t, r.objects)
		obeysRestricted(t, &test.ObjectMeta, &test.Spec)
	}
}

func TestContainerMayOnlyServe(t *testing.T) {
	t.Parallel()
	pod := deploymentOf(t, render(t, valuesOf(t, "default"))).Spec.Template.Spec
	container := pod.Containers[0]
	for what, holds := range map[string]bool{
		"runs as a user":               *pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser != 0 && *pod.SecurityContext.RunAsGroup != 0,
		"can read its secrets":         *pod.SecurityContext.FSGroup != 0,
		"has the runtime's seccomp":    pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"gains no privilege":           !*container.SecurityContext.AllowPrivilegeEscalation,
		"writes to no root filesystem": *container.SecurityContext.ReadOnlyRootFilesystem,
		"has no capability":            slices.Equal(container.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(container.SecurityContext.Capabilities.Add) == 0,
		"is not privileged":            container.SecurityContext.Privileged == nil,
		"has no Kubernetes token":      !*pod.AutomountServiceAccountToken,
		"has no service links":         !*pod.EnableServiceLinks,
		"stays off the host":           !pod.HostNetwork && !pod.HostPID && !pod.HostIPC,
	} {
		if !holds {
			t.Errorf("does not hold: the container %s", what)
		}
	}
}

func TestServiceAccountHasNoToken(t *testing.T) {
	t.Parallel()
	account := one[*corev1.ServiceAccount](t, render(t, valuesOf(t, "default")).objects)
	if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
		t.Error("the ServiceAccount hands its token to every pod that uses it")
	}
}

// The right to create an account's token is the account's own: no other is given.
func TestAuthgateMayCreateTheTokensOfNamedAccountsAndNothingElse(t *testing.T) {
	t.Parallel()
	objects := render(t, valuesOf(t, "argo")).objects
	role, binding := one[*rbacv1.Role](t, objects), one[*rbacv1.RoleBinding](t, objects)
	if role.Namespace != "argo" || len(role.Rules) != 1 {
		t.Fatalf("%+v", role)
	}
	rule := role.Rules[0]
	if !slices.Equal(rule.Resources, []string{"serviceaccounts/token"}) || !slices.Equal(rule.Verbs, []string{"create"}) ||
		!slices.Equal(rule.ResourceNames, []string{"argo-admin", "argo-viewer"}) || !slices.Equal(rule.APIGroups, []string{""}) {
		t.Errorf("%+v", rule)
	}
	account := one[*corev1.ServiceAccount](t, objects)
	if s := binding.Subjects[0]; binding.RoleRef.Name != role.Name || len(binding.Subjects) != 1 || s.Kind != "ServiceAccount" || s.Name != account.Name || s.Namespace != account.Namespace {
		t.Errorf("%+v", binding)
	}
	if !*account.AutomountServiceAccountToken {
		t.Error("there is nothing to ask with")
	}
	for _, object := range render(t, valuesOf(t, "default")).objects {
		if kind := object.GetObjectKind().GroupVersionKind().Kind; kind == "Role" || kind == "RoleBinding" {
			t.Errorf("a %s where no account is named", kind)
		}
	}
}

func TestAuthgateMayReadTheConfigMapThatItWatchesAndNoOther(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ values, namespace, name string }{
		{"watched-policy", "login", "authgate-policy"}, {"watched-elsewhere", "login", "sso-policy"},
	} {
		objects := render(t, valuesOf(t, c.values)).objects
		role, binding, account := one[*rbacv1.Role](t, objects), one[*rbacv1.RoleBinding](t, objects), one[*corev1.ServiceAccount](t, objects)
		if role.Namespace != c.namespace || binding.Namespace != c.namespace || len(role.Rules) != 1 {
			t.Fatalf("%s: %+v", c.values, role)
		}
		rule := role.Rules[0]
		if !slices.Equal(rule.Resources, []string{"configmaps"}) || !slices.Equal(rule.Verbs, []string{"get", "list", "watch"}) ||
			!slices.Equal(rule.ResourceNames, []string{c.name}) || !slices.Equal(rule.APIGroups, []string{""}) {
			t.Errorf("%s: %+v", c.values, rule)
		}
		if s := binding.Subjects[0]; binding.RoleRef.Name != role.Name || s.Name != account.Name || s.Namespace != account.Namespace {
			t.Errorf("%s: %+v", c.values, binding)
		}
		if !*account.AutomountServiceAccountToken || !*deploymentOf(t, render(t, valuesOf(t, c.values))).Spec.Template.Spec.AutomountServiceAccountToken {
			t.Errorf("%s: there is nothing to ask with", c.values)
		}
	}
	both := render(t, valuesOf(t, "argo", "watchPolicyConfigMap=true")).objects
	if roles := all[*rbacv1.Role](both); len(roles) != 2 {
		t.Errorf("%d roles for accounts and a policy, want 2", len(roles))
	}
}

func TestProbesAskTheTrafficPort(t *testing.T) {
	t.Parallel()
	for _, name := range ciNames(t) {
		container := deploymentOf(t, render(t, valuesOf(t, name))).Spec.Template.Spec.Containers[0]
		for path, probe := range map[string]*corev1.Probe{"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe} {
			got := probe.HTTPGet
			if got.Path != path || got.Port.StrVal != "http" || got.Host != "" {
				t.Errorf("%s: probe %+v, want %s on port http, whatever the host", name, got, path)
			}
		}
	}
}

func TestRolloutKeepsOldPodsUntilNewOnesAreReady(t *testing.T) {
	t.Parallel()
	strategy := deploymentOf(t, render(t, valuesOf(t, "default"))).Spec.Strategy
	if got := strategy.RollingUpdate.MaxUnavailable.IntValue(); got != 0 {
		t.Errorf("maxUnavailable %d, want 0", got)
	}
}

func TestConfigAndPolicyAreMountedWhole(t *testing.T) {
	t.Parallel()
	for _, name := range ciNames(t) {
		for _, mount := range deploymentOf(t, render(t, valuesOf(t, name))).Spec.Template.Spec.Containers[0].VolumeMounts {
			if mount.SubPath != "" || mount.SubPathExpr != "" {
				t.Errorf("%s: %s is mounted by subPath, which never sees a change", name, mount.MountPath)
			}
		}
	}
}

// timeoutsOf reads the durations that the chart computes with as Go reads them.
func timeoutsOf(t testing.TB, r rendered) map[string]time.Duration {
	t.Helper()
	var config struct {
		Timeouts map[string]metav1.Duration `json:"timeouts"`
	}
	if err := yaml.Unmarshal([]byte(dataOf(t, r.objects, "authgate.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	timeouts := map[string]time.Duration{}
	for name, value := range config.Timeouts {
		timeouts[name] = value.Duration
	}
	return timeouts
}

func TestKubernetesWaitsUntilThePodHasDrained(t *testing.T) {
	t.Parallel()
	for _, set := range [][]string{
		nil,
		{"config.timeouts.shutdownDelay=15s"},
		{"config.timeouts.shutdownDelay=0s", "config.timeouts.shutdown=10s"},
		{"config.timeouts.shutdownDelay=1m30s", "config.timeouts.shutdown=1.5m"},
		{"config.timeouts.shutdownDelay=90000ms", "config.timeouts.shutdown=1h0m1s"},
		{"config.timeouts.shutdownDelay=1500ms", "config.timeouts.shutdown=100us"},
		{"terminationGracePeriodSeconds=65"},
	} {
		r := render(t, valuesOf(t, "default", set...))
		timeouts := timeoutsOf(t, r)
		drain := timeouts["shutdownDelay"] + timeouts["shutdown"]
		grace := time.Duration(*deploymentOf(t, r).Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
		if grace < drain+5*time.Second || grace > drain+11*time.Second {
			t.Errorf("%q: the grace period is %v, and draining takes %v", set, grace, drain)
		}
	}
}

func TestConfigChangeRestartsAndPolicyChangeDoesNot(t *testing.T) {
	t.Parallel()
	template := func(set ...string) string {
		text, err := yaml.Marshal(deploymentOf(t, render(t, valuesOf(t, "default", set...))).Spec.Template)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := template()
	if after := template(`policy=p\, role:viewer\, argocd\, /**\, GET\, allow`); after != before {
		t.Errorf("a policy change restarts the pods:\n%s", firstDifference(before, after))
	}
	if after := template("config.audit.output=stderr"); after == before {
		t.Error("a change of authgate.yaml does not restart the pods")
	}
	if !strings.Contains(before, "checksum/config: ") {
		t.Error("no checksum/config annotation")
	}
}
