//go:build !man

package main

import "github.com/spf13/cobra"

func packaging() []*cobra.Command { return nil }
