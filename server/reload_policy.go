package server

import (
	"fmt"
	"log/slog"
	"slices"

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
func (w *reloader) watchPolicies(p *Deps, reverseProxy *proxy.Proxy, view *operatorView) {
	activeRows := p.Policy.RowCount()
	active := watch.Files{
		Name: "policy", Paths: p.Config.Policy.Files,
		Read: readPolicies(func() ([]policy.Source, error) { return policy.ReadFiles(p.Config.Policy.Files...) }),
		Apply: p.applyPolicy(func(s *policy.Snapshot, sources []policy.Source) error {
			if err := checkShrink(activeRows, s.RowCount()); err != nil && !p.Config.Policy.AllowShrink {
				return err
			}
			activeRows = s.RowCount()
			reverseProxy.SetPolicy(s)
			view.accepted(&view.policy, sources)
			return nil
		}),
		OnError: func(err error) {
			reverseProxy.RejectPolicy(err)
			view.rejected(&view.policy, err)
		},
	}
	if p.configMap != nil {
		active.Name = "policy of ConfigMap " + p.configMap.Path()
		active.Read = readPolicies(p.configMap.Read)
		p.configMap.OnChange(w.watcher.Notify)
	}
	w.watcher.Add(&active, contentsOf(p.Sources))
	if len(p.Config.Policy.Shadow) > 0 {
		w.watcher.Add(&watch.Files{
			Name: "candidate policy", Paths: p.Config.Policy.Shadow,
			Read: readPolicies(func() ([]policy.Source, error) { return policy.ReadFiles(p.Config.Policy.Shadow...) }),
			Apply: p.applyPolicy(func(s *policy.Snapshot, sources []policy.Source) error {
				reverseProxy.SetShadow(s)
				view.accepted(&view.shadow, sources)
				return nil
			}),
			OnError: func(err error) {
				reverseProxy.RejectShadow(err)
				view.rejected(&view.shadow, err)
			},
		}, contentsOf(p.shadowSources))
	}
}

func readPolicies(read func() ([]policy.Source, error)) func() ([][]byte, error) {
	return func() ([][]byte, error) {
		sources, err := read()
		return contentsOf(sources), err
	}
}

// contentsOf gives the name and the text of each source in turn: a ConfigMap may get another
// set of keys.
func contentsOf(sources []policy.Source) [][]byte {
	contents := make([][]byte, 0, 2*len(sources))
	for _, s := range sources {
		contents = append(contents, []byte(s.Name), s.Data)
	}
	return contents
}

func sourcesOf(contents [][]byte) []policy.Source {
	var sources []policy.Source
	for pair := range slices.Chunk(contents, 2) {
		sources = append(sources, policy.Source{Name: string(pair[0]), Data: pair[1]})
	}
	return sources
}

// applyPolicy loads what was read and hands it over.
func (p *Deps) applyPolicy(apply func(*policy.Snapshot, []policy.Source) error) func([][]byte) error {
	return func(contents [][]byte) error {
		sources := sourcesOf(contents)
		snapshot, err := loadPolicy(sources, p.Config)
		if err != nil {
			return err
		}
		return apply(snapshot, sources)
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
