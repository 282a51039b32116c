package chart_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// chartFile reads a file of the chart.
func chartFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPodsGetWhatTheValuesPassOn(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "extras"))
	deployment := deploymentOf(t, r)
	template := deployment.Spec.Template
	pod, container := template.Spec, template.Spec.Containers[0]
	if len(pod.Containers) != 2 || len(pod.InitContainers) != 1 {
		t.Fatalf("%d containers, %d init containers", len(pod.Containers), len(pod.InitContainers))
	}
	for what, holds := range map[string]bool{
		"extraArgs":                 slices.Equal(container.Args[3:], []string{"--log-format=json", "--log-level=debug"}),
		"minReadySeconds":           deployment.Spec.MinReadySeconds == 10,
		"runtimeClassName":          *pod.RuntimeClassName == "gvisor",
		"schedulerName":             pod.SchedulerName == "default-scheduler",
		"hostNetwork":               template.Spec.HostNetwork,
		"DNS of the host's network": pod.DNSPolicy == corev1.DNSClusterFirstWithHostNet,
		"dnsConfig":                 pod.DNSConfig.Options[0].Name == "ndots",
		"hostAliases":               pod.HostAliases[0].Hostnames[0] == "sso.example.com",
		"lifecycle":                 container.Lifecycle.PreStop.Sleep.Seconds == 1,
		"termination message":       container.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError,
		"probe":                     container.LivenessProbe.PeriodSeconds == 20 && container.StartupProbe == nil,
		"extraContainers":           pod.Containers[1].Name == "log-shipper",
		"templates in containers":   pod.InitContainers[0].Name == "authgate-wait",
		"templates in annotations":  strings.HasPrefix(template.Annotations["example.com/release"], "authgate-"),
		"templates of the account":  strings.HasSuffix(one[*corev1.ServiceAccount](t, r.objects).Annotations["eks.amazonaws.com/role-arn"], "role/authgate"),
		"labels of the account":     one[*corev1.ServiceAccount](t, r.objects).Labels["example.com/team"] == "platform",
		"templates in objects":      named[*corev1.ConfigMap](t, r.objects, "authgate-extra").Data["release"] == "authgate",
	} {
		if !holds {
			t.Errorf("%s is not passed on", what)
		}
	}
	spread := pod.TopologySpreadConstraints
	if len(spread) != 1 || spread[0].LabelSelector.MatchLabels["app.kubernetes.io/instance"] != "authgate" {
		t.Errorf("%+v, want the one of the values, with a selector", spread)
	}
}

func TestPodsSpreadOverZonesAndNodes(t *testing.T) {
	t.Parallel()
	template := deploymentOf(t, render(t, valuesOf(t, "default"))).Spec.Template
	var keys []string
	for _, spread := range template.Spec.TopologySpreadConstraints {
		keys = append(keys, spread.TopologyKey)
		if spread.WhenUnsatisfiable != corev1.ScheduleAnyway {
			t.Errorf("a cluster of one %s cannot run two pods", spread.TopologyKey)
		}
		if !labelSelector(t, spread.LabelSelector).Matches(labelSet(template.Labels)) {
			t.Errorf("it counts pods with %v", spread.LabelSelector)
		}
	}
	if want := []string{"topology.kubernetes.io/zone", "kubernetes.io/hostname"}; !slices.Equal(keys, want) {
		t.Errorf("pods spread over %q, want %q", keys, want)
	}
	values := valuesOf(t, "default")
	values["topologySpreadConstraints"] = []any{}
	if got := deploymentOf(t, render(t, values)).Spec.Template.Spec.TopologySpreadConstraints; got != nil {
		t.Errorf("an empty list leaves %v", got)
	}
}

// Each ConfigMap is a file, and authgate reads them in order.
func TestPolicyCanComeFromSeveralConfigMaps(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "team-policies"))
	files := configOf(t, r)["policy"].(map[string]any)["files"]
	want := []any{"/etc/authgate/policy/policy.csv", "/etc/authgate/policy/team-a-policy.csv", "/etc/authgate/policy/team-b-rows.csv"}
	if got, _ := files.([]any); !slices.Equal(got, want) {
		t.Errorf("authgate reads %q, want %q", files, want)
	}
	if sources := projected(t, r); len(sources) != 3 || sources[2].ConfigMap.Name != "team-b" || sources[2].ConfigMap.Items[0].Key != "rows.csv" {
		t.Errorf("%+v", sources)
	}
	existing := render(t, valuesOf(t, "existing-policy", "extraPolicyConfigMaps[0].name=team-a"))
	if sources := projected(t, existing); len(sources) != 2 || sources[0].ConfigMap.Name != "team-policy" {
		t.Errorf("%+v", sources)
	}
}

// A watched policy is mounted nowhere but in the preflight, which checks it before the pods
// could.
func TestWatchedPolicyIsNotMounted(t *testing.T) {
	t.Parallel()
	for values, creates := range map[string]bool{"watched-policy": true, "watched-elsewhere": false} {
		r := render(t, valuesOf(t, values))
		if _, files := configOf(t, r)["policy"].(map[string]any)["files"]; files {
			t.Errorf("%s: files are read as well", values)
		}
		created := slices.ContainsFunc(all[*corev1.ConfigMap](r.objects), func(m *corev1.ConfigMap) bool { return m.Name == "authgate-policy" })
		if created != creates {
			t.Errorf("%s: the chart creates a policy: %t", values, created)
		}
	}
	for _, volume := range deploymentOf(t, render(t, valuesOf(t, "watched-policy"))).Spec.Template.Spec.Volumes {
		if volume.Name == "policy" {
			t.Error("the pods mount a policy that they do not read")
		}
	}
	if sources := projected(t, render(t, valuesOf(t, "watched-elsewhere"))); len(sources) != 1 || sources[0].ConfigMap.Name != "next" {
		t.Errorf("%+v", sources)
	}
}

func projected(t testing.TB, r rendered) []corev1.VolumeProjection {
	t.Helper()
	for _, volume := range deploymentOf(t, r).Spec.Template.Spec.Volumes {
		if volume.Name == "policy" {
			return volume.Projected.Sources
		}
	}
	t.Fatal("the pods have no policy")
	return nil
}

func TestPolicyFromElsewhereNeedsNoConfigMap(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "git-sync"))
	for _, configMap := range all[*corev1.ConfigMap](r.objects) {
		if _, ok := configMap.Data["policy.csv"]; ok {
			t.Errorf("%s has rows that no pod reads", configMap.Name)
		}
	}
	for _, mount := range deploymentOf(t, r).Spec.Template.Spec.Containers[0].VolumeMounts {
		if mount.Name == "policy" {
			t.Error("the pods mount a policy that they do not read")
		}
	}
}
