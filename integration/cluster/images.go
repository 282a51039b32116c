//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/example-org/authgate/integration/argo"
	"github.com/example-org/authgate/integration/dex"
	"github.com/example-org/authgate/integration/oci"
	"github.com/example-org/authgate/integration/program"
)

type progress = io.Writer

// build compiles everything that a cluster runs, and gives archives of images.
func (c *cluster) build(ctx context.Context, out progress) (archives []string, err error) {
	if err := os.MkdirAll(c.bin, 0o755); err != nil {
		return nil, err
	}
	if err := c.buildKubernetes(ctx, out); err != nil {
		return nil, err
	}
	if c.argoCD, err = argo.BuildCD(ctx, c.bin, out); err != nil {
		return nil, err
	}
	if c.workflows, err = argo.BuildWorkflows(ctx, c.bin, out); err != nil {
		return nil, err
	}
	if err := dex.Build(ctx, filepath.Join(c.bin, "dex"), out); err != nil {
		return nil, err
	}
	for name, source := range map[string]program.Source{
		"pods":     {Dir: filepath.Join(c.root, "integration"), Package: "./pods"},
		"authgate": {Dir: c.root, Package: "./cmd/authgate"}, // for this machine; that of the pods is in the image
	} {
		source.Name, source.Env = name, []string{"CGO_ENABLED=0"}
		source.Flags = []string{"-trimpath"} // as the image is built, so that Go's cache has it
		if err := program.Build(ctx, source, filepath.Join(c.bin, name), out); err != nil {
			return nil, err
		}
	}
	image, err := c.buildImage(ctx, out)
	if err != nil {
		return nil, err
	}
	archives = append(archives, image)
	for _, name := range []string{"argocd", "argo", "dex", "pods"} {
		archive, err := c.pack(name, map[string]string{"/" + name: filepath.Join(c.bin, name)})
		if err != nil {
			return nil, err
		}
		archives = append(archives, archive)
	}
	files, err := redisFiles(ctx)
	if err != nil {
		return nil, err
	}
	archive, err := c.pack("redis", files)
	return append(archives, archive), err
}

// pack makes an image that runs /NAME.
func (c *cluster) pack(name string, files map[string]string) (archive string, err error) {
	archive = filepath.Join(c.dir, name+".tar")
	return archive, oci.Write(archive, oci.Image{Name: "local.test/" + name + ":1", Entrypoint: []string{"/" + name}, Files: files})
}

// redisFiles are Debian's Redis, and the libraries that it is linked with.
func redisFiles(ctx context.Context) (map[string]string, error) {
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w (on Debian: apt-get install --no-install-recommends redis-server)", err)
	}
	files := map[string]string{"/redis": redis}
	out, err := exec.CommandContext(ctx, "ldd", redis).Output()
	if err != nil {
		return nil, fmt.Errorf("asking for the libraries of Redis: %w", err)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			files[word] = word
		}
	}
	return files, nil
}

// buildImage builds authgate's image by the command that a release uses, with the version
// that the chart asks for.
func (c *cluster) buildImage(ctx context.Context, out progress) (archive string, err error) {
	var chart struct {
		AppVersion string `json:"appVersion"`
	}
	text, err := os.ReadFile(filepath.Join(c.root, "deploy", "helm", "authgate", "Chart.yaml"))
	if err != nil {
		return "", err
	}
	if err := yaml.Unmarshal(text, &chart); err != nil {
		return "", err
	}
	layout := filepath.Join(c.dir, "image")
	_, _ = fmt.Fprintln(out, "building the image of authgate")
	cmd := exec.CommandContext(ctx, "go", "run", "./image", "-o", layout, "-version", "v"+chart.AppVersion)
	cmd.Dir = filepath.Join(c.root, "integration")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the image: %w\n%s", err, text)
	}
	archive = filepath.Join(c.dir, "authgate.tar")
	text, err = exec.CommandContext(ctx, "tar", "-C", layout, "-cf", archive, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("packing the image: %w: %s", err, text)
	}
	return archive, err
}
