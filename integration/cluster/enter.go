//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// enter connects to the pod that lets clients into the network of a cluster, by the API
// server, as `kubectl port-forward` does.
func (c *cluster) enter(ctx context.Context) (net.Conn, error) {
	address, err := c.entrance(ctx)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// entrance is the port of this machine that leads to the pod.
func (c *cluster) entrance(ctx context.Context) (string, error) {
	pods, err := c.CoreV1().Pods("github").List(ctx, metav1.ListOptions{LabelSelector: "app=tunnel"})
	if err != nil {
		return "", err
	}
	if len(pods.Items) != 1 || pods.Items[0].Status.Phase != corev1.PodRunning {
		return "", errors.New("the pod that lets clients in is not running")
	}
	return c.forwards.to(c, pods.Items[0].Name)
}

// forwards are the ports of this machine that lead to pods.
type forwards struct {
	mu    sync.Mutex
	ports map[string]string // :: pod → address
}

func (f *forwards) to(c *cluster, pod string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if address, ok := f.ports[pod]; ok {
		return address, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return "", err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return "", err
	}
	url := c.CoreV1().RESTClient().Post().Namespace("github").Resource("pods").Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	stop, ready, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:1080"}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		return "", err
	}
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return "", fmt.Errorf("forwarding to pod %s: %w", pod, err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return "", err
	}
	c.stops = append(c.stops, func() error { close(stop); return nil })
	if f.ports == nil {
		f.ports = map[string]string{}
	}
	f.ports[pod] = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[0].Local)))
	return f.ports[pod], nil
}
