package chart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examplesDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAuthgateAcceptsTheExampleConfiguration(t *testing.T) {
	t.Parallel()
	login := sourcesOf(t, nil).secrets["login"]
	m := mounted{root: t.TempDir(), env: []string{"AUTHGATE_CLIENT_ID=authgate"}}
	// policy.csv is next to the configuration, as it is here.
	m.write(t, "authgate.yaml", read(t, "authgate.yaml"))
	m.write(t, "policy.csv", read(t, "policy.csv"))
	m.write(t, "/etc/authgate/client-secret", login["client-secret"])
	m.write(t, "/etc/authgate/session-keys", login["session-keys"])
	m.isAccepted(t, "authgate.yaml")
}

// asks puts questions to a policy: who, method and target a line.
func asks(t *testing.T, policy string, yes bool, questions string) {
	t.Helper()
	for question := range strings.Lines(questions) {
		fields := strings.Fields(question)
		if len(fields) == 0 {
			continue
		}
		v := authgate(t, nil, append([]string{"policy", "can", "--policy", policy}, fields...)...)
		want := 1
		if yes {
			want = 0
		}
		if v.code != want {
			t.Errorf("policy can %s: exit code %d, want %d\n%s%s", strings.Join(fields, " "), v.code, want, v.stdout, v.stderr)
		}
	}
}

func TestExamplePolicyDoesWhatItsCommentsSay(t *testing.T) {
	t.Parallel()
	policy := filepath.Join(examplesDir, "policy.csv")

	asks(t, policy, true, `
		--anonymous GET argocd:/api/dex/auth
		--anonymous POST argocd:/api/dex/token
		--anonymous POST argocd:/api/webhook

		--group example-org:argo GET argocd:/
		--group example-org:argo GET argocd:/terminal
		--group example-org:argo DELETE argocd:/api/v1/applications/shop
		--group example-org:argo POST workflows:/api/v1/workflows/argo

		--group example-org:dev GET argocd:/
		--group example-org:dev HEAD argocd:/main.0123456789abcdef0123.js
		--group example-org:dev GET argocd:/applications
		--group example-org:dev GET argocd:/applications/argocd/shop
		--group example-org:dev GET argocd:/settings/projects
		--group example-org:dev GET argocd:/api/v1/stream/applications
		--group example-org:dev GET argocd:/api/v1/account/can-i/applications/sync/default/*
		--group example-org:dev GET workflows:/
		--group example-org:dev GET workflows:/api/v1/workflows/
		--group example-org:dev GET workflows:/api/v1/workflows/argo/hello/log
		--group example-org:dev GET workflows:/artifact-files/argo/workflows/hello/hello-1/outputs/main-logs

		--group example-org:release GET argocd:/applications
		--group example-org:release POST argocd:/api/v1/applications/shop/sync
		--group example-org:release DELETE argocd:/api/v1/applications/shop/operation
		--group example-org:release POST workflows:/api/v1/workflows/argo/submit
		--group example-org:release PUT workflows:/api/v1/workflows/argo/hello/retry
	`)
	asks(t, policy, false, `
		--anonymous GET argocd:/
		--anonymous GET argocd:/api/webhook
		--anonymous GET workflows:/api/dex/auth
		--anonymous GET workflows:/
		--group example-org:unknown GET argocd:/
		--group other-org:argo GET argocd:/

		--group example-org:dev GET argocd:/terminal
		--group example-org:dev GET argocd:/extensions/metrics/api
		--group example-org:dev GET argocd:/auth/logout
		--group example-org:dev POST argocd:/api/v1/applications/shop/sync
		--group example-org:dev DELETE argocd:/api/v1/applications/shop
		--group example-org:dev POST argocd:/application.ApplicationService/Sync
		--group example-org:dev GET workflows:/metrics
		--group example-org:dev POST workflows:/api/v1/workflows/argo/submit
		--group example-org:dev PUT workflows:/api/v1/workflows/argo/hello/stop

		--group example-org:release GET argocd:/terminal
		--group example-org:release DELETE argocd:/api/v1/applications/shop
		--group example-org:release POST workflows:/api/v1/workflows/argo
		--group example-org:release DELETE workflows:/api/v1/workflows/argo/hello
	`)
}

// sidecar decodes every manifest of the folder, as `kubectl apply -f` takes it.
func sidecar(t testing.TB) []runtime.Object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(examplesDir, "sidecar", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in sidecar: %v", err)
	}
	var objects []runtime.Object
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := decodeAll(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		objects = append(objects, decoded...)
	}
	return objects
}

