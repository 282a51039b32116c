//go:build linux

package node

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/example-org/authgate/integration/oci"
)

// Load puts the images of an archive onto the node.
func (n *Node) Load(ctx context.Context, archive string) error {
	cmd := exec.CommandContext(ctx, "/usr/bin/ctr", "--address", filepath.Join(n.dir, "containerd.sock"), "--namespace", "k8s.io", "images", "import", archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("loading %s: %w: %s", filepath.Base(archive), err, out)
	}
	return nil
}

// load puts a program of the folder bin onto the node, as an image of its own.
func (n *Node) load(ctx context.Context, bin, name string) error {
	archive := filepath.Join(n.dir, name+".tar")
	program := filepath.Join(bin, name)
	if err := oci.Write(archive, oci.Image{Name: "local.test/" + name + ":1", Entrypoint: []string{"/" + name}, Files: map[string]string{"/" + name: program}}); err != nil {
		return err
	}
	return n.Load(ctx, archive)
}
