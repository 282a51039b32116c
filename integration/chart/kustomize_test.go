package chart_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const kustomizeDir = "../../deploy/kustomize"

// kustomize renders a folder as `kubectl kustomize` does.
func kustomize(t testing.TB, folder string) (rendered, string) {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(kustomizeDir, folder))
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decodeAll(string(text))
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	return rendered{objects: objects}, string(text)
}

// kustomized are the folders that can be applied, and the chart's values that make the same.
var kustomized = map[string]map[string]any{
	"base":         {},
	"overlays/alb": {"ingress": map[string]any{"enabled": true}},
	"overlays/nginx": {"ingress": map[string]any{
		"enabled": true, "className": "nginx",
		"annotations": map[string]any{"nginx.ingress.kubernetes.io/proxy-buffering": "off"},
		"tls":         []any{map[string]any{"hosts": []any{"argo-cd.example.com"}, "secretName": "dashboards-tls"}},
	}},
	"overlays/gateway": {"httpRoute": map[string]any{
		"enabled": true, "parentRefs": []any{map[string]any{"name": "public", "namespace": "gateways", "sectionName": "https"}},
	}},
	"overlays/redis": {
		"extraVolumes":      []any{map[string]any{"name": "redis", "secret": map[string]any{"secretName": "authgate-redis", "defaultMode": 288}}},
		"extraVolumeMounts": []any{map[string]any{"name": "redis", "mountPath": "/etc/authgate/redis", "readOnly": true}},
	},
}

func TestKustomizeMakesTheObjectsOfTheChart(t *testing.T) {
	t.Parallel()
	for folder, values := range kustomized {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			got, _ := kustomize(t, folder)
			var config map[string]any
			if err := yaml.Unmarshal([]byte(dataOf(t, got.objects, "authgate.yaml")), &config); err != nil {
				t.Fatal(err)
			}
			same := map[string]any{"existingSecret": "authgate", "config": config, "policy": dataOf(t, got.objects, "policy.csv")}
			for key, value := range values {
				same[key] = value
			}
			want := comparable(t, render(t, same).objects)
			have := comparable(t, got.objects)
			for id, text := range want {
				if have[id] != text {
					t.Errorf("%s differs:\n%s", id, firstDifference(text, have[id]))
				}
			}
			for id := range have {
				if _, ok := want[id]; !ok {
					t.Errorf("the chart has no %s", id)
				}
			}
		})
	}
}

// helmOnly are labels and annotations that describe a release of Helm.
var helmOnly = []string{"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "checksum/config"}

var contentHash = regexp.MustCompile(`authgate-config-[a-z0-9]{10}`)

// comparable gives the objects as text by kind and name, without hooks, namespaces and what
// only Helm or only kustomize adds.
func comparable(t testing.TB, objects []runtime.Object) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, object := range objects {
		m := object.(metav1.Object)
		if m.GetAnnotations()["helm.sh/hook"] != "" {
			continue
		}
		m.SetNamespace("")
		metas := []metav1.Object{m}
		switch object := object.(type) {
		case *appsv1.Deployment:
			metas = append(metas, &object.Spec.Template.ObjectMeta)
			sortVolumes(&object.Spec.Template.Spec) // kustomize puts those of a patch first
		case *corev1.ConfigMap:
			object.Data = canonicalConfig(t, object.Data)
		}
		for _, m := range metas {
			labels, annotations := m.GetLabels(), m.GetAnnotations()
			for _, key := range helmOnly {
				delete(labels, key)
				delete(annotations, key)
			}
			if len(annotations) == 0 {
				m.SetAnnotations(nil)
			}
		}
		text, err := json.MarshalIndent(object, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		plain := contentHash.ReplaceAllString(string(text), "authgate-config")
		found[object.GetObjectKind().GroupVersionKind().Kind+" "+contentHash.ReplaceAllString(m.GetName(), "authgate-config")] = plain
	}
	return found
}

func sortVolumes(pod *corev1.PodSpec) {
	slices.SortFunc(pod.Volumes, func(a, b corev1.Volume) int { return strings.Compare(a.Name, b.Name) })
	for _, container := range pod.Containers {
		slices.SortFunc(container.VolumeMounts, func(a, b corev1.VolumeMount) int { return strings.Compare(a.Name, b.Name) })
	}
}

// canonicalConfig writes authgate.yaml without comments, in one order.
func canonicalConfig(t testing.TB, data map[string]string) map[string]string {
	t.Helper()
	config, ok := data["authgate.yaml"]
	if !ok {
		return data
	}
	var tree any
	if err := yaml.Unmarshal([]byte(config), &tree); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"authgate.yaml": string(text)}
}

func kustomizeFolders() []string {
	folders := []string{"overlays/sidecar"}
	for folder := range kustomized {
		folders = append(folders, folder)
	}
	return folders
}

// The golden files are what a real API server is asked about (integration/apiserver).
func TestKustomizeRendersAsItDid(t *testing.T) {
	t.Parallel()
	for _, folder := range kustomizeFolders() {
		_, got := kustomize(t, folder)
		golden := filepath.Join("testdata", "kustomize", filepath.Base(folder)+".golden.yaml")
		compareGolden(t, golden, got)
	}
}

