package chart_test

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"helm.sh/helm/v3/pkg/strvals"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// rendered is a release: what `helm template` prints, and the notes.
type rendered struct {
	manifest string
	notes    string
	files    map[string]string // :: template → what it renders
	objects  []runtime.Object
}

// valuesOf reads ci/NAME-values.yaml and writes the settings (helm's --set
// syntax) over it.
func valuesOf(t testing.TB, name string, set ...string) map[string]any {
	t.Helper()
	values, err := chartutil.ReadValuesFile(filepath.Join(chartDir, "ci", name+"-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range set {
		if err := strvals.ParseInto(setting, values); err != nil {
			t.Fatalf("--set %s: %v", setting, err)
		}
	}
	return values
}

// ciNames lists the values files that stand for one feature each.
func ciNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no values files in ci: %v", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), "-values.yaml")
	}
	return files
}

// render installs nothing: it is `helm template authgate` in namespace login.
func render(t testing.TB, values map[string]any) rendered {
	t.Helper()
	r, err := tryRender(values)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryRender(values map[string]any) (rendered, error) {
	return renderWith(values, engine.Render)
}

// renderWith renders by a function that may read a cluster.
func renderWith(values map[string]any, render func(*chart.Chart, chartutil.Values) (map[string]string, error)) (rendered, error) {
	chart, err := loader.Load(chartDir)
	if err != nil {
		return rendered{}, err
	}
	// Without it the library takes the cluster for Kubernetes 1.20.
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.33.4-eks-036c24b", Major: "1", Minor: "33"}
	if !chartutil.IsCompatibleRange(chart.Metadata.KubeVersion, capabilities.KubeVersion.Version) {
		return rendered{}, fmt.Errorf("kubeVersion %q refuses %s", chart.Metadata.KubeVersion, capabilities.KubeVersion.Version)
	}
	release := chartutil.ReleaseOptions{Name: "authgate", Namespace: "login", Revision: 1, IsInstall: true}
	tree, err := chartutil.ToRenderValues(chart, values, release, capabilities)
	if err != nil {
		return rendered{}, err
	}
	files, err := render(chart, tree)
	if err != nil {
		return rendered{}, err
	}
	return collect(files)
}

// collect decodes every document of every template, in the order of their names.
func collect(files map[string]string) (rendered, error) {
	r := rendered{files: files}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch {
		case path.Base(name) == "NOTES.txt":
			r.notes = files[name]
			continue
		case strings.TrimSpace(files[name]) == "":
			continue
		}
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", name, strings.TrimSpace(files[name]))
		objects, err := decodeAll(files[name])
		if err != nil {
			return rendered{}, fmt.Errorf("%s: %w", name, err)
		}
		r.objects = append(r.objects, objects...)
	}
	r.manifest = text.String()
	return r, nil
}

func decodeAll(text string) ([]runtime.Object, error) {
	documents := releaseutil.SplitManifests(text)
	var objects []runtime.Object
	for _, key := range slices.Sorted(maps.Keys(documents)) {
		object, err := decode(documents[key])
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// kinds are the types of Kubernetes and of the operators that the chart has objects
// for.
var kinds = func() *runtime.Scheme {
	kinds := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, gatewayv1.Install, monitoringv1.AddToScheme, addCertManager, addExternalSecrets} {
		utilruntime.Must(add(kinds))
	}
	return kinds
}()

// decode rejects a field that the type does not have, and a duplicate key: with
// server-side apply the API server would reject them too.
func decode(document string) (runtime.Object, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		return nil, err
	}
	object, err := kinds.New(kind.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
		return nil, fmt.Errorf("%s: %w", kind.Kind, err)
	}
	return object, nil
}

// all returns the objects of one type.
func all[T runtime.Object](objects []runtime.Object) []T {
	var found []T
	for _, object := range objects {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

// one returns the only object of a type.
func one[T runtime.Object](t testing.TB, objects []runtime.Object) T {
	t.Helper()
	found := all[T](objects)
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

func deploymentOf(t testing.TB, r rendered) *appsv1.Deployment {
	t.Helper()
	return one[*appsv1.Deployment](t, r.objects)
}

// serviceOf returns the Service that dashboards are reached by.
func serviceOf(t testing.TB, r rendered) *corev1.Service {
	t.Helper()
	return named[*corev1.Service](t, r.objects, "authgate")
}

// named returns the only object of a type that has a name.
func named[T interface {
	runtime.Object
	metav1.Object
}](t testing.TB, objects []runtime.Object, name string) T {
	t.Helper()
	for _, object := range all[T](objects) {
		if object.GetName() == name {
			return object
		}
	}
	t.Fatalf("no %T is called %s", *new(T), name)
	return *new(T)
}

func ingressOf(t testing.TB, r rendered) *networkingv1.Ingress {
	t.Helper()
	return one[*networkingv1.Ingress](t, r.objects)
}

// dataOf returns what a key holds in whichever ConfigMap has it.
func dataOf(t testing.TB, objects []runtime.Object, key string) string {
	t.Helper()
	for _, configMap := range all[*corev1.ConfigMap](objects) {
		if data, ok := configMap.Data[key]; ok {
			return data
		}
	}
	t.Fatalf("no ConfigMap has the key %s", key)
	return ""
}
