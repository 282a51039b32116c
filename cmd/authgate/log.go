package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// logFlags say how authgate tells what happens to it, on stderr.
type logFlags struct{ format, level string }

var logForms = []string{textForm, jsonForm}

func logLevels() []slog.Level {
	return []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
}

func levelWords() []string {
	var words []string
	for _, l := range logLevels() {
		words = append(words, strings.ToLower(l.String()))
	}
	return words
}

func (f *logFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.format, "log-format", textForm, "`FORM` of the log: "+strings.Join(logForms, " or "))
	cmd.Flags().StringVar(&f.level, "log-level", "info", "least `LEVEL` that is logged: "+strings.Join(levelWords(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions(logForms, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(levelWords(), cobra.ShellCompDirectiveNoFileComp))
}

func (f *logFlags) check() error {
	if !slices.Contains(logForms, f.format) {
		return fmt.Errorf("--log-format is %q; %w", f.format, oneOf(f.format, logForms))
	}
	if !slices.Contains(levelWords(), f.level) {
		return fmt.Errorf("--log-level is %q; write one of %s", f.level, strings.Join(levelWords(), ", "))
	}
	return nil
}

// leveled is a log whose level can be changed while it is written to.
type leveled struct {
	*slog.Logger

	given slog.Level
	now   *slog.LevelVar
}

func (f *logFlags) open(w io.Writer) leveled {
	l := leveled{given: logLevels()[slices.Index(levelWords(), f.level)], now: new(slog.LevelVar)}
	l.now.Set(l.given)
	options := &slog.HandlerOptions{Level: l.now}
	if f.format == jsonForm {
		options.ReplaceAttr = spellDuration
		l.Logger = slog.New(slog.NewJSONHandler(w, options))
	} else {
		l.Logger = slog.New(slog.NewTextHandler(w, options))
	}
	return l
}

// spellDuration writes 30s into JSON too, where slog counts nanoseconds.
func spellDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// switchAt goes to debug and back at each signal. What it says is said while the
// log is at debug, so that it is seen whatever level was given.
func (l leveled) switchAt(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		switch {
		case l.given == slog.LevelDebug:
			l.Info("the log stays at debug, which is the level that was given")
		case l.now.Level() != slog.LevelDebug:
			l.now.Set(slog.LevelDebug)
			l.Info("the log is at debug now", "back", "send SIGUSR1 again")
		default:
			l.Info("the log goes back to the level that was given", "level", strings.ToLower(l.given.String()))
			l.now.Set(l.given)
		}
	}
}

// forServer takes what net/http says. Handshakes fail all day where scanners come
// by, or balancers that only ask whether a port is open.
func (l leveled) forServer() *log.Logger { return log.New(serverLog{l.Logger}, "", 0) }

type serverLog struct{ *slog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	switch {
	case bytes.HasPrefix(line, []byte("http: TLS handshake error ")):
		level = slog.LevelDebug
	case bytes.HasPrefix(line, []byte("http: panic ")), bytes.HasPrefix(line, []byte("http2: panic ")):
		level = slog.LevelError
	}
	l.Log(context.Background(), level, string(bytes.TrimSuffix(line, []byte("\n"))))
	return len(line), nil
}
