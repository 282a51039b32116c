//go:build linux

// Command machine is the first process of a Kubernetes node that has namespaces of its
// own: of mounts, processes, network, host name, and IPC. It starts etcd, the control
// plane, containerd, the kubelet and kube-proxy, and connects clients into its network.
//
// The kernel ends every process of the node when this one ends. It ends when its standard
// input does, and so with the process that has started it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/example-org/authgate/integration/node/cgroup"
	"github.com/example-org/authgate/integration/tunnel"
)

// Where the node and what runs on it is found inside of the network.
const (
	nodeName   = "node-1"
	nodeIP     = "172.30.0.1"
	podNet     = "10.244.0.0/24"
	serviceNet = "10.96.0.0/16"
	apiService = "10.96.0.1"  // the first address of serviceNet
	dnsService = "10.96.0.10" // as ../coredns.yaml says
	apiPort    = "6443"
	etcdURL    = "http://127.0.0.1:2379"
)

// startTimeout bounds how long the API server and containerd may take to answer.
const startTimeout = 2 * time.Minute

// node is where its files are.
type node struct {
	dir string // files that belong to this node alone
	bin string // programs of Kubernetes
}

func (n node) path(elements ...string) string {
	return filepath.Join(append([]string{n.dir}, elements...)...)
}

// cgroup is below which the kubelet has those of its pods.
func (n node) cgroup() string { return filepath.Base(n.dir) }

func main() {
	dir := flag.String("dir", "", "`folder` for the files of the node")
	bin := flag.String("bin", "", "`folder` of the programs of Kubernetes")
	flag.Parse()
	n := node{*dir, *bin}
	if err := n.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "machine:", err)
		os.Exit(1)
	}
}

// run returns when a process of the node has ended, or standard input has.
func (n node) run(ctx context.Context) error {
	if os.Getpid() != 1 {
		return errors.New("it must be the first process of a PID namespace: use package node")
	}
	for _, step := range []func() error{n.separate, n.connect, n.writeFiles} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := cgroup.Create(n.cgroup()); err != nil {
		return err
	}
	s := newSupervisor(n.path("log"))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // as long as the process that has started this is there
		s.end(nil)
	}()
	go func() { s.end(n.open(ctx, s)) }() // which returns only where something fails
	return errors.Join(s.collect(), cgroup.Remove(n.cgroup()))
}

// open starts everything, lets clients in, and says so.
func (n node) open(ctx context.Context, s *supervisor) error {
	if err := s.start(n.first()...); err != nil {
		return err
	}
	if err := n.awaitFirst(ctx); err != nil {
		return err
	}
	if err := s.start(n.second()...); err != nil {
		return err
	}
	l, err := net.Listen("unix", n.path("network.sock"))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return tunnel.Serve(ctx, l, dialer())
}

// dialer finds names of Services as pods do.
func dialer() tunnel.Dial {
	dns := &net.Dialer{Timeout: 2 * time.Second}
	dialer := &net.Dialer{Timeout: 5 * time.Second, Resolver: &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dns.DialContext(ctx, network, net.JoinHostPort(dnsService, "53"))
		},
	}}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(host, ".svc") {
			host += ".cluster.local."
		}
		return dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
	}
}
