//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/example-org/authgate/integration/argo"
	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/kube"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/tunnel"
)

// kubeconfigVariable names a cluster to use instead of a node of our own, and
// loadVariable a command that puts the images of an archive onto its nodes.
const (
	kubeconfigVariable = "AUTHGATE_TEST_KUBECONFIG"
	loadVariable       = "AUTHGATE_TEST_LOAD_IMAGE"
)

// cluster is a Kubernetes with everything that authgate stands in front of.
type cluster struct {
	*kube.Client
	root       string   // of the repository
	dir        string   // for files
	bin        string   // programs: kubectl, helm, authgate, and those of pods
	images     []string // archives
	kubeconfig string
	dial       tunnel.Dial                                     // to addresses inside of the cluster
	load       func(ctx context.Context, archive string) error // puts images onto its nodes
	ended      <-chan struct{}                                 // closed when the cluster has ended by itself
	argoCD     *argo.CD
	workflows  *argo.Workflows
	github     fakegithub.Identity
	port       int // of authgate, inside of the cluster and on this machine
	githubPort int // of GitHub, in the same way

	forwards forwards       // into a cluster that was there
	stops    []func() error // what stop does, the last one first
}

// Hosts of the dashboards and of GitHub. Browsers find names below localhost on this
// machine, where forwards lead into the cluster.
const (
	argoCDHost    = "argo-cd.localhost"
	workflowsHost = "argo-workflows.localhost"
	toolsHost     = "tools.localhost"
	githubHost    = "github.localhost"
)

func (c *cluster) url(host string) string {
	return "http://" + net.JoinHostPort(host, strconv.Itoa(c.port))
}

func (c *cluster) githubURL() string {
	return "https://" + net.JoinHostPort(githubHost, strconv.Itoa(c.githubPort))
}

func (c *cluster) issuer() string { return c.url(argoCDHost) + "/api/dex" }

// start builds everything, starts a node or uses the cluster that there is, and installs
// what is in a cluster before authgate is. Port is authgate's; 0 is a free one.
func start(ctx context.Context, port int, out io.Writer) (*cluster, error) {
	c, err := buildAll(ctx, port, out)
	if err == nil {
		err = c.start(ctx, out)
	}
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// buildAll builds everything that a cluster needs, and starts nothing. The cluster has to be
// stopped also after an error.
func buildAll(ctx context.Context, port int, out io.Writer) (c *cluster, err error) {
	c = &cluster{port: port}
	if c.root, err = program.MainModule(ctx); err != nil {
		return c, err
	}
	if c.dir, err = os.MkdirTemp("", "authgate-"); err != nil {
		return c, err
	}
	c.stops = append(c.stops, func() error { return os.RemoveAll(c.dir) })
	c.bin = filepath.Join(c.dir, "bin")
	for _, port := range []*int{&c.port, &c.githubPort} {
		if *port != 0 {
			continue
		}
		reserved, err := program.ReservePort(ctx)
		if err != nil {
			return c, err
		}
		c.stops = append(c.stops, reserved.Release)
		*port = reserved.Number
	}
	if c.github, err = fakegithub.NewIdentity(githubHost); err != nil {
		return c, err
	}
	c.images, err = c.build(ctx, out)
	return c, err
}

func (c *cluster) start(ctx context.Context, out io.Writer) (err error) {
	if file := os.Getenv(kubeconfigVariable); file != "" {
		err = c.use(file)
	} else {
		_, _ = fmt.Fprintln(out, "starting a Kubernetes node")
		err = c.startNode(ctx)
	}
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "loading images")
	for _, archive := range c.images {
		if err := c.load(ctx, archive); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintln(out, "installing GitHub, Argo CD with Dex, Argo Workflows, Redis and a dashboard")
	return c.install(ctx)
}

// use takes the cluster that a kubeconfig names. Its network is entered through a pod.
func (c *cluster) use(kubeconfig string) (err error) {
	c.kubeconfig = kubeconfig
	loader := strings.Fields(os.Getenv(loadVariable))
	if len(loader) == 0 {
		return fmt.Errorf("%s is set, and %s is not: set it to the command that loads an archive of images into this cluster, such as `kind load image-archive`",
			kubeconfigVariable, loadVariable)
	}
	c.load = func(ctx context.Context, archive string) error {
		cmd := exec.CommandContext(ctx, loader[0], append(loader[1:], archive)...)
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", strings.Join(loader, " "), archive, err, text)
		}
		return nil
	}
	c.dial = tunnel.Through(c.enter)
	c.Client, err = kube.Open(kubeconfig)
	return err
}

// forward lets this machine reach an address inside of the cluster at a port of its own.
func (c *cluster) forward(port int, address string) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	go func() { _ = tunnel.Forward(context.Background(), l, address, c.dial) }()
	c.stops = append(c.stops, l.Close)
	return nil
}

// stop ends everything that start has begun. Objects stay in a cluster that was there.
func (c *cluster) stop() error {
	var errs []error
	for ; len(c.stops) > 0; c.stops = c.stops[:len(c.stops)-1] {
		errs = append(errs, c.stops[len(c.stops)-1]())
	}
	return errors.Join(errs...)
}

// command is a program of bin, in a shell's environment that has kubectl, helm and
// authgate.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	path := c.bin + string(filepath.ListSeparator) + os.Getenv("PATH")
	if own := filepath.Join(c.bin, name); !strings.ContainsRune(name, '/') {
		if _, err := os.Stat(own); err == nil {
			name = own
		}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.root
	cmd.Env = append(os.Environ(), "PATH="+path, "KUBECONFIG="+c.kubeconfig, "HOME="+c.dir)
	return cmd
}

// run gives what a command prints.
func (c *cluster) run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := c.command(ctx, name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}
