// Command screenshots takes the pictures that README and docs show, with a real Dex, a fake
// GitHub, two sample dashboards, and Chromium:
//
//	go run -C integration ./screenshots            # into docs/images
//	go run -C integration ./screenshots -o /tmp/x
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/example-org/authgate/integration/browser"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/stage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("screenshots", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", filepath.Join("..", "docs", "images"), "`folder` to write the pictures to")
	if code, ok := program.ParseFlags(flags, args); !ok {
		return code
	}
	if err := takeAll(ctx, *out, stdout, stderr); err != nil {
		_, _ = fmt.Fprintln(stderr, "screenshots:", err)
		return 1
	}
	return 0
}

// takeAll builds and starts everything, and takes each picture.
func takeAll(ctx context.Context, out string, stdout, progress io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "authgate-screenshots-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	binaries, err := stage.Build(ctx, dir, false, progress)
	if err != nil {
		return err
	}
	s, err := start(ctx, dir, binaries)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	chromium, err := browser.Launch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, chromium.Close()) }()
	return attempt(func(t *failer) {
		for _, p := range scenes(t, chromium, s) {
			file := filepath.Join(out, p.name+".png")
			if err := os.WriteFile(file, p.take(), 0o644); err != nil {
				t.Fatalf("%v", err)
			}
			_, _ = fmt.Fprintln(stdout, file)
		}
	})
}

const adminToken = "token-of-the-screenshots"

func start(ctx context.Context, dir string, binaries stage.Binaries) (*stage.Stage, error) {
	token := filepath.Join(dir, "admin-token")
	if err := os.WriteFile(token, []byte(adminToken), 0o600); err != nil {
		return nil, err
	}
	return stage.Start(ctx, slog.New(slog.DiscardHandler), stage.Options{
		Dir: dir, Dex: binaries.Dex, Authgate: binaries.Authgate,
		Config: func(yaml string, _ stage.Files) string {
			return strings.NewReplacer(
				"- name: argocd", "- name: argocd\n    title: Argo CD\n    description: Deployments",
				"- name: workflows", "- name: workflows\n    title: Argo Workflows\n    description: Builds and data pipelines",
			).Replace(yaml) + "\nadminToken: {file: " + token + "}\n"
		},
	})
}

// failer ends the command where a test would fail.
type failer struct {
	cleanups []func()
	errs     []error
}

// failure is what Fatalf panics with.
type failure struct{ error }

// attempt runs f until it fails, and then what it left to be cleaned up.
func attempt(f func(*failer)) (err error) {
	t := &failer{}
	defer func() {
		thrown := recover()
		if failed, ok := thrown.(failure); ok {
			t.errs = append(t.errs, failed.error)
		} else if thrown != nil {
			panic(thrown)
		}
		for i := len(t.cleanups) - 1; i >= 0; i-- {
			t.cleanups[i]()
		}
		err = errors.Join(t.errs...)
	}()
	f(t)
	return nil
}

func (t *failer) Helper() {}

func (t *failer) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *failer) Errorf(format string, args ...any) {
	t.errs = append(t.errs, fmt.Errorf(format, args...))
}

func (t *failer) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }
