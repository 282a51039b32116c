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

	"github.com/example-org/authgate/redact"
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

// quotable are beginnings of what net/http says that repeats nothing but addresses.
// Other lines hold headers of upstreams that it could not use, or what a client
// sent in the place of a preface.
var quotable = []string{
	"http: Accept error", "http: superfluous response.WriteHeader", "http: response.Write",
	"http2: server connection error from ", "http2: server closing client connection", "timeout waiting for ",
}

func (l serverLog) Write(line []byte) (int, error) {
	level, text := slog.LevelWarn, string(bytes.TrimSuffix(line, []byte("\n")))
	switch {
	case strings.HasPrefix(text, "http: TLS handshake error "):
		level = slog.LevelDebug
	case strings.HasPrefix(text, "http: panic "), strings.HasPrefix(text, "http2: panic "):
		level = slog.LevelError
	case !slices.ContainsFunc(quotable, func(known string) bool { return strings.HasPrefix(text, known) }):
		text = "net/http reports a fault of a client or an upstream, in words that may be their own"
	}
	l.Log(context.Background(), level, text)
	return len(line), nil
}

// takeLibraries takes what libraries write to the standard logger: net/http
// repeats there what a server sent unasked.
func (l leveled) takeLibraries() {
	log.SetFlags(0)
	log.SetOutput(libraryLog{l.Logger})
}

type libraryLog struct{ *slog.Logger }

func (l libraryLog) Write(line []byte) (int, error) {
	l.Warn(redact.Said(string(line)))
	return len(line), nil
}
