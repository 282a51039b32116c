package server

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignalSwitchesTheLogToDebugAndBackAndIsAlwaysAnswered(t *testing.T) {
	t.Parallel()
	for _, given := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		synctest.Test(t, func(t *testing.T) {
			var written bytes.Buffer
			log := newLevelLogger(&written, LogOptions{Level: given})
			signals := make(chan os.Signal)
			ctx, stop := context.WithCancel(t.Context())
			go log.toggleDebugOn(ctx, signals)
			for i, want := range []slog.Level{slog.LevelDebug, log.configured, slog.LevelDebug} {
				written.Reset()
				signals <- os.Interrupt
				synctest.Wait()
				if got := log.current.Level(); got != want {
					t.Errorf("%s, signal %d: the level is %s", given, i+1, got)
				}
				if says := written.String(); says == "" || strings.Contains(says, "stays debug") != (given == slog.LevelDebug) {
					t.Errorf("%s, signal %d: it says %q", given, i+1, says)
				}
			}
			stop()
		})
	}
}

func TestEveryFormOfTheLogSpellsDurations(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]string{"text": "delay=1m30s", "json": `"delay":"1m30s"`} {
		var written bytes.Buffer
		NewLog(&written, LogOptions{JSON: form == "json"}).Info("word", "delay", 90*time.Second)
		if !strings.Contains(written.String(), want) {
			t.Errorf("%s: %s", form, &written)
		}
	}
}

func TestScannersAreNoWarning(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"http: TLS handshake error from 10.0.0.7:4711: EOF\n":                           "DEBUG",
		"http: Accept error: accept4: too many open files; retrying in 1s\n":            "WARN",
		"http: panic serving 10.0.0.7:4711: boom\ngoroutine 7 [running]:\n":             "ERROR",
		"http: superfluous response.WriteHeader call from main.main (main.go:1)\n":      "WARN",
		"something about http: TLS handshake error that net/http does not begin with":   "WARN",
		"http: invalid Content-Length of \"secret\"":                                    "WARN",
		"ignoring invalid trailer \"secret\"":                                           "WARN",
		"http2: server: error reading preface from client a: bogus greeting \"secret\"": "WARN",
	} {
		var written bytes.Buffer
		newLevelLogger(&written, LogOptions{Level: slog.LevelDebug}).serverLogger().Print(said)
		if !strings.Contains(written.String(), "level="+want) || strings.Count(written.String(), "\n") != 1 || strings.Contains(written.String(), "secret") {
			t.Errorf("%q: %s", said, &written)
		}
	}
}

func TestFewDescriptorsAreToldBeforeTheyRunOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		most        uint64
		connections int
		warns       bool
	}{
		{1024, 0, true},
		{4096, 0, false},
		{4096, 1920, false},
		{4095, 1920, true},
		{4096, 100_000, true},
		{1024, 100, false},
		{math.MaxUint64, math.MaxInt, false},
	} {
		var written bytes.Buffer
		warnLowFDLimit(c.most, c.connections, slog.New(slog.NewTextHandler(&written, nil)))
		if warned := strings.Contains(written.String(), "level=WARN"); warned != c.warns {
			t.Errorf("%d descriptors for %d connections: %s", c.most, c.connections, &written)
		}
	}
	if fdLimit() < 64 {
		t.Errorf("this process runs with %d", fdLimit())
	}
}
