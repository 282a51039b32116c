//go:build unix

package argo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/example-org/authgate/integration/program"
)

var workflowsSource = source{
	module: "github.com/argoproj/argo-workflows/v3@v3.7.4",
	sum:    "h1:oA/DxaSsjb6fMYaygf7JVQgnsF+ZzlfUPy5kIfLsCic=",
}

// Workflows is a built Argo Workflows.
type Workflows struct {
	Binary string
	source string
}

// BuildWorkflows compiles it into dir.
func BuildWorkflows(ctx context.Context, dir string, progress io.Writer) (*Workflows, error) {
	w := &Workflows{Binary: filepath.Join(dir, "argo"), source: filepath.Join(dir, "argo-workflows")}
	if err := workflowsSource.fetch(ctx, w.source, progress); err != nil {
		return nil, err
	}
	// It embeds a UI that the source lacks, and has no flag for the address.
	ui := filepath.Join(w.source, "ui", "dist", "app")
	err := os.MkdirAll(ui, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(ui, "index.html"), []byte("<!doctype html><title>Argo</title>\n"), 0o600)
	}
	if err == nil {
		err = replaceOnce(filepath.Join(w.source, "server", "apiserver", "argoserver.go"), `fmt.Sprintf(":%d", port)`, `fmt.Sprintf("%s:%d", os.Getenv("ARGO_SERVER_HOST"), port)`)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing %s: %w", workflowsSource.module, err)
	}
	return w, build(ctx, "argo", w.source, "./cmd/argo", w.Binary, progress)
}

// Manifests are what a cluster needs to have before the server starts: the kinds of
// Argo Workflows, and the ClusterRoles that come with it.
func (w *Workflows) Manifests() (string, error) {
	files, err := filepath.Glob(filepath.Join(w.source, "manifests", "base", "crds", "minimal", "argoproj.io_*.yaml"))
	if err == nil && len(files) == 0 {
		err = errors.New("there are no kinds in it")
	}
	if err != nil {
		return "", fmt.Errorf("reading manifests of %s: %w", workflowsSource.module, err)
	}
	rights := filepath.Join("manifests", "cluster-install-no-crds")
	for _, file := range []string{
		filepath.Join(rights, "workflow-controller-rbac", "workflow-aggregate-roles.yaml"),
		filepath.Join(rights, "argo-server-rbac", "argo-server-clusterole.yaml"),
		filepath.Join("manifests", "base", "argo-server", "argo-server-sa.yaml"),
		filepath.Join("manifests", "base", "workflow-controller", "workflow-controller-configmap.yaml"),
	} {
		files = append(files, filepath.Join(w.source, file))
	}
	var all bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("reading manifests of %s: %w", workflowsSource.module, err)
		}
		all.WriteString("\n---\n")
		all.Write(text)
	}
	return all.String(), nil
}

// Serve runs argo-server as docs/argo.md says, for namespace argo of the cluster
// that kubeconfig names. Its log goes to dir.
func (w *Workflows) Serve(ctx context.Context, dir, kubeconfig string) (*Server, error) {
	port, err := program.ReservePort(ctx)
	if err != nil {
		return nil, err
	}
	return serve(ctx, program.Command{
		Name: "argo-server", Path: w.Binary, Dir: dir, Env: []string{"KUBECONFIG=" + kubeconfig, "ARGO_SERVER_HOST=127.0.0.1"},
		Args: []string{
			"server", "--namespace", "argo", "--namespaced", "--managed-namespace", "argo",
			"--auth-mode=client", "--secure=false", "--port", strconv.Itoa(port.Number),
		},
	}, "/", port) // its own readiness probe
}

// Command is `argo` at a server, given as HOST:PORT without TLS, with a token, in the
// environment without other variables. HTTP1 has it speak JSON and not gRPC.
func (w *Workflows) Command(ctx context.Context, server, token string, http1 bool, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.Binary, append(args, "--namespace", "argo")...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(w.Binary), "KUBECONFIG=" + os.DevNull,
		"ARGO_SERVER=" + server, "ARGO_SECURE=false", "ARGO_HTTP1=" + strconv.FormatBool(http1),
		"ARGO_TOKEN=" + strings.TrimSpace("Bearer "+token),
	}
	return cmd
}
