//go:build unix

package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example-org/authgate/integration/fakegithub"
)

// metricsAPI stands in for metrics-server, with usage that the test sets.
const metricsAPI = `
apiVersion: v1
kind: Namespace
metadata: {name: metrics, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: metrics, namespace: metrics}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: metrics}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: metrics}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics}
subjects: [{kind: ServiceAccount, name: metrics, namespace: metrics}]
---
apiVersion: v1
kind: Secret
metadata: {name: identity, namespace: metrics}
stringData: {ca.crt: %[1]q, tls.crt: %[2]q, tls.key: %[3]q}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: metrics, namespace: metrics}
spec:
  selector: {matchLabels: {app: metrics}}
  template:
    metadata: {labels: {app: metrics}}
    spec:
      serviceAccountName: metrics
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: metrics
          image: local.test/pods:1
          args: [metrics, ":8443"]
          ports: [{name: https, containerPort: 8443}]
          readinessProbe: {tcpSocket: {port: https}, periodSeconds: 1}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: identity, mountPath: /identity, readOnly: true}]
      volumes: [{name: identity, secret: {secretName: identity}}]
---
apiVersion: v1
kind: Service
metadata: {name: metrics, namespace: metrics}
spec:
  selector: {app: metrics}
  ports: [{port: 443, targetPort: https}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  caBundle: %[4]s
  service: {namespace: metrics, name: metrics}
`

// The autoscaler adds pods when they are busy, and removes them when they are not.
func TestPodsFollowTheirLoad(t *testing.T) {
	identity, err := fakegithub.NewIdentity("metrics.metrics.svc")
	if err != nil {
		t.Fatal(err)
	}
	manifests := fmt.Sprintf(metricsAPI, identity.CA, identity.Certificate, identity.Key, base64.StdEncoding.EncodeToString(identity.CA))
	if err := shared.Apply(t.Context(), manifests); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shared.Delete(context.Background(), manifests) })
	if err := shared.Await(t.Context(), "metrics", "metrics"); err != nil {
		t.Fatal(err)
	}
	install(t, "config:\n", "autoscaling: {enabled: true, minReplicas: 2, maxReplicas: 3, behavior: {scaleDown: {stabilizationWindowSeconds: 0}}}\nconfig:\n")
	use := func(cpu string) {
		t.Helper()
		if _, err := shared.run(t.Context(), "kubectl", "get", "--raw", "/api/v1/namespaces/metrics/services/https:metrics:443/proxy/cpu/"+cpu); err != nil {
			t.Fatal(err)
		}
	}
	replicas := func(what string, want int32) {
		t.Helper()
		var last autoscalingv2.HorizontalPodAutoscalerStatus
		eventually(t, what, func() bool {
			hpa, err := shared.AutoscalingV2().HorizontalPodAutoscalers(namespace).Get(t.Context(), releaseName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			last = hpa.Status
			return last.DesiredReplicas == want && len(pods(t)) == int(want)
		})
	}
	use("900m")
	replicas("a third pod", 3)
	use("1m")
	replicas("two pods", 2)
	see(t, arrive(t, "alice"), shared.url(toolsHost)+"/", http.StatusOK, "alice")
}
