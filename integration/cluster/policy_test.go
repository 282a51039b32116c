//go:build unix

package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const adminPort = 9090

// bobMayWrite is a row that lets bob's team send forms to the dashboard.
const bobMayWrite = "p, role:viewer, tools, /**, POST, allow\n"

// policyState is what /readyz says about the policy of a pod.
type policyState struct {
	Hash    string
	Refused *struct{ Error string }
}

func policyOf(t *testing.T, pod corev1.Pod) policyState {
	t.Helper()
	status, body := inside(t, pod, adminPort, "/readyz")
	var state struct{ Policy policyState }
	if err := json.Unmarshal([]byte(body), &state); err != nil || status != http.StatusOK {
		t.Fatalf("/readyz of %s: %d %v %s", pod.Name, status, err, body)
	}
	return state.Policy
}

// edit writes another policy into the ConfigMap, as `kubectl edit` does.
func edit(t *testing.T, policy string) {
	t.Helper()
	configMap, err := shared.CoreV1().ConfigMaps(namespace).Get(t.Context(), releaseName+"-policy", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	configMap.Data["policy.csv"] = policy
	if _, err := shared.CoreV1().ConfigMaps(namespace).Update(t.Context(), configMap, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// ways are how a policy reaches pods, and how long an edit may take: the kubelet copies a
// ConfigMap when it next looks at a pod, and the API server tells of it at once.
var ways = map[string]struct {
	values string
	within time.Duration
}{
	"file":  {"", 2 * time.Minute},
	"watch": {"watchPolicyConfigMap: true\n", 5 * time.Second}, // 2 s, and a busy machine
}

// installPolicy installs authgate so that the policy reaches it in one of the ways.
func installPolicy(t *testing.T, values string) {
	t.Helper()
	install(t, "config:\n", values+"config:\n")
}

func TestAnEditedPolicyIsAppliedByAllPods(t *testing.T) {
	for way, expected := range ways {
		t.Run(way, func(t *testing.T) {
			installPolicy(t, expected.values)
			before := pods(t)
			hash := policyOf(t, before[0]).Hash
			bob := arrive(t, "bob")
			see(t, bob, shared.url(toolsHost)+"/", http.StatusOK, `"user":"bob"`)
			if a, err := bob.Fetch(t.Context(), http.MethodPost, shared.url(toolsHost)+"/", "{}"); err != nil || a.Status != http.StatusForbidden {
				t.Fatalf("bob writes before he may: %v %d", err, a.Status)
			}
			began := time.Now()
			edit(t, defaultPolicy+bobMayWrite)
			for _, pod := range before {
				eventually(t, pod.Name+" to apply the policy", func() bool { return policyOf(t, pod).Hash != hash })
				took := time.Since(began)
				t.Logf("%s applied it after %s", pod.Name, took.Round(100*time.Millisecond))
				if took > expected.within {
					t.Errorf("that is more than %s", expected.within)
				}
			}
			if a, err := bob.Fetch(t.Context(), http.MethodPost, shared.url(toolsHost)+"/", "{}"); err != nil || a.Status != http.StatusOK {
				t.Errorf("bob writes: %v %d %s", err, a.Status, a.Body)
			}
			sameAsBefore(t, before)
		})
	}
}

// sameAsBefore wants no pod to have been replaced or restarted.
func sameAsBefore(t *testing.T, before []corev1.Pod) {
	t.Helper()
	was := names(before)
	for _, p := range pods(t) {
		if !was[p.Name] || p.Status.ContainerStatuses[0].RestartCount > 0 {
			t.Errorf("%s is new, or has restarted", p.Name)
		}
	}
}

func TestAnUpgradeOfThePolicyAloneRestartsNoPod(t *testing.T) {
	install(t)
	before := pods(t)
	hash := policyOf(t, before[0]).Hash
	if _, err := shared.release(t.Context(), shared.values("p, role:admin", "p, role:viewer, tools, /**, POST, allow\n  p, role:admin")); err != nil {
		t.Fatal(err)
	}
	for _, pod := range before {
		eventually(t, pod.Name+" to apply the policy", func() bool { return policyOf(t, pod).Hash != hash })
	}
	sameAsBefore(t, before)
}

func TestTheHookRejectsABadPolicy(t *testing.T) {
	install(t)
	before := pods(t)
	out, err := shared.release(t.Context(), shared.values("p, role:admin, *, /**, *, allow", "p, role:admin, *, /**, *, Allow"))
	if err == nil {
		t.Fatalf("the upgrade succeeds:\n%s", out)
	}
	log := kubectl(t, "logs", "job/authgate-preflight", "--all-containers", "--namespace", namespace)
	if !strings.Contains(log, "policy.csv:2:") || !strings.Contains(log, "Allow") {
		t.Errorf("its log does not name the row:\n%s", log)
	}
	sameAsBefore(t, before)
	see(t, arrive(t, "alice"), shared.url(toolsHost)+"/", http.StatusOK, "alice")
}

func TestABadPolicyByEditLeavesTheLastGoodOneInForce(t *testing.T) {
	for way, expected := range ways {
		t.Run(way, func(t *testing.T) {
			installPolicy(t, expected.values)
			before := pods(t)
			edit(t, defaultPolicy+"p, role:viewer, tools, /**, POST, Allow\n")
			for _, pod := range before {
				eventually(t, pod.Name+" to refuse the policy", func() bool { return policyOf(t, pod).Refused != nil })
				refusalShows(t, pod, "policy.csv:6:")
			}
			see(t, arrive(t, "bob"), shared.url(toolsHost)+"/", http.StatusOK, "bob")
			edit(t, defaultPolicy)
			for _, pod := range before {
				eventually(t, pod.Name+" to be well again", func() bool { return policyOf(t, pod).Refused == nil })
			}
			sameAsBefore(t, before)
		})
	}
}

// refusalShows wants a pod that has refused a policy to stay ready, and to say so at the
// admin port, in a metric, and in the audit.
func refusalShows(t *testing.T, pod corev1.Pod, place string) {
	t.Helper()
	if refused := policyOf(t, pod).Refused.Error; !strings.Contains(refused, place) {
		t.Errorf("/readyz says %q", refused)
	}
	if _, metrics := inside(t, pod, adminPort, "/metrics"); !strings.Contains(metrics, `authgate_policy_reloads_total{result="error"} 1`) {
		t.Error("the metric does not count it")
	}
	log := kubectl(t, "logs", pod.Name, "--namespace", namespace)
	if !strings.Contains(log, `"event":"policy"`) || !strings.Contains(log, place) {
		t.Errorf("the audit does not tell of it:\n%s", log)
	}
	if status, body := inside(t, pod, 8080, "/readyz"); status != http.StatusOK {
		t.Errorf("%s is not ready: %s", pod.Name, body)
	}
}
