//go:build unix

package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Open connects to the server of a kubeconfig.
func Open(kubeconfig string) (*Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return Connect(config)
}

// Await waits until a Deployment has replaced all its pods, and they are ready.
func (c *Client) Await(ctx context.Context, namespace, deployment string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := c.AppsV1().Deployments(namespace).Get(ctx, deployment, metav1.GetOptions{})
		if err == nil {
			s, want := d.Status, *d.Spec.Replicas
			if s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.ReadyReplicas == want && s.Replicas == want {
				return nil
			}
			err = fmt.Errorf("%d of %d pods are ready, %d are of the newest version, %d there are", s.ReadyReplicas, want, s.UpdatedReplicas, s.Replicas)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("deployment %s/%s: %w\n%s", namespace, deployment, err, c.Explain(context.WithoutCancel(ctx), namespace))
		case <-tick.C:
		}
	}
}

// Explain says what is wrong with the pods of a namespace: their states, the warnings
// about them, and the ends of their logs.
func (c *Client) Explain(ctx context.Context, namespace string) string {
	text := ""
	pods, err := c.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	lines := int64(12)
	for _, p := range pods.Items {
		text += fmt.Sprintf("pod %s is %s\n", p.Name, p.Status.Phase)
		for _, s := range p.Status.ContainerStatuses {
			if w := s.State.Waiting; w != nil {
				text += fmt.Sprintf("  %s waits: %s %s\n", s.Name, w.Reason, w.Message)
			}
			if e := s.LastTerminationState.Terminated; e != nil {
				text += fmt.Sprintf("  %s has ended: %s\n", s.Name, e.Message)
			}
			log, err := c.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: s.Name, TailLines: &lines}).DoRaw(ctx)
			text += fmt.Sprintf("  log of %s (%v):\n%s\n", s.Name, err, log)
		}
	}
	events, err := c.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err != nil {
		return text + err.Error()
	}
	for _, e := range events.Items {
		text += fmt.Sprintf("%s %s: %s\n", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message)
	}
	return text
}

var _ kubernetes.Interface = (*Client)(nil)