func TestAuthgateAcceptsWhatKustomizeMounts(t *testing.T) {
	t.Parallel()
	for _, folder := range kustomizeFolders() {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			r, _ := kustomize(t, folder)
			pod := deploymentOf(t, r).Spec.Template
			for _, container := range pod.Spec.Containers {
				if container.Name == "authgate" {
					mount(t, pod.Spec, container, sourcesOf(t, r.objects)).isAccepted(t, "/etc/authgate/config/authgate.yaml")
				}
			}
			obeysRestricted(t, &pod.ObjectMeta, &pod.Spec)
		})
	}
}

func TestSidecarComponentClosesTheDashboardsPort(t *testing.T) {
	t.Parallel()
	r, _ := kustomize(t, "overlays/sidecar")
	pod := deploymentOf(t, r).Spec.Template.Spec
	containers := map[string]corev1.Container{}
	for _, container := range pod.Containers {
		containers[container.Name] = container
	}
	gate, dashboard := containers["authgate"], containers["grafana"]
	if len(pod.Containers) != 2 || len(pod.InitContainers) != 0 {
		t.Fatalf("%d containers and %d init containers, want two plain ones", len(pod.Containers), len(pod.InitContainers))
	}
	if len(dashboard.Ports) != 0 {
		t.Errorf("the dashboard has the ports %v", dashboard.Ports)
	}
	if got := dashboard.ReadinessProbe.HTTPGet.Port.StrVal; got != gate.Ports[0].Name {
		t.Errorf("the dashboard's probe asks port %q, authgate's is %q", got, gate.Ports[0].Name)
	}
	if got := one[*corev1.Service](t, r.objects).Spec.Ports[0].TargetPort.StrVal; got != gate.Ports[0].Name {
		t.Errorf("the Service leads to port %q, authgate's is %q", got, gate.Ports[0].Name)
	}
	for name, container := range containers {
		shared := false
		for _, m := range container.VolumeMounts {
			shared = shared || m.Name == "dashboard-socket" && m.MountPath == "/run/dashboard"
		}
		if !shared {
			t.Errorf("%s does not mount the socket's folder", name)
		}
	}
	if !strings.Contains(dataOf(t, r.objects, "authgate.yaml"), "url: unix:/run/dashboard/dashboard.sock") {
		t.Error("authgate forwards elsewhere")
	}
	sleep := dashboard.Lifecycle.PreStop.Sleep.Seconds
	if sleep != 42 || *pod.TerminationGracePeriodSeconds != 75 {
		t.Errorf("preStop %d, grace period %d: the dashboard must outlive authgate", sleep, *pod.TerminationGracePeriodSeconds)
	}
}

// A changed configuration replaces the pods, a changed policy does not.
func TestKustomizeRestartsForAConfigurationOnly(t *testing.T) {
	t.Parallel()
	for _, folder := range kustomizeFolders() {
		r, _ := kustomize(t, folder)
		for _, m := range all[*corev1.ConfigMap](r.objects) {
			_, isConfig := m.Data["authgate.yaml"]
			if contentHash.MatchString(m.Name) != isConfig {
				t.Errorf("%s: ConfigMap %s", folder, m.Name)
			}
		}
	}
	ingress, _ := kustomize(t, "overlays/alb")
	if len(all[*networkingv1.Ingress](ingress.objects)) != 1 {
		t.Error("there is no Ingress for the ALB")
	}
	gateway, _ := kustomize(t, "overlays/gateway")
	if len(all[*gatewayv1.HTTPRoute](gateway.objects)) != 1 {
		t.Error("there is no HTTPRoute")
	}
}

// The kustomization of docs/install.md, with the folder of this checkout for the address.
func TestOverlayOfTheDocumentationReplacesTheExamples(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## kustomize")
	_, own, _ := strings.Cut(section, "```yaml\n")
	own, _, _ = strings.Cut(own, "```\n")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := filepath.Abs(filepath.Join(kustomizeDir, "overlays", "alb"))
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(dir, overlay)
	if err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`https://\S+overlays/alb\?ref=\S+`)
	if !address.MatchString(own) {
		t.Fatalf("the kustomization of the documentation names no overlay:\n%s", own)
	}
	for name, text := range map[string]string{
		"kustomization.yaml": address.ReplaceAllString(own, relative),
		"authgate.yaml":      "listen: \":8080\"\n",
		"policy.csv":         "p, role:admin, *, /**, *, allow\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decodeAll(string(manifest))
	if err != nil {
		t.Fatal(err)
	}
	if got := dataOf(t, objects, "authgate.yaml"); got != "listen: \":8080\"\n" {
		t.Errorf("the configuration is %q", got)
	}
	if got := dataOf(t, objects, "policy.csv"); got != "p, role:admin, *, /**, *, allow\n" {
		t.Errorf("the policy is %q", got)
	}
	if strings.Contains(string(manifest), "authgate-policy-") {
		t.Error("a changed policy would restart the pods")
	}
	if got := deploymentOf(t, rendered{objects: objects}).Spec.Template.Spec.Containers[0].Image; got != "ghcr.io/example-org/authgate:1.2.3" {
		t.Errorf("the image is %s", got)
	}
}
