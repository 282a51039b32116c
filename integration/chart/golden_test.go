package chart_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
)

func TestEveryFeatureRendersAsItDid(t *testing.T) {
	names := ciNames(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", name+".golden.yaml")
			got := render(t, valuesOf(t, name)).manifest
			compareGolden(t, golden, got)
		})
	}

	goldens, _ := filepath.Glob("testdata/*.golden.yaml")
	for _, golden := range goldens {
		if !slices.Contains(names, strings.TrimSuffix(filepath.Base(golden), ".golden.yaml")) {
			t.Errorf("%s has no values file in ci", golden)
		}
	}
}

// A render that differs from the one before is a change for Argo CD, forever.
func TestEachRenderIsTheSame(t *testing.T) {
	t.Parallel()
	for _, name := range ciNames(t) {
		first, again := render(t, valuesOf(t, name)).manifest, render(t, valuesOf(t, name)).manifest
		if first != again {
			t.Errorf("%s:\n%s", name, firstDifference(first, again))
		}
	}
}

// firstDifference shows the first line in which two texts part.
func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "- " + a[i] + "\n+ " + b[i]
		}
	}
	return "one is longer than the other"
}

func TestEveryObjectIsNamedPlacedAndLabelled(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "names"))
	if len(r.objects) == 0 {
		t.Fatal("nothing rendered")
	}
	for _, object := range r.objects {
		m, err := meta.Accessor(object)
		if err != nil {
			t.Fatal(err)
		}
		if m.GetNamespace() != "edge" {
			t.Errorf("%T is in namespace %q, want edge", object, m.GetNamespace())
		}
		name := "authgate"
		if _, isTest := object.(*corev1.Pod); isTest {
			name = "front-test" // or the Service would select it
		}
		for label, want := range map[string]string{
			"app.kubernetes.io/name":     name,
			"app.kubernetes.io/instance": "authgate",
			"team":                       "platform",
		} {
			if got := m.GetLabels()[label]; got != want {
				t.Errorf("%T: label %s is %q, want %q", object, label, got, want)
			}
		}
	}
	d := deploymentOf(t, r)
	if d.Name != "front" || d.Spec.Template.Spec.ServiceAccountName != "front" {
		t.Errorf("Deployment %s runs as %s, want front as front", d.Name, d.Spec.Template.Spec.ServiceAccountName)
	}
	if len(d.Spec.Selector.MatchLabels) != 2 {
		t.Errorf("selector %v: only name and instance may be in it, it can never change", d.Spec.Selector.MatchLabels)
	}
	want := "registry.example.com/mirror/authgate@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	if got := d.Spec.Template.Spec.Containers[0].Image; got != want {
		t.Errorf("image %s, want %s", got, want)
	}
}

func TestServiceLeadsToThePodsPorts(t *testing.T) {
	t.Parallel()
	for _, name := range ciNames(t) {
		r := render(t, valuesOf(t, name))
		pod := deploymentOf(t, r).Spec.Template
		for _, service := range all[*corev1.Service](r.objects) {
			selector := labels.SelectorFromSet(service.Spec.Selector)
			if !selector.Matches(labels.Set(pod.Labels)) {
				t.Errorf("%s: the Service %s selects %s, pods have %v", name, service.Name, selector, pod.Labels)
			}
			for _, port := range service.Spec.Ports {
				if !slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool {
					return p.Name == port.TargetPort.StrVal
				}) {
					t.Errorf("%s: port %s leads to %q, which no container has", name, port.Name, port.TargetPort.StrVal)
				}
			}
			for _, other := range all[*corev1.Pod](r.objects) {
				if selector.Matches(labels.Set(other.Labels)) {
					t.Errorf("%s: the Service %s selects the pod of helm test", name, service.Name)
				}
			}
			for _, job := range all[*batchv1.Job](r.objects) {
				if selector.Matches(labels.Set(job.Spec.Template.Labels)) {
					t.Errorf("%s: the Service %s selects the pod of the preflight", name, service.Name)
				}
			}
		}
	}
}

func TestMetricsPortIsTheAdminPort(t *testing.T) {
	t.Parallel()
	r := render(t, valuesOf(t, "metrics"))
	metrics := named[*corev1.Service](t, r.objects, "authgate-metrics").Spec.Ports
	if len(metrics) != 1 || metrics[0].Name != "metrics" || metrics[0].Port != 9090 {
		t.Errorf("ports of the metrics Service %+v, want metrics on 9090", metrics)
	}
	// One value opens the port.
	if config := dataOf(t, r.objects, "authgate.yaml"); !strings.Contains(config, "adminListen: :9090\n") {
		t.Errorf("metrics.enabled leaves the admin port closed:\n%s", config)
	}
	set := render(t, valuesOf(t, "metrics", "config.adminListen=:9091", "metrics.port=9100"))
	ports := deploymentOf(t, set).Spec.Template.Spec.Containers[0].Ports
	if len(ports) != 2 || ports[1].Name != "metrics" || ports[1].ContainerPort != 9091 {
		t.Errorf("container ports %+v, want metrics on 9091, as config.adminListen says", ports)
	}
	if port := named[*corev1.Service](t, set.objects, "authgate-metrics").Spec.Ports[0].Port; port != 9100 {
		t.Errorf("the metrics Service is on %d, want 9100", port)
	}
	for _, r := range []rendered{r, render(t, valuesOf(t, "default"))} {
		if n := len(serviceOf(t, r).Spec.Ports); n != 1 {
			t.Errorf("the Service for dashboards has %d ports, want http alone", n)
		}
	}
	if n := len(all[*corev1.Service](render(t, valuesOf(t, "default")).objects)); n != 1 {
		t.Errorf("%d Services without metrics.enabled, want one", n)
	}
}

func TestNotesSayHowToMakeAKeyAndWhereDexCallsBack(t *testing.T) {
	t.Parallel()
	notes := render(t, valuesOf(t, "alb")).notes
	for _, want := range []string{
		"authgate keygen > session-keys",
		"argo-workflows.example.com",
		"https://HOST/oauth2/callback",
		"kubectl rollout restart deployment/authgate --namespace login",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q:\n%s", want, notes)
		}
	}
	if strings.Contains(notes, "server-side") {
		t.Errorf("a short policy is warned of:\n%s", notes)
	}
	values := valuesOf(t, "default")
	values["policy"] = strings.Repeat("p, role:viewer, argocd, /**, GET, allow\n", 6000)
	if notes := render(t, values).notes; !strings.Contains(notes, "--server-side") {
		t.Errorf("a policy of 240 kB is not warned of:\n%s", notes)
	}
}

// compareGolden fails the test if a rendering is not that of its golden file, or rewrites the file.
func compareGolden(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v (go test ./chart -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs (after a wanted change: go test ./chart -update):\n%s", golden, firstDifference(string(want), got))
	}
}
