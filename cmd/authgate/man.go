//go:build man

package main

import (
	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
)

// packaging are the commands that only the build of packages needs. Their libraries would add
// 300 kB to every other build.
func packaging() []*cobra.Command { return []*cobra.Command{cli.NewMan()} }
