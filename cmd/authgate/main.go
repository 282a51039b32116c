// Command authgate puts one login and one policy file in front of dashboards.
// `authgate help` lists its commands; each has a file here.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/example-org/authgate/cmd/authgate/cli"
)

func main() {
	// A reader that has gone is a failed write and not the end of the process. Notify,
	// unlike Ignore, changes nothing for programs that a command starts.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	tuneGC(os.Args[1:])
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// tuneGC lets policy commands, which end soon, take more memory for less garbage
// collection, up to a limit. GOGC and GOMEMLIMIT go first.
func tuneGC(args []string) {
	const percent, limit = 400, 2 << 30
	if len(args) == 0 || args[0] != "policy" || os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(percent)
	debug.SetMemoryLimit(limit)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return cli.Execute(ctx, newRoot(), args, stdout, stderr)
}
