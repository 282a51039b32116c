package main

import (
	"context"
	"fmt"
	"os"

	"github.com/example-org/authgate/integration/kube"
	"github.com/example-org/authgate/integration/node"
)

// startNode runs a node on this machine.
func (c *cluster) startNode(ctx context.Context) error {
	if err := canStartNode(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "authgate-node-")
	if err != nil {
		return err
	}
	c.stops = append(c.stops, func() error { return os.RemoveAll(dir) })
	n, err := node.Start(ctx, c.bin, dir)
	if err != nil {
		return err
	}
	c.stops = append(c.stops, n.Stop)
	c.Client, c.kubeconfig, c.dial, c.load, c.ended = n.Client, n.Kubeconfig, n.Dial, n.Load, n.Done()
	return nil
}

func canStartNode() error {
	if err := node.Missing(); err != nil {
		return fmt.Errorf("%w; or name a cluster in %s", err, kubeconfigVariable)
	}
	return nil
}

// buildKubernetes compiles kubectl and Helm, and what a node of our own runs.
func (c *cluster) buildKubernetes(ctx context.Context, out progress) error {
	if os.Getenv(kubeconfigVariable) != "" {
		return kube.Build(ctx, c.bin, out, kube.Kubectl, kube.Helm)
	}
	return node.Build(ctx, c.bin, out)
}