func TestAuthgateAcceptsWhatTheSidecarMounts(t *testing.T) {
	t.Parallel()
	objects := sidecar(t)
	pod := one[*appsv1.Deployment](t, objects).Spec.Template.Spec
	gate, dashboard := pod.Containers[0], pod.Containers[1]
	m := mount(t, pod, gate, sourcesOf(t, objects))
	m.isAccepted(t, gate.Args[2])

	policy := filepath.Join(m.root, "etc/authgate/policy/policy.csv")
	ready := dashboard.ReadinessProbe.HTTPGet
	asks(t, policy, true, `
		--anonymous GET prometheus:`+ready.Path+`
		--group example-org:dev GET prometheus:/query
		--group example-org:dev GET prometheus:/api/v1/label/job/values
		--group example-org:dev POST prometheus:/api/v1/query_range
		--group example-org:argo PUT prometheus:/-/quit
	`)
	asks(t, policy, false, `
		--anonymous GET prometheus:/
		--anonymous GET prometheus:/-/healthy
		--group example-org:dev PUT prometheus:/-/quit
		--group example-org:dev GET prometheus:/debug/pprof/heap
		--group example-org:dev POST prometheus:/api/v1/admin/tsdb/delete_series
	`)
}

func TestSidecarIsTheOnlyWayIntoTheDashboard(t *testing.T) {
	t.Parallel()
	objects := sidecar(t)
	template := one[*appsv1.Deployment](t, objects).Spec.Template
	obeysRestricted(t, &template.ObjectMeta, &template.Spec)

	gate, dashboard := template.Spec.Containers[0], template.Spec.Containers[1]
	if len(template.Spec.InitContainers) != 0 {
		t.Error("Kubernetes ends a native sidecar last, and the dashboard under its requests")
	}
	if len(dashboard.Ports) != 0 {
		t.Errorf("the dashboard offers ports %v", dashboard.Ports)
	}
	if args := strings.Join(dashboard.Args, " "); !strings.Contains(args, "--web.listen-address=127.0.0.1:9091") {
		t.Errorf("the dashboard listens elsewhere than on loopback: %s", args)
	}
	if config := dataOf(t, objects, "authgate.yaml"); !strings.Contains(config, "url: http://127.0.0.1:9091") {
		t.Errorf("authgate forwards elsewhere:\n%s", config)
	}
	if got, want := dashboard.ReadinessProbe.HTTPGet.Port.IntVal, gate.Ports[0].ContainerPort; got != want {
		t.Errorf("the dashboard's probe asks port %d, authgate is at %d", got, want)
	}
	service := one[*corev1.Service](t, objects)
	if got := service.Spec.Ports[0].TargetPort.StrVal; got != gate.Ports[0].Name {
		t.Errorf("the Service leads to port %q, authgate's is %q", got, gate.Ports[0].Name)
	}
	if got := template.Labels["app.kubernetes.io/name"]; got != service.Spec.Selector["app.kubernetes.io/name"] {
		t.Errorf("the Service looks for %v, pods are %q", service.Spec.Selector, got)
	}
}

// Helm does not take over what it did not create: an example that is applied before
// the chart must not have one of its objects.
func TestChartCreatesNoObjectOfTheExamples(t *testing.T) {
	t.Parallel()
	applied, err := decodeAll(read(t, "argo-workflows/rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	id := func(object runtime.Object) string {
		m := object.(metav1.Object)
		return strings.Join([]string{object.GetObjectKind().GroupVersionKind().Kind, m.GetNamespace(), m.GetName()}, "/")
	}
	created := map[string]bool{}
	for _, object := range render(t, valuesOf(t, "argo")).objects {
		created[id(object)] = true
	}
	if !created["Role/argo/authgate-tokens"] {
		t.Errorf("the chart creates %v, want the Role of the tokens", created)
	}
	for _, object := range applied {
		if created[id(object)] {
			t.Errorf("both create %s", id(object))
		}
	}
}

// The kubelet signals both containers at once: the dashboard has to wait until
// authgate has drained, and the pod for both.
func TestDashboardOutlivesItsSidecarWithinTheGracePeriod(t *testing.T) {
	t.Parallel()
	objects := sidecar(t)
	pod := one[*appsv1.Deployment](t, objects).Spec.Template.Spec
	timeouts := timeoutsOf(t, rendered{objects: objects})
	if timeouts["shutdownDelay"] < 30*time.Second {
		t.Errorf("shutdownDelay is %v, an ALB goes on sending for up to 30s", timeouts["shutdownDelay"])
	}
	const auditFlush, dashboardStop, spare = 2 * time.Second, 20 * time.Second, 5 * time.Second
	sleep := time.Duration(pod.Containers[1].Lifecycle.PreStop.Sleep.Seconds) * time.Second
	if need := timeouts["shutdownDelay"] + timeouts["shutdown"] + auditFlush; sleep < need {
		t.Errorf("the dashboard waits for %v, authgate needs it for %v", sleep, need)
	}
	grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	if need := sleep + dashboardStop + spare; grace < need {
		t.Errorf("the grace period is %v, want %v at least", grace, need)
	}
}
