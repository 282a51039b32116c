//go:build unix && !linux

package main

import (
	"context"
	"errors"

	"github.com/example-org/authgate/integration/kube"
)

func (c *cluster) startNode(context.Context) error { return canStartNode() }

func canStartNode() error {
	return errors.New("a Kubernetes node needs Linux: name a cluster in " + kubeconfigVariable)
}

// buildKubernetes compiles kubectl and Helm.
func (c *cluster) buildKubernetes(ctx context.Context, out progress) error {
	return kube.Build(ctx, c.bin, out, kube.Kubectl, kube.Helm)
}
