package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/example-org/authgate/integration/program"
)

// source is the checkout that an image is built from.
type source struct {
	root    string
	version string // empty: what the Go toolchain derives
	commit  string
	created time.Time // of the commit, so that two builds are equal
}

func readSource(ctx context.Context, root, version string) (source, error) {
	absolute, err := filepath.Abs(root)
	if err != nil {
		return source{}, err
	}
	cmd := exec.CommandContext(ctx, "git", "log", "-1", "--format=%H %ct")
	cmd.Dir = absolute
	out, err := cmd.Output()
	if err != nil {
		return source{}, fmt.Errorf("reading the commit of %s: %w (an image is built from a git checkout)", absolute, err)
	}
	commit, seconds, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return source{}, fmt.Errorf("the time of commit %s: %w", commit, err)
	}
	return source{root: absolute, version: version, commit: commit, created: time.Unix(unix, 0).UTC()}, nil
}

// binary is authgate, compiled for one architecture.
type binary struct {
	content []byte
	info    *buildinfo.BuildInfo
}

// compile builds a static binary: without cgo, without paths of this machine.
func (s source) compile(ctx context.Context, arch string, progress io.Writer) (binary, error) {
	dir, err := os.MkdirTemp("", "authgate-image-")
	if err != nil {
		return binary{}, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "authgate")
	err = program.Build(ctx, program.Source{
		Name: "authgate for linux/" + arch, Dir: s.root, Package: "./cmd/authgate",
		Flags: []string{"-trimpath", "-buildvcs=true", "-ldflags=-s -w -X main.version=" + s.version},
		Env:   []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS="},
	}, file, progress)
	if err != nil {
		return binary{}, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return binary{}, err
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return binary{}, err
	}
	return binary{content, info}, nil
}

// tag is the image's: the version without its v, as Chart.yaml's appVersion.
func (s source) tag() string {
	if s.version == "" {
		return "dev"
	}
	return strings.TrimPrefix(s.version, "v")
}

// release is the version as labels and SBOM name it.
func (s source) release(b binary) string {
	if s.version != "" {
		return s.version
	}
	return b.info.Main.Version
}
