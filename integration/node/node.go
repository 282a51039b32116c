//go:build linux

// Package node runs a real Kubernetes with one node: etcd, the control plane, containerd,
// the kubelet, kube-proxy and CoreDNS. They have namespaces of their own (machine/), so
// that nothing of this machine changes and everything ends with one process.
//
// It needs root, and programs of Debian (Missing). Everything else is built (Build).
package node

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/example-org/authgate/integration/kube"
	"github.com/example-org/authgate/integration/node/cgroup"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/tunnel"
)

// needed are programs of this machine, and their Debian packages.
var needed = []struct{ path, pkg string }{
	{"/usr/bin/containerd", "containerd"},
	{"/usr/bin/ctr", "containerd"},
	{"/usr/sbin/runc", "runc"},
	{"/usr/lib/cni/bridge", "containernetworking-plugins"},
	{"/usr/sbin/iptables", "iptables"},
	{"/usr/sbin/conntrack", "conntrack"},
	{"/usr/sbin/ip", "iproute2"},
}

// Missing says why no node can run here.
func Missing() error {
	if os.Getuid() != 0 {
		return errors.New("a Kubernetes node needs root")
	}
	var packages []string
	for _, n := range needed {
		if _, err := os.Stat(n.path); err != nil && !slices.Contains(packages, n.pkg) {
			packages = append(packages, n.pkg)
		}
	}
	if len(packages) > 0 {
		return fmt.Errorf("programs are missing (on Debian: apt-get install --no-install-recommends %s)", strings.Join(packages, " "))
	}
	return nil
}

// Build compiles what a node runs, and kubectl and Helm, into a folder.
func Build(ctx context.Context, dir string, progress io.Writer) error {
	err := kube.Build(ctx, dir, progress, kube.Etcd, kube.APIServer, "kube-controller-manager", "kube-scheduler", "kube-proxy",
		"kubelet", "coredns", "pause", kube.Kubectl, kube.Helm)
	if err != nil {
		return err
	}
	root, err := program.MainModule(ctx)
	if err != nil {
		return err
	}
	return program.Build(ctx, program.Source{
		Name: "machine", Dir: filepath.Join(root, "integration"), Package: "./node/machine", Env: []string{"CGO_ENABLED=0"},
	}, filepath.Join(dir, "machine"), progress)
}

// Node is a running node.
type Node struct {
	*kube.Client
	Kubeconfig string      // file
	Dial       tunnel.Dial // to addresses inside of the cluster, also by name

	dir      string
	machine  *exec.Cmd
	hold     io.Closer // the machine runs until it is closed
	ended    chan struct{}
	listener net.Listener
}

//go:embed coredns.yaml
var coreDNS string

// startTimeout bounds how long the node may take to be ready.
const startTimeout = 3 * time.Minute

// Start runs a node with programs of the folder bin. Its files are in dir, whose path must
// be short: there are sockets in it.
func Start(ctx context.Context, bin, dir string) (_ *Node, err error) {
	if err := Missing(); err != nil {
		return nil, err
	}
	n := &Node{dir: dir, ended: make(chan struct{}), Kubeconfig: filepath.Join(dir, "kubeconfig")}
	n.Dial = tunnel.Through(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "network.sock"))
	})
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Stop())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.boot(ctx, bin); err != nil {
		return nil, err
	}
	if err := n.enter(); err != nil {
		return nil, err
	}
	for _, name := range []string{"pause", "coredns"} {
		if err := n.load(ctx, bin, name); err != nil {
			return nil, err
		}
	}
	if err := n.Apply(ctx, coreDNS); err != nil {
		return nil, err
	}
	return n, n.Await(ctx, "kube-system", "coredns")
}

// boot starts the machine, and waits until it lets connections in.
func (n *Node) boot(ctx context.Context, bin string) error {
	stdin, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	n.hold = hold
	log := filepath.Join(n.dir, "machine.log")
	output, err := os.Create(log)
	if err != nil {
		return err
	}
	n.machine = exec.Command(filepath.Join(bin, "machine"), "-dir", n.dir, "-bin", bin)
	n.machine.Stdin, n.machine.Stdout, n.machine.Stderr = stdin, output, output
	n.machine.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true, // Ctrl-C reaches the starter alone
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	err = n.machine.Start()
	if err := errors.Join(err, stdin.Close(), output.Close()); err != nil {
		close(n.ended)
		return fmt.Errorf("starting a node: %w", err)
	}
	go func() {
		_ = n.machine.Wait() // its log says why it ended
		close(n.ended)
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(text, []byte("ready\n")) {
			return nil
		}
		select {
		case <-n.ended:
			return fmt.Errorf("the node has ended:\n%s", n.logs())
		case <-ctx.Done():
			return fmt.Errorf("the node is not ready: %w\n%s", ctx.Err(), n.logs())
		case <-tick.C:
		}
	}
}

// enter makes the API server reachable from this machine, on loopback, and a kubeconfig
// that says so.
func (n *Node) enter() (err error) {
	if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	go func() { _ = tunnel.Forward(context.Background(), n.listener, "127.0.0.1:6443", n.Dial) }()
	config, err := clientcmd.LoadFromFile(filepath.Join(n.dir, "etc", "admin.kubeconfig"))
	if err != nil {
		return err
	}
	for _, cluster := range config.Clusters {
		cluster.Server = "https://" + n.listener.Addr().String()
	}
	if err := clientcmd.WriteToFile(*config, n.Kubeconfig); err != nil {
		return err
	}
	n.Client, err = kube.Open(n.Kubeconfig)
	return err
}

// Stop ends everything. It may be called again.
func (n *Node) Stop() error {
	if n.hold == nil {
		return nil
	}
	err := n.hold.Close()
	n.hold = nil
	if n.listener != nil {
		err = errors.Join(err, n.listener.Close())
	}
	if n.machine == nil {
		return err
	}
	<-n.ended
	// The machine does so itself, where it was not killed.
	return errors.Join(err, cgroup.Remove(filepath.Base(n.dir)))
}

// Done is closed when the node has ended, for any reason.
func (n *Node) Done() <-chan struct{} { return n.ended }

// logs are the ends of all logs.
func (n *Node) logs() string {
	files, _ := filepath.Glob(filepath.Join(n.dir, "log", "*.log"))
	var all strings.Builder
	for _, file := range append(files, filepath.Join(n.dir, "machine.log")) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&all, "%s:\n%s\n", filepath.Base(file), strings.Join(lines[max(0, len(lines)-8):], "\n"))
	}
	return all.String()
}
