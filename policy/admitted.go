package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

// A refusal names the groups that would be admitted. A client can be refused as
// often as it likes, so that this has to cost little, however many groups a policy
// names: groups that mean the same to every decision are evaluated once, only those
// that some row admits are evaluated at all, and no more than a few are named.

const (
	maxAdmitted  = 10      // groups that are named
	maxEvaluated = 1 << 13 // patterns that groups are compared with for one list; after that, none is counted
)

// groupClass is the groups, sorted, of which each alone is the same subjects to the
// index.
type groupClass struct {
	bits   subjectSet
	groups []string
}

// computeGroupClasses sorts the groups that the policy names by what they bring.
func (s *Snapshot) computeGroupClasses() []groupClass {
	var all []groupClass
	byFingerprint := make(map[uint64]int) // fingerprint → place in all
	for _, name := range s.ids.names {
		if ParseSubject(name).Kind != KindGroup {
			continue
		}
		set := s.ids.onlyWithRows(asSet(s.appendSubjects(nil, Identity{Groups: []string{name}})))
		at, known := byFingerprint[set.fingerprint()]
		if !known {
			at = len(all)
			byFingerprint[set.fingerprint()] = at
			all = append(all, groupClass{bits: set})
		}
		all[at].groups = append(all[at].groups, name)
	}
	for _, a := range all {
		slices.Sort(a.groups)
	}
	return all
}

// Admitted gives the issuer's groups, among those that the policy names, in which
// a user would have to be to be admitted, were it the only one: for the page that
// tells the user why not. ORG:* stands for any group of that organisation. It names
// the first ten in the order of their names, and counts the others. A demoted
// snapshot gives none.
func (s *Snapshot) Admitted(upstream string, path target.Path, method string) (groups []string, more int) {
	if !isWellFormed(upstream, path, method) || s.demoted.Load() {
		return nil, 0
	}
	matching := s.index.matchPatterns(upstream, path.String(), method)
	allowing := matching.allowing()
	if len(allowing) == 0 {
		return nil, 0
	}
	total, budget := 0, maxEvaluated
	for _, a := range s.groupClasses() {
		if !a.bits.intersects(allowing) {
			continue
		}
		if budget -= len(matching.patterns); budget < 0 {
			break
		}
		if matching.decide(a.bits).Allowed() {
			total += len(a.groups)
			groups = firstOf(groups, a.groups)
		}
	}
	return groups, total - len(groups)
}

// firstOf gives the first of two sorted lists together. It changes the first one.
func firstOf(a, b []string) []string {
	for _, name := range b {
		at, _ := slices.BinarySearch(a, name)
		if at == maxAdmitted {
			break
		}
		a = slices.Insert(a[:min(len(a), maxAdmitted-1)], at, name)
	}
	return a
}

// allowing gives the subjects that some row lets in.
func (m matchedPatterns) allowing() subjectSet {
	var words []setWord
	for _, pattern := range m.patterns {
		for _, g := range m.groupsOf(pattern) {
			if g.effect != Allow || g.methods&m.method == 0 {
				continue
			}
			if g.words == 0 {
				words = append(words, wordOf(g.at))
				continue
			}
			for _, w := range m.words[g.at : g.at+g.words] {
				words = append(words, setWord{index: w.index, bits: w.bits})
			}
		}
	}
	return asSet(words)
}

// intersects reports whether two sets have a subject in common.
func (s subjectSet) intersects(other subjectSet) bool {
	for len(s) > 0 && len(other) > 0 {
		switch {
		case s[0].index < other[0].index:
			s = s[gallopSearch(s, other[0].index):]
		case s[0].index > other[0].index:
			other = other[gallopSearch(other, s[0].index):]
		case s[0].bits&other[0].bits != 0:
			return true
		default:
			s, other = s[1:], other[1:]
		}
	}
	return false
}

// AdmittedRole is the role through which a group that [Snapshot.Admitted] names is admitted. It
// is empty if a row names the group itself.
func (s *Snapshot) AdmittedRole(group, upstream string, path target.Path, method string) string {
	d := s.index.decide(&Request{
		Roles: s.Resolve(Identity{Groups: []string{group}}), Upstream: upstream, Path: path, Method: method,
	})
	if d.Row == nil || ParseSubject(d.Row.Subject).Kind != KindRole {
		return ""
	}
	organisation, _, _ := strings.Cut(group, ":")
	for _, g := range s.grants {
		if (g.Member == group || g.Member == organisation+TeamWildcard) &&
			s.Resolve(Identity{Roles: []string{g.Role}}).Has(d.Row.Subject) {
			return g.Role
		}
	}
	return d.Row.Subject
}
