//go:build unix

package argo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/example-org/authgate/integration/program"
)

var cdSource = source{
	module: "github.com/argoproj/argo-cd/v3@v3.2.0",
	sum:    "h1:m2eGAV+nXQGgzZbH5SyJD5laaPW27mzWXBrgisUHY/0=",
}

// CD is a built Argo CD: all its servers and its command are one binary.
type CD struct {
	Binary string
	source string
}

// BuildCD compiles it into dir.
func BuildCD(ctx context.Context, dir string, progress io.Writer) (*CD, error) {
	c := &CD{Binary: filepath.Join(dir, "argocd"), source: filepath.Join(dir, "argo-cd")}
	if err := cdSource.fetch(ctx, c.source, progress); err != nil {
		return nil, err
	}
	return c, build(ctx, "argocd", c.source, "./cmd", c.Binary, progress)
}

// Manifests are the kinds of Argo CD.
func (c *CD) Manifests() (string, error) {
	var all bytes.Buffer
	for _, kind := range []string{"application", "applicationset", "appproject"} {
		text, err := os.ReadFile(filepath.Join(c.source, "manifests", "crds", kind+"-crd.yaml"))
		if err != nil {
			return "", fmt.Errorf("reading manifests of %s: %w", cdSource.module, err)
		}
		all.WriteString("\n---\n")
		all.Write(text)
	}
	return all.String(), nil
}

// Dependencies is what argocd-server needs in addition to a cluster.
type Dependencies struct {
	Kubeconfig string
	Redis      string // host:port
	Dex        string // http://host:port
}

// Serve runs argocd-server on the first port, with the log in dir. It says that it is
// well once it has the settings that are in the cluster.
func (c *CD) Serve(ctx context.Context, dir string, deps Dependencies, port *program.Port) (*Server, error) {
	metrics, err := program.ReservePort(ctx)
	if err != nil {
		return nil, err
	}
	return serve(ctx, program.Command{
		Name: "argocd-server", Path: c.Binary, Dir: dir,
		Env: []string{"ARGOCD_BINARY_NAME=argocd-server", "ARGOCD_FAKE_IN_CLUSTER=true", "KUBECONFIG=" + deps.Kubeconfig, "HOME=" + dir},
		Args: []string{
			"--insecure", "--address", "127.0.0.1", "--port", strconv.Itoa(port.Number),
			"--metrics-address", "127.0.0.1", "--metrics-port", strconv.Itoa(metrics.Number),
			"--namespace", "argocd", "--redis", deps.Redis, "--repo-server", "127.0.0.1:1", "--dex-server", deps.Dex,
		},
	}, "/healthz", port, metrics)
}

// Command is `argocd` at a server, given as HOST:PORT without TLS, with a token, in
// an environment without other variables. Web has it speak gRPC-web and not gRPC.
func (c *CD) Command(ctx context.Context, server, token string, web bool, args ...string) *exec.Cmd {
	args = append(args, "--server", server, "--plaintext", "--grpc-web="+strconv.FormatBool(web))
	cmd := exec.CommandContext(ctx, c.Binary, args...)
	cmd.Env = []string{
		"ARGOCD_BINARY_NAME=argocd", "PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(c.Binary), "KUBECONFIG=" + os.DevNull,
		"ARGOCD_AUTH_TOKEN=" + token,
	}
	return cmd
}
