//go:build unix

// Package argo builds and runs the real Argo CD and Argo Workflows from source: their
// servers and their commands.
package argo

import (
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

// source is a release, and the hash of its source (golang.org/ref/mod, "Module
// cache"), whose own go.sum has those of what it needs. It is no module of a go.mod
// here: what it replaces there would not hold.
type source struct{ module, sum string }

// fetch copies the source to dir, where it can be changed.
func (s source) fetch(ctx context.Context, dir string, progress io.Writer) error {
	_, _ = fmt.Fprintf(progress, "fetching %s\n", s.module)
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", s.module)
	cmd.Dir = os.TempDir() // outside of any module
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("fetching %s: %w: %s", s.module, err, out)
	}
	var downloaded struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		return fmt.Errorf("fetching %s: %w", s.module, err)
	}
	if downloaded.Sum != s.sum {
		return fmt.Errorf("fetching %s: its hash is %s, want %s", s.module, downloaded.Sum, s.sum)
	}
	return os.CopyFS(dir, os.DirFS(downloaded.Dir))
}

// replaceOnce changes a file of a source that is as expected.
func replaceOnce(file, was, is string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), was); n != 1 {
		return fmt.Errorf("%s has %s %d times", file, was, n)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(text), was, is, 1)), 0o600)
}

func build(ctx context.Context, name, dir, pkg, out string, progress io.Writer) error {
	return program.Build(ctx, program.Source{
		Name: name, Dir: dir, Package: pkg,
		Flags: []string{"-trimpath", "-ldflags=-s -w"}, // by its path Go's cache would not know it again in another folder
		Env:   []string{"CGO_ENABLED=0"},
		Hint:  " (more than a thousand packages: three minutes the first time, seconds later on)",
	}, out, progress)
}

// Server is a running server of either.
type Server struct {
	URL     string
	process *program.Process
	ports   []*program.Port
}

// serve runs a server on the first of the ports until Stop, its log in the
// command's folder, and waits until it answers at path.
func serve(ctx context.Context, c program.Command, path string, ports ...*program.Port) (_ *Server, err error) {
	s := &Server{URL: "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0].Number)), ports: ports}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	c.Stdout = filepath.Join(c.Dir, c.Name+".log")
	c.Stderr = c.Stdout
	if s.process, err = program.Start(ctx, c); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s, s.process.Await(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
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
	})
}

// Stop ends the server.
func (s *Server) Stop() error {
	var errs []error
	if s.process != nil {
		errs = append(errs, s.process.Stop())
	}
	for _, port := range s.ports {
		errs = append(errs, port.Release())
	}
	return errors.Join(errs...)
}
