//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where authgate is installed.
const (
	namespace   = "authgate"
	releaseName = "authgate"
)

// prepare makes the namespace and the Secret, as the chart's README says. Pods there must
// obey the restricted Pod Security standard.
func (c *cluster) prepare(ctx context.Context) error {
	if _, err := c.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		if _, err := c.run(ctx, "kubectl", "create", "namespace", namespace); err != nil {
			return err
		}
	}
	if _, err := c.run(ctx, "kubectl", "label", "--overwrite", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"); err != nil {
		return err
	}
	if _, err := c.CoreV1().Secrets(namespace).Get(ctx, "authgate", metav1.GetOptions{}); err == nil {
		return nil // other keys would sign users out
	}
	keys, err := c.command(ctx, "authgate", "keygen").Output()
	if err != nil {
		return fmt.Errorf("authgate keygen: %w", err)
	}
	return c.setSecret(ctx, string(keys))
}

// setSecret creates the Secret authgate, or changes it, with these session keys.
func (c *cluster) setSecret(ctx context.Context, sessionKeys string) error {
	return c.Apply(ctx, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: authgate, namespace: %s}
stringData: {client-id: %s, client-secret: %s, session-keys: %q}
`, namespace, clientID, clientSecret, sessionKeys))
}

// values are those of a release in front of all three dashboards.
func (c *cluster) values(changes ...string) string {
	text := fmt.Sprintf(`
existingSecret: authgate
metrics: {enabled: true}
config:
  trustedProxies: [10.0.0.0/8]
  issuer: {url: "%s"}
  timeouts: {shutdownDelay: 3s}
  upstreams:
    - {name: argocd, hosts: [%s], url: "http://argocd-server.argocd.svc:80", kind: argo-cd}
    - name: workflows
      hosts: [%s]
      url: http://argo-server.argo.svc:2746
      kind: argo-workflows
      identity:
        credential: serviceAccount
        serviceAccounts:
          - {role: "role:admin", namespace: argo, name: argo-admin}
          - {role: "role:viewer", namespace: argo, name: argo-viewer}
    - {name: tools, hosts: [%s], url: "http://dashboard.dashboards.svc:80"}
policy: |
%s`, c.issuer(), argoCDHost, workflowsHost, toolsHost, indent(defaultPolicy))
	for i := 0; i+1 < len(changes); i += 2 {
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	return text
}

// defaultPolicy lets alice's team do everything, and bob's read.
const defaultPolicy = `p, system:anonymous, argocd, /api/dex/**, *, allow
p, role:admin, *, /**, *, allow
p, role:viewer, *, /**, GET, allow
g, example-org:argo, role:admin
g, example-org:dev, role:viewer
`

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

// release installs authgate, or upgrades it, and waits until its pods are ready.
func (c *cluster) release(ctx context.Context, values string, args ...string) (string, error) {
	file := filepath.Join(c.dir, "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		return "", err
	}
	args = append([]string{
		"upgrade", "--install", releaseName, filepath.Join("deploy", "helm", "authgate"), "--namespace", namespace,
		"--values", file, "--wait", "--timeout", "3m",
	}, args...)
	out, err := c.run(ctx, "helm", args...)
	if err != nil {
		err = errors.Join(err, errors.New(c.Explain(context.WithoutCancel(ctx), namespace)))
	}
	return out, err
}

// open lets browsers of this machine reach authgate.
func (c *cluster) open() error {
	return c.forward(c.port, net.JoinHostPort(releaseName+"."+namespace+".svc", "80"))
}
