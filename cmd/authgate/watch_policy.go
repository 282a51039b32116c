package main

import (
	"fmt"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
)

// watchPolicies puts changed policy files in force, and changed candidates beside
// them.
func (w *fileWatcher) watchPolicies(p *deps, reverseProxy *proxy.Proxy) {
	activeRows := p.policy.RowCount()
	w.add(&watchedFiles{
		what: "policy", files: p.config.Policy.Files, read: readPolicies, processed: contentHash(contentsOf(p.sources), nil),
		apply: p.applyPolicy(p.config.Policy.Files, func(s *policy.Snapshot) error {
			if err := checkShrink(activeRows, s.RowCount()); err != nil && !p.config.Policy.AllowShrink {
				return err
			}
			activeRows = s.RowCount()
			reverseProxy.SetPolicy(s)
			return nil
		}),
		onError: reverseProxy.RejectPolicy,
	})
	if len(p.config.Policy.Shadow) > 0 {
		w.add(&watchedFiles{
			what: "candidate policy", files: p.config.Policy.Shadow, read: readPolicies, processed: contentHash(contentsOf(p.shadowSources), nil),
			apply:   p.applyPolicy(p.config.Policy.Shadow, func(s *policy.Snapshot) error { reverseProxy.SetShadow(s); return nil }),
			onError: reverseProxy.RejectShadow,
		})
	}
}

func readPolicies(files ...string) ([][]byte, error) {
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
func (p *deps) applyPolicy(files []string, apply func(*policy.Snapshot) error) func([][]byte) error {
	return func(contents [][]byte) error {
		sources := make([]policy.Source, len(files))
		for i, file := range files {
			sources[i] = policy.Source{Name: file, Data: contents[i]}
		}
		snapshot, err := loadPolicy(sources, p.config)
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
