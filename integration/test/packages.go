package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// requirement is a program that checks run, and the Debian packages that bring it.
type requirement struct {
	programs []string // any of them will do
	packages []string
	use      string
}

var requirements = []requirement{
	{[]string{"gcc", "clang", os.Getenv("CC")}, []string{"gcc", "libc6-dev"}, "the race detector links with a C compiler"},
	{[]string{"nginx"}, []string{"nginx"}, "forward-auth is tried behind it, and the benchmark is compared with it"},
	{[]string{"caddy"}, []string{"caddy"}, "forward-auth is tried behind it, too"},
	{[]string{"haproxy"}, []string{"haproxy"}, "it stands for the load balancer while authgate restarts"},
	{[]string{"wrk"}, []string{"wrk"}, "it drives the benchmark"},
	{[]string{"redis-server"}, []string{"redis-server"}, "sessions are kept in it"},
	{[]string{"chromium"}, []string{"chromium"}, "what only a browser does is tried in it"},
	{[]string{"runc"}, []string{"runc"}, "the container image is run with it"},
	{[]string{"containerd"}, []string{"containerd"}, "it runs the pods of a Kubernetes node"},
	{[]string{"/usr/lib/cni/bridge"}, []string{"containernetworking-plugins"}, "it connects them"},
	{[]string{"iptables"}, []string{"iptables"}, "it leads to the pods of a Service"},
	{[]string{"conntrack"}, []string{"conntrack"}, "kube-proxy forgets connections with it"},
	{[]string{"ip"}, []string{"iproute2"}, "it makes the network of a node"},
	{[]string{"promtool"}, []string{"prometheus"}, "it tests the alerts, and evaluates them on real metrics"},
	{[]string{"redis-sentinel"}, []string{"redis-sentinel"}, "it makes a replica of redis the master, and sessions go on"},
	{[]string{"npm"}, []string{"nodejs", "npm"}, "it installs what builds the documentation's site"},
}

// aptOptions let apt-get wait for another one that is running, and ask nothing.
var aptOptions = []string{"-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"}

// servicePolicy is asked by Debian packages before they start what they bring
// (invoke-rc.d(8)). Exit code 101 forbids it.
const servicePolicy = "/usr/sbin/policy-rc.d"

// machine is what a check finds where it runs.
type machine struct {
	find   func(program string) bool
	root   bool
	policy string // path of servicePolicy
	run    func(ctx context.Context, name string, args ...string) error
	out    io.Writer
}

func thisMachine() machine {
	return machine{find: installed, root: os.Getuid() == 0, policy: servicePolicy, run: runLoudly, out: os.Stdout}
}

// installed looks in PATH, and where Debian keeps servers: outside of most
// users' PATH.
func installed(program string) bool {
	if _, err := exec.LookPath(program); err == nil {
		return true
	}
	_, err := exec.LookPath(filepath.Join("/usr/sbin", program))
	return err == nil
}

func runLoudly(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // killed, dpkg would leave halves behind
	cmd.WaitDelay = time.Minute
	return cmd.Run()
}

// provide sees to it that every required program is there. It installs what is
// missing where it may, and else says what to install.
func (m machine) provide(ctx context.Context, all []requirement) error {
	missing := m.missing(all)
	if len(missing) == 0 {
		return nil
	}
	var packages []string
	for _, r := range missing {
		_, _ = fmt.Fprintf(m.out, "=== %s is missing: %s\n", r.programs[0], r.use)
		packages = append(packages, r.packages...)
	}
	if !m.root || !m.find("apt-get") {
		return fmt.Errorf("missing %s; install them (on Debian, as root: apt-get install --no-install-recommends %s), then run this again",
			names(missing), strings.Join(packages, " "))
	}
	began := time.Now()
	_, _ = fmt.Fprintf(m.out, "=== installing %s; no service of theirs is started\n", strings.Join(packages, " "))
	if err := m.install(ctx, packages); err != nil {
		return err
	}
	if still := m.missing(missing); len(still) > 0 {
		return fmt.Errorf("%s still missing after installing %s", names(still), strings.Join(packages, " "))
	}
	_, _ = fmt.Fprintf(m.out, "--- installed (%s)\n", time.Since(began).Round(time.Second))
	return nil
}

func (m machine) missing(all []requirement) []requirement {
	return slices.DeleteFunc(slices.Clone(all), func(r requirement) bool { return slices.ContainsFunc(r.programs, m.find) })
}

func names(all []requirement) string {
	var list []string
	for _, r := range all {
		list = append(list, r.programs[0])
	}
	return strings.Join(list, ", ")
}

func (m machine) install(ctx context.Context, packages []string) (err error) {
	allowServices, err := m.forbidServices(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, allowServices()) }()
	if err := m.run(ctx, "apt-get", append(slices.Clone(aptOptions), "update")...); err != nil {
		return fmt.Errorf("apt-get update: %w", err)
	}
	args := append(slices.Clone(aptOptions), "install", "--no-install-recommends")
	if err := m.run(ctx, "apt-get", append(args, packages...)...); err != nil {
		return fmt.Errorf("apt-get install %s: %w", strings.Join(packages, " "), err)
	}
	return nil
}

// forbidServices keeps packages from starting servers, which would listen on
// every address of the machine, until allow is called. A policy that another
// program has put there stays, if it forbids the same.
func (m machine) forbidServices(ctx context.Context) (allow func() error, err error) {
	nothing := func() error { return nil }
	file, err := os.OpenFile(m.policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, fs.ErrExist) {
		exit := (*exec.ExitError)(nil)
		if err := exec.CommandContext(ctx, m.policy, "nginx", "start").Run(); errors.As(err, &exit) && exit.ExitCode() == 101 {
			return nothing, nil
		}
		return nil, fmt.Errorf("%s lets packages start servers, so nothing is installed: let it exit with 101, or remove it for the while", m.policy)
	}
	if err != nil {
		return nil, fmt.Errorf("keeping packages from starting servers: %w", err)
	}
	allow = func() error { return os.Remove(m.policy) }
	_, err = file.WriteString("#!/bin/sh\n# Put here by authgate's test command while it installs packages: no server may start.\nexit 101\n")
	if err = errors.Join(err, file.Chmod(0o755), file.Close()); err != nil { // whatever the umask
		return nil, errors.Join(fmt.Errorf("keeping packages from starting servers: %w", err), allow())
	}
	return allow, nil
}
