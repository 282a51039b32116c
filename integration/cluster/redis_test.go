//go:build unix

package main

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scale gives a Deployment this many pods, and waits for that.
func scale(t *testing.T, in, name string, replicas int32) {
	t.Helper()
	current, err := shared.AppsV1().Deployments(in).GetScale(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	current.Spec.Replicas = replicas
	if _, err := shared.AppsV1().Deployments(in).UpdateScale(t.Context(), name, current, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := shared.Await(t.Context(), in, name); err != nil {
		t.Fatal(err)
	}
}

// Redis keeps the sessions, is gone for a while, and comes back.
func TestRedisIsKilledAndRestored(t *testing.T) {
	install(t, "  upstreams:\n", "  session: {store: redis, redis: {url: \"redis://redis.redis.svc:6379/0\"}}\n  upstreams:\n")
	defer scale(t, "redis", "redis", 1)
	alice, page := arrive(t, "alice"), shared.url(toolsHost)+"/"
	see(t, alice, page, http.StatusOK, "alice")
	before := pods(t)
	scale(t, "redis", "redis", 0)
	for _, pod := range before {
		eventually(t, pod.Name+" to notice", func() bool {
			// A pod asks its store again when a request needs it.
			_, _ = alice.Fetch(t.Context(), http.MethodGet, page, "")
			_, metrics := inside(t, pod, adminPort, "/metrics")
			return strings.Contains(metrics, "authgate_session_store_up 0")
		})
		if status, body := inside(t, pod, 8080, "/readyz"); status != http.StatusOK {
			t.Errorf("%s leaves the Service: %d %s", pod.Name, status, body)
		}
	}
	if a, err := alice.Fetch(t.Context(), http.MethodGet, page, ""); err != nil || (a.Status != http.StatusOK && a.Status != http.StatusServiceUnavailable) {
		t.Errorf("without Redis: %v %d %s", err, a.Status, a.Body)
	}
	scale(t, "redis", "redis", 1)
	for _, pod := range before {
		eventually(t, pod.Name+" to be well again", func() bool {
			_, metrics := inside(t, pod, adminPort, "/metrics")
			return strings.Contains(metrics, "authgate_session_store_up 1")
		})
	}
	see(t, alice, page, http.StatusOK, "alice") // who signs in again, because this Redis forgets
	sameAsBefore(t, before)
}
