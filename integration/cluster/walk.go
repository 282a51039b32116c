//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/example-org/authgate/integration/visitor"
)

// welcome says what to open.
func (c *cluster) welcome(out io.Writer) {
	_, _ = fmt.Fprintf(out, `
authgate runs in Kubernetes. Open in a browser on this machine:

  %s       Argo CD
  %s   Argo Workflows
  %s           another dashboard

GitHub is a fake one, and its certificate is its own. Choose who you are on its page: alice may do everything,
bob may look, carol is in no team. The web pages of both Argos are not part of their source, only their APIs are.

In another terminal:

  export KUBECONFIG=%s PATH=%s:$PATH
  kubectl get pods -A
  helm get values authgate -n authgate

Ctrl-C ends the cluster.
`, c.url(argoCDHost), c.url(workflowsHost), c.url(toolsHost), c.kubeconfig, c.bin)
}

// visitor is a user at a browser of their own.
func (c *cluster) visitor(login string) (*visitor.Visitor, error) {
	return visitor.New(login, c.githubURL(), c.github.CA)
}

// walk logs in as each user, and prints what comes of it.
func (c *cluster) walk(ctx context.Context, out io.Writer) error {
	if err := c.awaitService(ctx); err != nil {
		return err
	}
	failed := 0
	for _, step := range []struct {
		login, address string
		status         int
		words          string // in the answer
	}{
		{"alice", c.url(toolsHost) + "/", http.StatusOK, `"user":"alice"`},
		{"alice", c.url(argoCDHost) + "/api/v1/applications", http.StatusOK, "guestbook"},
		{"alice", c.url(workflowsHost) + "/api/v1/workflows/argo", http.StatusOK, `"metadata"`},
		{"bob", c.url(argoCDHost) + "/api/v1/session/userinfo", http.StatusOK, "example-org:dev"},
		{"carol", c.url(toolsHost) + "/", http.StatusForbidden, "no groups"},
	} {
		v, err := c.visitor(step.login)
		if err != nil {
			return err
		}
		a, err := v.Open(ctx, step.address)
		result := "ok"
		if err != nil || a.Status != step.status || !strings.Contains(a.Body, step.words) {
			failed++
			result = fmt.Sprintf("FAIL: %v\n%s", err, a.Body)
		}
		_, _ = fmt.Fprintf(out, "%-6s opens %-60s %d (expected %d)  %s\n", step.login, step.address, a.Status, step.status, result)
	}
	if failed > 0 {
		return fmt.Errorf("%d steps failed", failed)
	}
	return nil
}

// awaitService waits until the Service leads to authgate: kube-proxy follows a moment later.
func (c *cluster) awaitService(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		a, err := visitor.Curl(ctx, http.MethodGet, c.url(argoCDHost)+"/readyz")
		if err == nil && a.Status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("authgate does not answer at its Service: %w %d", err, a.Status)
		case <-tick.C:
		}
	}
}
