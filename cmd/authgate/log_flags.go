package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/server"
)

// logFlags say how authgate tells what happens to it, on stderr.
type logFlags struct{ format, level string }

var logFormats = []string{cli.TextFormat, cli.JSONFormat}

func logLevels() []slog.Level {
	return []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
}

func levelNames() []string {
	var words []string
	for _, l := range logLevels() {
		words = append(words, strings.ToLower(l.String()))
	}
	return words
}

func (f *logFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.format, "log-format", cli.TextFormat, "`FORM` of the log: "+strings.Join(logFormats, " or "))
	cmd.Flags().StringVar(&f.level, "log-level", "info", "least `LEVEL` that is logged: "+strings.Join(levelNames(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("log-format",
		cobra.FixedCompletions(logFormats, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("log-level",
		cobra.FixedCompletions(levelNames(), cobra.ShellCompDirectiveNoFileComp))
}

func (f *logFlags) check() error {
	if !slices.Contains(logFormats, f.format) {
		return fmt.Errorf("--log-format is %q; %w", f.format, cli.OneOf(f.format, logFormats))
	}
	if !slices.Contains(levelNames(), f.level) {
		return fmt.Errorf("--log-level is %q; write one of %s", f.level, strings.Join(levelNames(), ", "))
	}
	return nil
}

func (f *logFlags) options() server.LogOptions {
	return server.LogOptions{JSON: f.format == cli.JSONFormat, Level: logLevels()[slices.Index(levelNames(), f.level)]}
}
