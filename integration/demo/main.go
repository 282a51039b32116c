// Command demo runs authgate on this machine with a fake GitHub, a real Dex and two
// sample dashboards.
//
//	go run -C integration ./demo          # then open the address that it prints
//	go run -C integration ./demo -check   # walk through it without a browser
//
// Exit codes: 0 all steps passed, 1 a step failed, 2 wrong usage.
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
	"syscall"
	"time"

	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/stage"
)

const defaultPort = 8080

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx = untilOrphaned(ctx)

	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "walk through the demo, print one line per step, and exit")
	port := flags.Int("port", 0, "authgate's `port` on 127.0.0.1 (default 8080; with -check, a free one)")
	if code, ok := program.ParseFlags(flags, args); !ok {
		return code
	}
	if *port == 0 && !*check {
		*port = defaultPort
	}

	err := demo(ctx, *check, *port, stdout)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(stderr, "demo: stopped")
	default:
		_, _ = fmt.Fprintf(stderr, "demo: %v\n", err)
	}
	return 1
}

// demo builds and starts everything, and either runs the checks or waits until ctx
// ends. It keeps the files if they may explain a failure.
func demo(ctx context.Context, check bool, port int, out io.Writer) (err error) {
	if port != 0 {
		// Before the build, so that the user does not wait two minutes for this error.
		if err := program.PortFree(ctx, port); err != nil {
			return fmt.Errorf("%w\n  stop the program that listens there, or choose another port: go run -C integration ./demo -port %d", err, port+1)
		}
	}
	dir, err := os.MkdirTemp("", "authgate-demo-")
	if err != nil {
		return fmt.Errorf("creating a folder for the demo's files: %w", err)
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			err = errors.Join(err, os.RemoveAll(dir))
			return
		}
		err = fmt.Errorf("%w\n  configuration and logs are kept in %s", err, dir)
	}()

	binaries, err := stage.Build(ctx, dir, false, out)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "starting fake GitHub, Dex, two dashboards and authgate")
	s, err := stage.Start(ctx, slog.New(slog.DiscardHandler), stage.Options{
		Dir: dir, Dex: binaries.Dex, Authgate: binaries.Authgate, Port: port, Links: true,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()

	if check {
		return runChecks(ctx, s, out)
	}
	if err := welcome(s, out); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprintln(out, "\nstopping authgate, the dashboards, Dex and fake GitHub")
		if err := s.Close(); err != nil {
			return err
		}
		return nil
	case <-s.Authgate.Done():
		return fmt.Errorf("authgate has exited; its last log lines:\n%s", s.Authgate.Tail(15))
	case <-s.Dex.Done():
		return fmt.Errorf("dex has exited; its last log lines:\n%s", s.Dex.Tail(15))
	}
}

// untilOrphaned also ends the demo when its parent has exited: `go run` forwards
// Ctrl-C, but not a SIGTERM.
func untilOrphaned(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		defer cancel()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return ctx
}
