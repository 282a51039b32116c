package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"
)

// metrics stands in for metrics-server: the API of metrics, in which every container of
// the pods that are asked for uses the CPU that a request for /cpu/AMOUNT has set.
func metrics(ctx context.Context, args []string) error {
	id, err := identity()
	if err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(id.Certificate, id.Key)
	if err != nil {
		return err
	}
	var cpu atomic.Pointer[string]
	idle := "1m"
	cpu.Store(&idle)
	const api = "/apis/metrics.k8s.io/v1beta1"
	mux := http.NewServeMux()
	mux.HandleFunc("/cpu/{amount}", func(_ http.ResponseWriter, r *http.Request) {
		amount := r.PathValue("amount")
		cpu.Store(&amount)
	})
	mux.HandleFunc("GET "+api, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
			"resources": []any{map[string]any{"name": "pods", "namespaced": true, "kind": "PodMetrics", "verbs": []string{"get", "list"}}},
		})
	})
	mux.HandleFunc("GET "+api+"/namespaces/{namespace}/pods", func(w http.ResponseWriter, r *http.Request) {
		found, err := listPods(r.Context(), r.PathValue("namespace"), r.URL.Query().Get("labelSelector"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		items := []any{}
		for _, pod := range found {
			var containers []any
			for _, c := range pod.Spec.Containers {
				containers = append(containers, map[string]any{"name": c.Name, "usage": map[string]string{"cpu": *cpu.Load(), "memory": "20Mi"}})
			}
			items = append(items, map[string]any{
				"metadata":  map[string]any{"name": pod.Metadata.Name, "namespace": pod.Metadata.Namespace, "labels": pod.Metadata.Labels},
				"timestamp": time.Now().UTC().Format(time.RFC3339), "window": "10s", "containers": containers,
			})
		}
		answer(w, map[string]any{"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": items})
	})
	return serve(ctx, args[0], mux, &certificate)
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object)
}
