package program_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/program"
)

// TestMain lets the test binary be the program that the tests run.
func TestMain(m *testing.M) {
	switch os.Getenv("PROGRAM_TEST_BE") {
	case "":
		os.Exit(m.Run())
	case "failing":
		fmt.Fprintln(os.Stderr, "the disk is on fire")
		os.Exit(3)
	case "waiting":
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		fmt.Println("waiting")
		<-terminated
		fmt.Println("leaving in order")
	}
}

func start(t *testing.T, be string) (p *program.Process, stdout string) {
	t.Helper()
	dir := t.TempDir()
	stdout = filepath.Join(dir, "stdout")
	p, err := program.Start(t.Context(), program.Command{
		Name: be, Path: os.Args[0], Env: []string{"PROGRAM_TEST_BE=" + be},
		Stdout: stdout, Stderr: filepath.Join(dir, "stderr"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p, stdout
}

func TestStopLetsTheProcessLeaveInOrder(t *testing.T) {
	t.Parallel()
	p, stdout := start(t, "waiting")
	says := func(want string) func(context.Context) error {
		return func(context.Context) error {
			if said, err := os.ReadFile(stdout); err != nil || !strings.Contains(string(said), want) {
				return fmt.Errorf("it says %q %w", said, err)
			}
			return nil
		}
	}
	if err := p.Await(t.Context(), says("waiting")); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := says("leaving in order")(t.Context()); err != nil {
		t.Error(err)
	}
	if code, err := p.ExitCode(t.Context()); code != 0 || err != nil {
		t.Errorf("exit code %d %v", code, err)
	}
}

func TestAwaitTellsHowAProcessEnded(t *testing.T) {
	t.Parallel()
	p, _ := start(t, "failing")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := p.Await(ctx, func(context.Context) error { return errors.New("never ready") })
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the disk is on fire") {
		t.Errorf("got %v", err)
	}
}

func TestBuildShowsWhatTheCompilerSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/broken\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { undefinedName() }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var progress strings.Builder
	err := program.Build(t.Context(), program.Source{Name: "broken", Dir: dir, Package: "."}, filepath.Join(dir, "out"), &progress)
	if err == nil || !strings.Contains(err.Error(), "undefined: undefinedName") {
		t.Errorf("the error is %v", err)
	}
	if !strings.HasPrefix(progress.String(), "building broken") {
		t.Errorf("progress is %q", progress.String())
	}
}

func TestTakenPortIsNotFree(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the test has ended
	addr, _ := l.Addr().(*net.TCPAddr)
	if err := program.PortFree(t.Context(), addr.Port); err == nil {
		t.Errorf("port %d is said to be free", addr.Port)
	}
	port, err := program.ReservePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := program.PortFree(t.Context(), port.Number); err != nil {
		t.Errorf("a reserved port is for its process to listen on: %v", err)
	}
	if err := port.Release(); err != nil {
		t.Error(err)
	}
}
