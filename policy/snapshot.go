// Package policy decides whether a user may use a method on a path of an
// upstream, and says which row of which file decided. It is step 4 of the
// request path; it knows nothing of HTTP, sessions, tokens or configuration, and
// prints nothing.
//
// [Load] reads policy files strictly: text that casbin would drop, ignore or misread is a
// fault with file, line and column. It returns a [Snapshot], which is immutable and safe
// for concurrent use; a changed file becomes a new one. [Snapshot.Resolve] turns a user
// into a set of roles once, and [Snapshot.Decide] answers each request.
//
// casbin is the engine of record (casbin.go). Patterns match by target.MatchPattern, for
// casbin too. Decide does not wait for casbin: it answers from an index that is compiled
// from the same rows (index.go), and casbin cross-checks it.
// [Snapshot.Prepare] compares which role leads to which, and an example of each row.
// [Snapshot.CrossCheck] compares, in the background, the first answer to each combination
// of subjects, upstream, method and matching patterns. A difference in effect or row, or a
// failure of casbin, is reported after that answer was given, and demotes the snapshot:
// from then on each request waits for casbin, and is allowed only if both name the same
// row.
//
// In doubt the answer is no: for a zero path, for empty roles, for an unknown
// upstream, for roles of another snapshot and for an error of casbin.
//
// Questions about a policy before it is in force are packages of their own, which
// use this one as any other program could: explain, compare, lint, cases, replay,
// suggest and importer.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
)

const AnyUpstream = "*"

// Snapshot is a policy as it was when it was loaded.
type Snapshot struct {
	hash   string
	quirks map[string]target.Quirks // see Quirks
	rows   []*Row
	grants []Grant

	ids             *subjectIDs         // of every name that stands in a first column, or is granted
	orgWildcards    map[string]string   // "example-org:" → "example-org:*", where a row names it
	domainWildcards map[string]string   // "example.com" → "user:*@example.com", where a row names it
	groupClasses    func() []groupClass // of groups; worked out when first asked for
	index           *index
	enforcers       map[string]lazyEnforcer // upstream → enforcer; nil where no row concerns it
	otherEnforcer   lazyEnforcer            // for upstreams that no row names; nil if there are to be none

	crossCheck atomic.Pointer[crossCheck] // nil until CrossCheck runs
	demoted    atomic.Bool
}

// Load reads a policy. Rows count in the order of the sources. The error is
// [fault.Faults] with all that is wrong in any of them.
//
// Rows may name the given upstreams only, and no other upstream is let in;
// where upstreams is nil, as in a dry run without configuration, any will do. quirks
// says what the paths of an upstream may hold, by its name.
func Load(sources []Source, upstreams []string, quirks ...map[string]target.Quirks) (*Snapshot, error) {
	p := newParser(upstreams)
	for _, some := range quirks {
		p.quirks = some
	}
	if len(sources) == 0 {
		p.faults.Add(fault.Position{File: "policy"}, "no policy file is named", "name at least one")
	}
	digest := sha256.New()
	for _, src := range sources {
		p.read(src)
		digest.Write(src.Data)
	}
	if !p.unreadable { // else a row may be missing that has the name
		checkNames(p.grants, p.rowSubjects, p.faults)
	}
	checkChains(p.grants, p.faults)
	if err := p.faults.Err(); err != nil {
		return nil, err
	}
	array := slices.Clone(p.rows) // grown by appending, kept for long
	s := &Snapshot{
		hash: hex.EncodeToString(digest.Sum(nil))[:12], rows: pointersTo(array),
		grants: slices.Clone(p.grants),
	}
	s.ids = newSubjectIDs(s.rows, s.grants)
	s.index = compile(array, s.ids, upstreams, p.faults)
	if err := p.faults.Err(); err != nil {
		return nil, err
	}
	s.orgWildcards, s.domainWildcards = make(map[string]string), make(map[string]string)
	for _, name := range s.ids.names {
		if domain, isDomain := strings.CutPrefix(name, DomainWildcard); isDomain {
			s.domainWildcards[domain] = name
		} else if IsWildcardSubject(name) {
			s.orgWildcards[strings.TrimSuffix(name, "*")] = name
		}
	}
	s.groupClasses = sync.OnceValue(s.computeGroupClasses)
	if s.quirks = p.quirks; upstreams == nil {
		s.quirks = quirksIn(s.rows)
	}
	enforcers, other := newLazyEnforcers(maps.Keys(s.index.roots), s.rows)
	if s.enforcers = enforcers; upstreams == nil {
		s.otherEnforcer = other
	}
	return s, nil
}

