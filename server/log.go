package server

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/example-org/authgate/text"
)

// levelLogger is a log whose level can be changed while it is written to.
type levelLogger struct {
	*slog.Logger

	configured slog.Level
	current    *slog.LevelVar
}

// LogOptions are the form and the level of the log.
type LogOptions struct {
	JSON  bool
	Level slog.Level
}

// NewLog returns a log that writes to w.
func NewLog(w io.Writer, o LogOptions) *slog.Logger { return newLevelLogger(w, o).Logger }

func newLevelLogger(w io.Writer, o LogOptions) levelLogger {
	l := levelLogger{configured: o.Level, current: new(slog.LevelVar)}
	l.current.Set(o.Level)
	options := &slog.HandlerOptions{Level: l.current}
	if o.JSON {
		options.ReplaceAttr = formatDuration
		l.Logger = slog.New(slog.NewJSONHandler(w, options))
	} else {
		l.Logger = slog.New(slog.NewTextHandler(w, options))
	}
	return l
}

// formatDuration writes 30s into JSON too, where slog counts nanoseconds.
func formatDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// toggleDebugOn goes to debug and back at each signal. It logs while the level
// is debug, so that the line appears at every configured level.
func (l levelLogger) toggleDebugOn(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		switch {
		case l.configured == slog.LevelDebug:
			l.Info("the log level stays debug, as configured")
		case l.current.Level() != slog.LevelDebug:
			l.current.Set(slog.LevelDebug)
			l.Info("log level is debug", "hint", "send SIGUSR1 again to restore the configured level")
		default:
			l.Info("log level restored", "level", strings.ToLower(l.configured.String()))
			l.current.Set(l.configured)
		}
	}
}

// serverLogger receives the log of net/http. TLS handshakes fail all day if port scanners
// or the TCP health checks of load balancers connect.
func (l levelLogger) serverLogger() *log.Logger { return log.New(serverLogWriter{l.Logger}, "", 0) }

type serverLogWriter struct{ *slog.Logger }

// loggablePrefixes begin the lines of net/http that quote only addresses.
// Other lines hold headers of upstreams that it could not use, or what a client
// sent in the place of a preface.
var loggablePrefixes = []string{
	"http: Accept error", "http: superfluous response.WriteHeader", "http: response.Write",
	"http2: server connection error from ", "http2: server closing client connection", "timeout waiting for ",
}

func (l serverLogWriter) Write(line []byte) (int, error) {
	level, text := slog.LevelWarn, string(bytes.TrimSuffix(line, []byte("\n")))
	switch {
	case strings.HasPrefix(text, "http: TLS handshake error "):
		level = slog.LevelDebug
	case strings.HasPrefix(text, "http: panic "), strings.HasPrefix(text, "http2: panic "):
		level = slog.LevelError
	case !slices.ContainsFunc(loggablePrefixes, func(known string) bool { return strings.HasPrefix(text, known) }):
		text = "net/http reported a client or upstream fault; the text is withheld because it may contain their data"
	}
	l.Log(context.Background(), level, text)
	return len(line), nil
}

// redirectStandardLog takes what libraries write to the standard logger: net/http
// repeats there what a server sent unasked.
func (l levelLogger) redirectStandardLog() {
	log.SetFlags(0)
	log.SetOutput(libraryLogWriter{l.Logger})
}

type libraryLogWriter struct{ *slog.Logger }

func (l libraryLogWriter) Write(line []byte) (int, error) {
	l.Warn(text.RedactLogLine(string(line)))
	return len(line), nil
}
