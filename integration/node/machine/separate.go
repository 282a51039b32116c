//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// ownFolders are where programs write outside of folders that they are given: CNI its
// results, containerd network namespaces, iptables its lock, the kubelet links to logs.
var ownFolders = []string{"/run", "/var/lib", "/var/log"}

// ownSettings are those that the kubelet writes for the whole machine.
var ownSettings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// separate gives the node what it must not share with the machine.
func (n node) separate() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	for _, folder := range ownFolders {
		if strings.HasPrefix(n.dir, folder+"/") || strings.HasPrefix(n.bin, folder+"/") {
			return fmt.Errorf("the files of the node cannot be in %s, which it hides: set TMPDIR", folder)
		}
		if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mounting an empty %s: %w", folder, err)
		}
	}
	for _, setting := range ownSettings {
		if err := n.shield(filepath.Join("/proc/sys", setting)); err != nil {
			return err
		}
	}
	// Volumes that the kubelet mounts are seen by containerd, and by containers.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing mounts within the node: %w", err)
	}
	return syscall.Sethostname([]byte(nodeName))
}

// shield lets the node write to a copy of a file.
func (n node) shield(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	own := n.path("settings", filepath.Base(file))
	if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(own, content, 0o600); err != nil {
		return err
	}
	if err := syscall.Mount(own, file, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting a copy of %s: %w", file, err)
	}
	return nil
}

// connect makes the network of the node. The other end of its only link stays unused, but
// without a default route no packet for a Service would get as far as being translated.
func (node) connect() error {
	for _, command := range []string{
		"ip link set lo up",
		"ip link add node0 type veth peer name unused0",
		"ip address add " + nodeIP + "/24 dev node0",
		"ip link set node0 up",
		"ip link set unused0 up",
		"ip route add default via 172.30.0.254 dev node0",
	} {
		args := strings.Fields(command)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	for _, setting := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
		if err := os.WriteFile(filepath.Join("/proc/sys", setting), []byte("1"), 0); err != nil {
			return fmt.Errorf("setting %s: %w", setting, err)
		}
	}
	return nil
}
