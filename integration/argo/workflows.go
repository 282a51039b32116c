//go:build unix

// Package argo brings the real Argo Workflows: its server and its command, which are
// one binary.
package argo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/example-org/authgate/integration/program"
)

// The release, and the hash of its source (golang.org/ref/mod, "Module cache"), whose
// own go.sum has those of what it needs. It is no module of go.mod's: it embeds a
// web UI which the source does not have.
const (
	module = "github.com/argoproj/argo-workflows/v3@v3.7.4"
	sum    = "h1:oA/DxaSsjb6fMYaygf7JVQgnsF+ZzlfUPy5kIfLsCic="
)

// Workflows is a built Argo Workflows.
type Workflows struct {
	Binary string
	source string
}

// Build compiles it into dir.
func Build(ctx context.Context, dir string, progress io.Writer) (*Workflows, error) {
	w := &Workflows{Binary: filepath.Join(dir, "argo"), source: filepath.Join(dir, "argo-workflows")}
	if err := w.fetch(ctx, progress); err != nil {
		return nil, fmt.Errorf("fetching %s: %w", module, err)
	}
	return w, program.Build(ctx, program.Source{
		Name:    "argo",
		Dir:     w.source,
		Package: "./cmd/argo",
		Flags:   []string{"-trimpath"}, // or Go's cache would not know it again in another folder
		Env:     []string{"CGO_ENABLED=0"},
		Hint:    " (some 1200 packages: three minutes the first time, seconds later on)",
	}, w.Binary, progress)
}

// fetch copies the source to where a UI can be put beside it.
func (w *Workflows) fetch(ctx context.Context, progress io.Writer) error {
	_, _ = fmt.Fprintf(progress, "fetching %s\n", module)
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir() // outside of any module
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	var downloaded struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		return err
	}
	if downloaded.Sum != sum {
		return fmt.Errorf("its hash is %s, want %s", downloaded.Sum, sum)
	}
	if err := os.CopyFS(w.source, os.DirFS(downloaded.Dir)); err != nil {
		return err
	}
	ui := filepath.Join(w.source, "ui", "dist", "app")
	if err := os.MkdirAll(ui, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(ui, "index.html"), []byte("<!doctype html><title>Argo</title>\n"), 0o600)
}

// Manifests are what a cluster needs to have before the server starts: the kinds of
// Argo Workflows, and the ClusterRoles that come with it.
func (w *Workflows) Manifests() (string, error) {
	files, err := filepath.Glob(filepath.Join(w.source, "manifests", "base", "crds", "minimal", "argoproj.io_*.yaml"))
	if err == nil && len(files) == 0 {
		err = errors.New("there are no kinds in it")
	}
	if err != nil {
		return "", fmt.Errorf("reading manifests of %s: %w", module, err)
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
			return "", fmt.Errorf("reading manifests of %s: %w", module, err)
		}
		all.WriteString("\n---\n")
		all.Write(text)
	}
	return all.String(), nil
}

// Server is a running argo-server.
type Server struct {
	URL     string
	process *program.Process
	port    *program.Port
}

// Serve runs argo-server as docs/argo.md says, for namespace argo of the cluster
// that kubeconfig names. Its log goes to dir.
func (w *Workflows) Serve(ctx context.Context, dir, kubeconfig string) (_ *Server, err error) {
	s := &Server{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if s.port, err = program.ReservePort(ctx); err != nil {
		return nil, err
	}
	port := strconv.Itoa(s.port.Number)
	s.URL = "http://" + net.JoinHostPort("127.0.0.1", port)
	log := filepath.Join(dir, "argo-server.log")
	s.process, err = program.Start(ctx, program.Command{
		Name: "argo-server", Path: w.Binary, Dir: dir, Stdout: log, Stderr: log, Env: []string{"KUBECONFIG=" + kubeconfig},
		Args: []string{
			"server", "--namespace", "argo", "--namespaced", "--managed-namespace", "argo",
			"--auth-mode=client", "--secure=false", "--port", port,
		},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s, s.process.Await(ctx, s.ready)
}

func (s *Server) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/", nil) // its own readiness probe
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() // only read
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return nil
}

// Stop ends the server.
func (s *Server) Stop() error {
	var errs []error
	if s.process != nil {
		errs = append(errs, s.process.Stop())
	}
	if s.port != nil {
		errs = append(errs, s.port.Release())
	}
	return errors.Join(errs...)
}

// Command is `argo` at a server, given as HOST:PORT without TLS, with a token, in the
// environment of nobody. HTTP1 has it speak JSON and not gRPC.
func (w *Workflows) Command(ctx context.Context, server, token string, http1 bool, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.Binary, append(args, "--namespace", "argo")...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(w.Binary), "KUBECONFIG=" + os.DevNull,
		"ARGO_SERVER=" + server, "ARGO_SECURE=false", "ARGO_HTTP1=" + strconv.FormatBool(http1),
		"ARGO_TOKEN=" + strings.TrimSpace("Bearer "+token),
	}
	return cmd
}
