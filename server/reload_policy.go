package server

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/server/watch"
)

// reloader uses changed files without a restart: policies, session keys, secrets, CAs
// and certificates.
type reloader struct {
	watcher *watch.Watcher
	log     *slog.Logger
	reloads *prometheus.CounterVec // of secrets and CAs, by key and result; nil: not counted
}

func newReloader(log *slog.Logger) *reloader {
	return &reloader{watcher: watch.New(log), log: log}
}

// watchPolicies reloads the policy and the shadow policy.
func (w *reloader) watchPolicies(p *Deps, reverseProxy *proxy.Proxy) {
	activeRows := p.Policy.RowCount()
	w.watcher.Add(&watch.Files{
		Name: "policy", Paths: p.Config.Policy.Files,
		Read: func() ([][]byte, error) { return readPolicies(p.Config.Policy.Files) },
		Apply: p.applyPolicy(p.Config.Policy.Files, func(s *policy.Snapshot) error {
			if err := checkShrink(activeRows, s.RowCount()); err != nil && !p.Config.Policy.AllowShrink {
				return err
			}
			activeRows = s.RowCount()
			reverseProxy.SetPolicy(s)
			return nil
		}),
		OnError: reverseProxy.RejectPolicy,
	}, contentsOf(p.Sources))
	if len(p.Config.Policy.Shadow) > 0 {
		w.watcher.Add(&watch.Files{
			Name: "candidate policy", Paths: p.Config.Policy.Shadow,
			Read: func() ([][]byte, error) { return readPolicies(p.Config.Policy.Shadow) },
			Apply: p.applyPolicy(p.Config.Policy.Shadow,
				func(s *policy.Snapshot) error { reverseProxy.SetShadow(s); return nil }),
			OnError: reverseProxy.RejectShadow,
		}, contentsOf(p.shadowSources))
	}
}

func readPolicies(files []string) ([][]byte, error) {
	sources, err := policy.ReadFiles(files...)
	return contentsOf(sources), err
}

func contentsOf(sources []policy.Source) [][]byte {
	contents := make([][]byte, len(sources))
	for i, s := range sources {
		contents[i] = s.Data
	}
	return contents
}

// applyPolicy loads what the files held and hands it over.
func (p *Deps) applyPolicy(files []string, apply func(*policy.Snapshot) error) func([][]byte) error {
	return func(contents [][]byte) error {
		sources := make([]policy.Source, len(files))
		for i, file := range files {
			sources[i] = policy.Source{Name: file, Data: contents[i]}
		}
		snapshot, err := loadPolicy(sources, p.Config)
		if err != nil {
			return err
		}
		return apply(snapshot)
	}
}

// checkShrink complains about a policy that lost more than half of its rows: a file
// that was cut between two rows loads well, and a deny may be what is missing.
func checkShrink(before, after int) error {
	if 2*after >= before {
		return nil
	}
	return fmt.Errorf("only %d of %d rows would be left; "+
		"if that is meant, restart authgate, or set policy.allowShrink: true in its configuration beforehand", after, before)
}
