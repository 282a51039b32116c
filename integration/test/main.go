// Command test runs every check of authgate, as CI does:
//
//	go run -C integration ./test
//
// It installs the programs that checks need and miss (packages.go) where apt-get
// is at hand, runs on when a step fails, and exits with 1 if any did.
package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// step is one command of the list. A quiet one must print nothing.
type step struct {
	name  string
	dir   string // below the repository's root
	args  []string
	quiet bool
}

// fuzzBudget is enough to fall over a new fault in each target, not to search for
// one. It counts executions, because Go 1.26 now and then reports the end of a
// time as a failure (golang/go#75804).
var fuzzBudget = []string{"-fuzztime=15000x", "-fuzzminimizetime=100x"}

const usage = `Usage: go run -C integration ./test

Run every check of authgate, as CI does. There are no flags. It installs programs that
checks need and miss where apt-get is at hand, goes on when a step fails, and ends with
exit code 1 if any did.
`

func main() {
	if len(os.Args) > 1 { // before anything is installed or run
		os.Exit(explain(os.Args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx))
}

// explain answers arguments: the command takes none but a request for help.
func explain(args []string) int {
	if len(args) == 1 && slices.Contains([]string{"-h", "-help", "--help", "help"}, args[0]) {
		fmt.Print(usage)
		return 0
	}
	fmt.Fprintf(os.Stderr, "test: %q is not expected\n\n%s", args[0], usage)
	return 2
}

func run(ctx context.Context) int {
	root, err := filepath.Abs("..")
	if err != nil {
		fmt.Println("test:", err)
		return 1
	}
	if err := thisMachine().provide(ctx, requirements); err != nil {
		fmt.Println("test:", err)
		return 1
	}
	steps, err := all(root)
	if err != nil {
		fmt.Println("test:", err)
		return 1
	}
	var failed []string
	began := time.Now()
	for i, s := range steps {
		fmt.Printf("\n=== %d/%d %s: (cd %s && %s)\n", i+1, len(steps), s.name, orDot(s.dir), strings.Join(s.args, " "))
		start := time.Now()
		err := s.run(ctx, root)
		if ctx.Err() != nil {
			fmt.Println("test: stopped")
			return 1
		}
		verdict := "ok"
		if err != nil {
			verdict = "FAILED: " + err.Error()
			failed = append(failed, s.name)
		}
		fmt.Printf("--- %s: %s (%s)\n", s.name, verdict, time.Since(start).Round(time.Second))
	}
	fmt.Printf("\nall steps took %s\n", time.Since(began).Round(time.Second))
	for _, name := range failed {
		fmt.Println("failed:", name)
	}
	fmt.Printf("%d passed, %d failed\n", len(steps)-len(failed), len(failed))
	return min(len(failed), 1)
}

// all lists the steps: what is quick and tells most comes first.
func all(root string) ([]step, error) {
	tool := func(name string, args ...string) []string {
		return append([]string{"go", "tool", "-modfile=" + filepath.Join(root, "tools", "go.mod"), name}, args...)
	}
	const nested = "integration"
	steps := []step{
		{name: "format", args: tool("gofumpt", "-l", "."), quiet: true},
		{name: "vet", args: []string{"go", "vet", "./..."}},
		{name: "staticcheck", args: tool("staticcheck", "./...")},
		{name: "unit tests", args: []string{"go", "test", "-race", "./..."}},
		// The race detector leaves time for a tenth of the users.
		{name: "soak of sessions", args: []string{"go", "test", "-count=1", "-run=^TestSoakOfManySessions$", "-v", "./session"}},
	}
	targets, err := fuzzTargets(root)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		steps = append(steps, step{
			name: "fuzz " + t.pkg + " " + t.name,
			args: append(append([]string{"go", "test", "-run=^$", "-fuzz=^" + t.name + "$"}, fuzzBudget...), "./"+t.pkg),
		})
	}
	return append(steps,
		step{name: "vet integration", dir: nested, args: []string{"go", "vet", "./..."}},
		step{name: "staticcheck integration", dir: nested, args: tool("staticcheck", "./...")},
		// What is compiled here, by tests of which none is run, does not take the machine
		// from others later: Kubernetes, Argo CD and Argo Workflows, Dex.
		step{name: "build what tests run", dir: nested, args: []string{"go", "test", "-race", "-count=1", "-timeout=40m", "-run=^$", "./apiserver", "./cluster"}},
		// -count=1: what these tests build and read lies outside their module, where
		// the test cache does not look.
		step{name: "integration tests", dir: nested, args: []string{"go", "test", "-race", "-count=1", "-timeout=40m", "./..."}},
	), nil
}

// fuzzTarget is a fuzz function; `go test -fuzz` takes one at a time.
type fuzzTarget struct{ pkg, name string }

var fuzzFunction = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// fuzzTargets finds those of the main module.
func fuzzTargets(root string) (targets []fuzzTarget, err error) {
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "integration", "testdata", "node_modules"}, entry.Name()):
			return fs.SkipDir // integration is a module of its own
		case !strings.HasSuffix(file, "_test.go"):
			return nil
		}
		pkg, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		for _, match := range fuzzFunction.FindAllSubmatch(text, -1) {
			targets = append(targets, fuzzTarget{filepath.ToSlash(pkg), string(match[1])})
		}
		return err
	})
	if err == nil && len(targets) == 0 {
		err = fmt.Errorf("no fuzz target below %s", root)
	}
	return targets, err
}

func (s step) run(ctx context.Context, root string) error {
	cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	cmd.Dir = filepath.Join(root, s.dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	if !s.quiet {
		cmd.Stdout = os.Stdout
		return cmd.Run()
	}
	out, err := cmd.Output()
	os.Stdout.Write(out)
	if err == nil && len(out) > 0 {
		err = fmt.Errorf("%d complaints", strings.Count(string(out), "\n"))
	}
	return err
}

func orDot(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}
