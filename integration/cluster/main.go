//go:build unix

// Command cluster runs authgate in a real Kubernetes, installed with its chart: in front of
// Argo CD and Argo Workflows, with Dex and a fake GitHub.
//
//	go run -C integration ./cluster          # then open the addresses that it prints
//	go run -C integration ./cluster -check   # walk through it without a browser
//
// It starts a node of its own, for which it needs root and Debian's containerd, or uses
// the cluster that AUTHGATE_TEST_KUBECONFIG names. Exit codes: 0 all steps passed, 1 a step
// failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/example-org/authgate/integration/program"
)

const defaultPort = 8080

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "log in, print one line per step, and exit")
	port := flags.Int("port", 0, "authgate's `port` on 127.0.0.1 (default 8080; with -check, a free one)")
	if code, ok := program.ParseFlags(flags, args); !ok {
		return code
	}
	if *port == 0 && !*check {
		*port = defaultPort
	}
	switch err := show(ctx, *check, *port, stdout); {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(stderr, "cluster: stopped")
	default:
		_, _ = fmt.Fprintf(stderr, "cluster: %v\n", err)
	}
	return 1
}

// show starts everything, and either walks through it or waits until ctx ends.
func show(ctx context.Context, check bool, port int, out io.Writer) (err error) {
	if os.Getenv(kubeconfigVariable) == "" {
		// Before the build, so that the user does not wait ten minutes for this error.
		if err := canStartNode(); err != nil {
			return err
		}
	}
	if port != 0 {
		if err := program.PortFree(ctx, port); err != nil {
			return fmt.Errorf("%w\n  stop the program that listens there, or choose another port with -port", err)
		}
	}
	c, err := start(ctx, port, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	_, _ = fmt.Fprintln(out, "installing authgate with its chart")
	if err := c.prepare(ctx); err != nil {
		return err
	}
	if _, err := c.release(ctx, c.values()); err != nil {
		return err
	}
	if err := c.open(); err != nil {
		return err
	}
	if check {
		return c.walk(ctx, out)
	}
	c.welcome(out)
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprintln(out, "\nending the cluster")
		return nil
	case <-c.ended:
		return errors.New("the node has ended")
	}
}
