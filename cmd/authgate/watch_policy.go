package main

import (
	"fmt"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
)

// followPolicies puts changed policy files in force, and changed candidates beside
// them.
func (w *fileWatch) followPolicies(p *parts, gate *proxy.Proxy) {
	inForce := p.policy.Rows()
	w.follow(&followed{
		what: "policy", files: p.config.Policy.Files, read: readPolicies, judged: sum(contentsOf(p.sources), nil),
		take: p.takePolicy(p.config.Policy.Files, func(s *policy.Snapshot) error {
			if err := shrunk(inForce, s.Rows()); err != nil && !p.config.Policy.AllowShrink {
				return err
			}
			inForce = s.Rows()
			gate.SetPolicy(s)
			return nil
		}),
		keep: gate.KeepPolicy,
	})
	if len(p.config.Policy.Shadow) > 0 {
		w.follow(&followed{
			what: "candidate policy", files: p.config.Policy.Shadow, read: readPolicies, judged: sum(contentsOf(p.shadowSources), nil),
			take: p.takePolicy(p.config.Policy.Shadow, func(s *policy.Snapshot) error { gate.SetShadow(s); return nil }),
			keep: gate.KeepShadow,
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

// takePolicy loads what the files held and hands it over.
func (p *parts) takePolicy(files []string, take func(*policy.Snapshot) error) func([][]byte) error {
	return func(contents [][]byte) error {
		sources := make([]policy.Source, len(files))
		for i, file := range files {
			sources[i] = policy.Source{Name: file, Data: contents[i]}
		}
		snapshot, err := loadPolicy(sources, p.config)
		if err != nil {
			return err
		}
		return take(snapshot)
	}
}

// shrunk complains about a policy that lost more than half of its rows: a file
// that was cut between two rows loads well, and a deny may be what is missing.
func shrunk(had, has int) error {
	if 2*has >= had {
		return nil
	}
	return fmt.Errorf("only %d of %d rows would be left; "+
		"if that is meant, restart authgate, or set policy.allowShrink: true in its configuration beforehand", has, had)
}
