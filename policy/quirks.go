package policy

import "github.com/example-org/authgate/target"

// A policy matches what is forwarded, so that a row may hold //, ; or %25 before two
// hex digits only for an upstream whose paths may hold them.

// Quirks gives what the paths of an upstream may hold (target.ParseWith). Where it is
// not known which upstreams there are, the rows about it tell.
func (s *Snapshot) Quirks(upstream string) target.Quirks {
	return s.quirks[upstream] | s.quirks[anyUpstream]
}

// quirksOf gives what rows that name an upstream may hold; those for every upstream,
// what any of them may.
func (p *parser) quirksOf(upstream string) target.Quirks {
	switch {
	case p.upstreams == nil:
		return target.AllQuirks
	case upstream != anyUpstream:
		return p.quirks[upstream]
	}
	var any target.Quirks
	for _, q := range p.quirks {
		any |= q
	}
	return any
}

// quirksIn gathers what rows make use of, by upstream.
func quirksIn(rows []*Row) map[string]target.Quirks {
	var all map[string]target.Quirks
	for _, row := range rows {
		if path, err := target.ParseWith(row.Path, target.AllQuirks); err == nil && path.Quirks() != 0 {
			if all == nil {
				all = make(map[string]target.Quirks)
			}
			all[row.Upstream] |= path.Quirks()
		}
	}
	return all
}

// quirksOn gives what the paths of an upstream may hold to any of some policies.
func quirksOn(upstream string, policies ...*Snapshot) target.Quirks {
	var all target.Quirks
	for _, s := range policies {
		all |= s.Quirks(upstream)
	}
	return all
}