// pointersTo gives a pointer to each row of an array.
func pointersTo(array []Row) []*Row {
	rows := make([]*Row, len(array))
	for i := range array {
		rows[i] = &array[i]
	}
	return rows
}

// Hash names the content of the policy: the first 12 hex digits of the SHA-256
// over the sources one after the other. For one file that is what sha256sum
// prints.
func (s *Snapshot) Hash() string { return s.hash }

// RowCount counts p and g rows.
func (s *Snapshot) RowCount() int { return len(s.rows) + len(s.grants) }

// Rows gives the p rows in the order of the files. The caller must not change them.
func (s *Snapshot) Rows() []*Row { return s.rows }

// Grants gives the g rows in the order of the files. The caller must not change them.
func (s *Snapshot) Grants() []Grant { return s.grants }

// HasSubject reports whether a row names a subject.
func (s *Snapshot) HasSubject(name string) bool { return s.ids.has(name) }

// Subjects gives every subject that the policy names, in p rows or g rows,
// sorted: roles, groups, ORG:*, users, user:*@DOMAIN and system names.
func (s *Snapshot) Subjects() []string { return slices.Sorted(slices.Values(s.ids.names)) }

// RoleNames gives those of Subjects that are roles.
func (s *Snapshot) RoleNames() []string {
	return slices.DeleteFunc(s.Subjects(), func(name string) bool { return ParseSubject(name).Kind != KindRole })
}

// Upstreams gives every upstream that a row names, sorted, and not *.
func (s *Snapshot) Upstreams() []string {
	names := StringSet{}
	for _, row := range s.rows {
		names[row.Upstream] = struct{}{}
	}
	delete(names, AnyUpstream)
	return slices.Sorted(maps.Keys(names))
}

// Decide answers one request: the first row, in the order of the files, that
// denies; else the first that allows; else no. It allocates nothing.
func (s *Snapshot) Decide(q Request) Decision {
	if !isWellFormed(q.Upstream, q.Path, q.Method) || !q.Roles.areOf(s.ids) {
		return Decision{}
	}
	v := s.index.decide(&q)
	if c := s.crossCheck.Load(); c != nil {
		c.enqueue(&q, v)
	}
	if s.demoted.Load() {
		return s.decideStrict(&q, v.Decision)
	}
	return v.Decision
}

// isWellFormed keeps from casbin what it would compare with empty fields.
func isWellFormed(upstream string, path target.Path, method string) bool {
	return upstream != "" && upstream != AnyUpstream && !path.IsZero() && method != ""
}

// hasUpstream reports whether an upstream is one that rows may name.
func (s *Snapshot) hasUpstream(upstream string) bool {
	return s.otherEnforcer != nil || s.enforcers[upstream] != nil
}

// CanDecide reports whether a question is one that rows can answer.
func (s *Snapshot) CanDecide(q Request) bool {
	return isWellFormed(q.Upstream, q.Path, q.Method) && q.Roles.areOf(s.ids) && s.hasUpstream(q.Upstream)
}

// A policy matches what is forwarded, so that a row may hold //, ; or %25 before two
// hex digits only for an upstream whose paths may hold them.

// Quirks gives what the paths of an upstream may hold (target.ParseWith). Where it is
// not known which upstreams there are, the rows about it tell.
func (s *Snapshot) Quirks(upstream string) target.Quirks {
	return s.quirks[upstream] | s.quirks[AnyUpstream]
}

// quirksOf gives what rows that name an upstream may hold; those for every upstream,
// what any of them may.
func (p *parser) quirksOf(upstream string) target.Quirks {
	switch {
	case p.upstreams == nil:
		return target.AllQuirks
	case upstream != AnyUpstream:
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

// QuirksOn gives what the paths of an upstream may hold to any of some policies.
func QuirksOn(upstream string, policies ...*Snapshot) target.Quirks {
	var all target.Quirks
	for _, s := range policies {
		all |= s.Quirks(upstream)
	}
	return all
}
