// Command site builds docs/ into a static site with search:
//
//	go run -C integration ./site            # into site/.vitepress/dist
//	go run -C integration ./site -base /authgate/ -o /tmp/site
//
// It installs VitePress as site/package-lock.json pins it, and needs node and npm. A link
// to a page that does not exist fails the build.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/example-org/authgate/integration/npm"
	"github.com/example-org/authgate/integration/program"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("site", flag.ContinueOnError)
	flags.SetOutput(stderr)
	base := flags.String("base", "/", "`path` below which the site is served")
	out := flags.String("o", filepath.Join("..", "site", ".vitepress", "dist"), "`folder` to write the site to")
	if code, ok := program.ParseFlags(flags, args); !ok {
		return code
	}
	if err := build(ctx, filepath.Join("..", "site"), *base, *out, stderr); err != nil {
		_, _ = fmt.Fprintln(stderr, "site:", err)
		return 1
	}
	_, _ = fmt.Fprintln(stdout, *out)
	return 0
}

// build installs what the lock file pins, and builds the site.
func build(ctx context.Context, dir, base, out string, log io.Writer) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := npm.Install(ctx, dir, log); err != nil {
		return err
	}
	return npm.Run(ctx, dir, log, []string{"SITE_BASE=" + base}, "run", "build", "--", "--outDir", out)
}
