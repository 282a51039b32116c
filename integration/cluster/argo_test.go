//go:build unix

package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func workflowsPage() string { return shared.url(workflowsHost) + "/api/v1/workflows/argo" }

// The chart's Role lets authgate create tokens of the accounts that the configuration
// names, and of no other. Without it, a page says what is missing.
func TestTokensNeedTheRoleOfTheChart(t *testing.T) {
	install(t)
	see(t, arrive(t, "alice"), workflowsPage(), http.StatusOK, `"metadata"`)
	see(t, arrive(t, "bob"), workflowsPage(), http.StatusOK, `"metadata"`)
	as := "--as=system:serviceaccount:authgate:authgate"
	if out, _ := shared.run(t.Context(), "kubectl", "auth", "can-i", "create", "serviceaccounts/argo-admin", "--subresource=token", "-n", "argo", as); out != "yes\n" {
		t.Errorf("it may create a token of argo-admin: %s", out)
	}
	for _, forbidden := range [][]string{
		{"create", "serviceaccounts/argo-server", "--subresource=token", "-n", "argo"},
		{"get", "secrets", "-n", "argo"},
		{"create", "serviceaccounts/default", "--subresource=token", "-n", "authgate"},
		{"list", "serviceaccounts", "-n", "argo"},
	} {
		out, _ := shared.run(t.Context(), "kubectl", append([]string{"auth", "can-i", as}, forbidden...)...)
		if !strings.HasPrefix(out, "no") {
			t.Errorf("it may %s: %s", strings.Join(forbidden, " "), out)
		}
	}

	roles, err := shared.RbacV1().Roles("argo").List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + releaseName})
	if err != nil || len(roles.Items) != 1 {
		t.Fatalf("%d Roles of the chart: %v", len(roles.Items), err)
	}
	if err := shared.RbacV1().Roles("argo").Delete(t.Context(), roles.Items[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	before := pods(t) // which have tokens that last
	kubectl(t, "rollout", "restart", "deployment/"+releaseName, "--namespace", namespace)
	replaced(t, before)
	see(t, arrive(t, "alice"), workflowsPage(), http.StatusBadGateway, "create on serviceaccounts/token")
	see(t, arrive(t, "alice"), shared.url(toolsHost)+"/", http.StatusOK, "alice") // others do not suffer

	if _, err := shared.release(t.Context(), shared.values()); err != nil { // brings the Role back
		t.Fatal(err)
	}
	alice := arrive(t, "alice")
	eventually(t, "the page to open", func() bool {
		a, err := alice.Open(t.Context(), workflowsPage())
		return err == nil && a.Status == http.StatusOK
	})
}

// counting is a Workflow with a pod that prints lines, as its controller would have it.
const counting = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: counting, namespace: argo}
spec:
  entrypoint: main
  templates: [{name: main, container: {image: "local.test/pods:1"}}]
status:
  phase: Running
  startedAt: "2026-01-01T00:00:00Z"
  nodes:
    counting: {id: counting, name: counting, displayName: counting, type: Pod, phase: Running, templateName: main, startedAt: "2026-01-01T00:00:00Z"}
---
apiVersion: v1
kind: Pod
metadata:
  name: counting
  namespace: argo
  labels: {workflows.argoproj.io/workflow: counting}
  annotations: {workflows.argoproj.io/node-name: counting, workflows.argoproj.io/node-id: counting}
spec:
  restartPolicy: Never
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: main
      image: local.test/pods:1
      args: [lines, "30"]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`

// finished is what its controller makes of it once the pod has ended.
var finished = strings.NewReplacer(
	"metadata: {name: counting, namespace: argo}", `metadata: {name: counting, namespace: argo, labels: {workflows.argoproj.io/completed: "true"}}`,
	"status:\n  phase: Running\n", "status:\n  phase: Succeeded\n  finishedAt: \"2026-01-01T00:01:00Z\"\n",
).Replace(counting)

// The lines of a pod arrive while it prints them: in a browser, and at `argo logs -f` in
// both of its forms.
func TestLogsOfAPodAreFollowedThroughArgoWorkflows(t *testing.T) {
	install(t, "p, role:admin", "p, role:viewer, workflows, /workflow.WorkflowService/*, POST, allow\n  p, role:admin", workflowsHost+"]", workflowsHost+", localhost]")
	if err := shared.Apply(t.Context(), counting); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shared.Delete(context.Background(), counting) })
	eventually(t, "the pod", func() bool {
		pod, err := shared.CoreV1().Pods("argo").Get(t.Context(), "counting", metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodRunning
	})
	bob := arrive(t, "bob")
	see(t, bob, workflowsPage(), http.StatusOK, "counting")
	stream, err := bob.Listen(t.Context(), workflowsPage()+"/counting/log?logOptions.container=main&logOptions.follow=true&grep=")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close() // only read
	began := time.Now()
	for _, line := range []string{"line 1", "line 2", "line 3"} {
		if event, err := stream.Next(); err != nil || !strings.Contains(event, line+`"`) {
			t.Fatalf("the stream of a browser has %q, %v; want %s", event, err, line)
		}
	}
	t.Logf("three lines arrived within %s", time.Since(began).Round(10*time.Millisecond))

	token := tokenOf(t, "bob")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	said := map[string]*bytes.Buffer{}
	waits := map[string]func() error{}
	for form, http1 := range map[string]bool{"gRPC": false, "HTTP/1": true} {
		cmd := shared.workflows.Command(ctx, localhost(), token, http1, "logs", "counting", "--follow", "--no-color")
		said[form] = new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = said[form], said[form]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waits[form] = cmd.Wait
	}
	eventually(t, "the pod to end", func() bool {
		pod, err := shared.CoreV1().Pods("argo").Get(t.Context(), "counting", metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodSucceeded
	})
	if err := shared.Apply(t.Context(), finished); err != nil {
		t.Fatal(err)
	}
	for form, wait := range waits {
		if err := wait(); err != nil || !strings.Contains(said[form].String(), "line 1\n") || !strings.Contains(said[form].String(), "line 30\n") {
			t.Errorf("argo logs --follow by %s: %v\n%s", form, err, said[form])
		}
	}
}
