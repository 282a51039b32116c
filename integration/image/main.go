// Command image builds the container image of authgate without a container engine:
//
//	go run -C integration ./image -o /tmp/authgate-image
//
// It writes an OCI image layout for linux/amd64 and linux/arm64. Each image holds a
// static binary and the CA certificates, and nothing else. A CycloneDX SBOM is
// attached to each as a referrer. Two builds of one commit give the same digest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `Usage: go run -C integration ./image -o FOLDER [-version V] [-push REFERENCE]

Build the container image for linux/amd64 and linux/arm64.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	out := flags.String("o", "", "write the OCI image layout to this `folder`, which must be empty or absent")
	version := flags.String("version", "", "the release, such as v1.2.3 (default: what the Go toolchain derives from the checkout)")
	push := flags.String("push", "", "also push the image and its SBOMs to this `reference`, such as ghcr.io/example-org/authgate:v1.2.3")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if *out == "" || flags.NArg() > 0 {
		flags.Usage()
		return 2
	}
	if err := build(ctx, *out, *version, *push); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		return 1
	}
	return 0
}

func build(ctx context.Context, out, version, push string) error {
	src, err := readSource(ctx, "..", version)
	if err != nil {
		return err
	}
	release, err := src.assemble(ctx, os.Stderr)
	if err != nil {
		return err
	}
	digest, err := release.writeLayout(out)
	if err != nil {
		return err
	}
	fmt.Printf("%s@%s\n", out, digest)
	if push == "" {
		return nil
	}
	return release.push(ctx, push)
}
