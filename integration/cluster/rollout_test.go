//go:build unix

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A request that takes this long is in flight while pods end.
const long = 20 * time.Second

// ask sends a request that takes long, and gives a function that waits for its answer.
func ask(t *testing.T) (finish func()) {
	t.Helper()
	alice := arrive(t, "alice")
	see(t, alice, shared.url(toolsHost)+"/", http.StatusOK, "alice")
	answered := make(chan string, 1)
	go func() {
		a, err := alice.Fetch(t.Context(), http.MethodPost, shared.url(toolsHost)+"/slow?for="+long.String(), "{}")
		if err == nil && a.Status == http.StatusOK {
			answered <- ""
			return
		}
		answered <- http.StatusText(a.Status) + " " + a.Body
	}()
	return func() {
		t.Helper()
		if fault := <-answered; fault != "" {
			t.Errorf("a long request did not finish: %s", fault)
		}
	}
}

// replaced waits until no pod of before is left.
func replaced(t *testing.T, before []corev1.Pod) {
	t.Helper()
	was := names(before)
	eventually(t, "new pods", func() bool {
		for _, p := range pods(t) {
			if was[p.Name] {
				return false
			}
		}
		return true
	})
	settle(t)
}

func TestNoRequestIsLostWhilePodsAreReplaced(t *testing.T) {
	install(t, "shutdownDelay: 3s", "shutdownDelay: 10s") // so that the long request ends after it
	for name, replace := range map[string]func(t *testing.T){
		"rolling restart": func(t *testing.T) {
			kubectl(t, "rollout", "restart", "deployment/"+releaseName, "--namespace", namespace)
			kubectl(t, "rollout", "status", "deployment/"+releaseName, "--namespace", namespace, "--timeout=2m")
		},
		"helm upgrade": func(t *testing.T) {
			if _, err := shared.release(t.Context(), shared.values("shutdownDelay: 3s", "shutdownDelay: 10s, upstreamHeader: 45s")); err != nil {
				t.Fatal(err)
			}
		},
		"drain": drain,
	} {
		t.Run(name, func(t *testing.T) {
			before := pods(t)
			l := startLoad(t, shared.url(toolsHost)+"/", 6)
			finish := ask(t)
			replace(t)
			replaced(t, before)
			finish()
			l.end(t)
		})
	}
}

// drain evicts all pods at once, again and again, as `kubectl drain` does, and the budget
// lets one go at a time.
func drain(t *testing.T) {
	refused := 0
	left := names(pods(t))
	eventually(t, "the pods to be evicted", func() bool {
		for pod := range left {
			err := shared.PolicyV1().Evictions(namespace).Evict(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: namespace}})
			switch {
			case apierrors.IsTooManyRequests(err) && strings.Contains(err.Error(), "disruption budget"):
				refused++
			case err == nil, apierrors.IsNotFound(err):
				delete(left, pod)
			default:
				t.Fatal(err)
			}
		}
		return len(left) == 0
	})
	if refused == 0 {
		t.Error("the budget has refused no eviction")
	}
}
