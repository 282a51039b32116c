package server

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/config"
)

// secretWatch follows one secret in a file, and notes what is put in force.
type secretWatch struct {
	*reloader
	registry *prometheus.Registry

	file  string
	taken []string
	log   bytes.Buffer
}

func newSecretWatch(t *testing.T, first string) *secretWatch {
	t.Helper()
	w := &secretWatch{file: filepath.Join(t.TempDir(), "client-secret")}
	w.reloader = newReloader(slog.New(slog.NewJSONHandler(&w.log, nil)))
	w.registry = prometheus.NewRegistry()
	w.registerReloadMetrics(w.registry)
	write(t, w.file, first+"\n")
	c, err := config.Parse("authgate.yaml", []byte(`
issuer: {url: https://dex.example.com, clientID: authgate, clientSecret: {file: `+w.file+`}}
session: {keys: c}
upstreams: [{name: a, hosts: [a.example.com], url: "http://a"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	values := []watchedValue{secretValue(c.Issuer.ClientID, "authgate"), secretValue(c.Issuer.ClientSecret, first)}
	w.watchValues("issuer.clientSecret", values, func(now []string) error {
		w.taken = append(w.taken, strings.Join(now, "/"))
		return nil
	})
	return w
}

func (w *secretWatch) change(t *testing.T, text string) {
	t.Helper()
	write(t, w.file, text)
	w.watcher.Check()
	w.watcher.Check()
}

// counts gives how many changes were refused, and how many put in force.
func (w *secretWatch) counts(t *testing.T) (failed, ok float64) {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].Metric) != 2 {
		t.Fatalf("%v: %v", families, err)
	}
	return families[0].Metric[0].Counter.GetValue(), families[0].Metric[1].Counter.GetValue()
}

func TestAChangedSecretIsPutInForceAndABadOneIsNot(t *testing.T) {
	t.Parallel()
	w := newSecretWatch(t, "one-hunter2")
	w.watcher.Check()
	w.change(t, "one-hunter2\r\n\n") // no change
	if len(w.taken) > 0 || w.log.Len() > 0 {
		t.Errorf("%q: %s", w.taken, &w.log)
	}
	w.change(t, "two-hunter2\n")
	for _, bad := range []string{"", " \n", "three\nhunter2\n", "hunter2\x00", "\x1bhunter2"} {
		w.change(t, bad)
		w.watcher.Check() // complains once of each reason
	}
	w.change(t, "four-hunter2")
	if got := strings.Join(w.taken, " "); got != "authgate/two-hunter2 authgate/four-hunter2" {
		t.Errorf("in force: %s", got)
	}
	if failed, ok := w.counts(t); ok != 2 || failed != 2 {
		t.Errorf("%v taken, %v refused", ok, failed)
	}
	log := w.log.String()
	if strings.Contains(log, "hunter2") || strings.Count(log, `"level":"ERROR"`) != 2 || strings.Count(log, `"level":"INFO"`) != 2 || !strings.Contains(log, w.file) {
		t.Errorf("the log:\n%s", log)
	}
}

func TestAVariableIsNotFollowed(t *testing.T) {
	t.Parallel()
	w := newReloader(slog.New(slog.DiscardHandler))
	registry := prometheus.NewRegistry()
	w.registerReloadMetrics(registry)
	w.watchValues("adminToken", []watchedValue{secretValue(config.Secret{}, "")}, nil)
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("it is followed: %v %v", families, err)
	}
}

func TestCAsThatDoNotLoadAreNotTaken(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(nil)
	t.Cleanup(srv.Close)
	var log bytes.Buffer
	w := newReloader(slog.New(slog.NewTextHandler(&log, nil)))
	file := filepath.Join(t.TempDir(), "ca.crt")
	write(t, file, "-----BEGIN CERTIFICATE-----\n")
	taken := 0
	w.watchValues("issuer.caFile", []watchedValue{fileValue(file, nil)}, func(now []string) error {
		_, err := parseCAs("issuer.caFile", file, []byte(now[0]))
		if err == nil {
			taken++
		}
		return err
	})
	w.watcher.Check()
	w.watcher.Check()
	if taken != 0 || !strings.Contains(log.String(), "holds no certificate in PEM") {
		t.Errorf("%d: %s", taken, &log)
	}
}
