// Package policy decides whether somebody may use a method on a path of an
// upstream, and says which row of which file decided. It is step 4 of the
// request path; it knows nothing of HTTP, sessions, tokens or configuration, and
// prints nothing.
//
// [Load] reads policy files strictly: whatever casbin would drop, ignore or read
// in another way than it was meant is a fault with file, line and column. What it
// returns is a [Snapshot], which is immutable and safe for any number of
// goroutines; a changed file becomes a new one. [Snapshot.Resolve] turns
// somebody into a set of roles once, [Snapshot.Decide] answers each request.
//
// Which role leads to which, and the verdict, are casbin's (engine.go); what a
// pattern matches is ours (pattern.go), and casbin asks it.
//
// In doubt the answer is no: for a zero path, for nobody, for an unknown
// upstream, for roles of another snapshot and for an error of casbin.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
)

const anyUpstream = "*"

// Snapshot is a policy as it was when it was loaded.
type Snapshot struct {
	hash   string
	rows   []*Row
	grants []grant
	origin *origin

	known         subjects          // every name that stands in a first column, or is granted
	organisations map[string]string // "example-org:" → "example-org:*", where a row names it
	groups        []groupRoles      // by name
	hierarchy     *hierarchy

	judges map[string]*judge // upstream → judge; nil where no row concerns it
	others *judge            // for upstreams that no row names, if names are not checked
}

// groupRoles is what somebody is who is in one group and in no other.
type groupRoles struct {
	group string
	roles Roles
}

// Load reads a policy. Rows count in the order of the sources. The error is
// [fault.Faults] with all that is wrong in any of them.
//
// Rows may name the given upstreams only, and no other upstream is let in;
// where upstreams is nil, as in a dry run without configuration, any will do.
func Load(sources []Source, upstreams []string) (*Snapshot, error) {
	p := newParser(upstreams)
	if len(sources) == 0 {
		p.faults.Add(fault.Position{File: "policy"}, "no policy file is named", "name at least one")
	}
	digest := sha256.New()
	for _, src := range sources {
		p.read(src)
		digest.Write(src.Data)
	}
	if !p.garbled { // else a row may be missing that has the name
		checkNames(p.grants, p.ruled, &p.faults)
	}
	checkChains(p.grants, &p.faults)
	if err := p.faults.Err(); err != nil {
		return nil, err
	}
	s := &Snapshot{hash: hex.EncodeToString(digest.Sum(nil))[:12], rows: p.rows, grants: p.grants, origin: new(origin)}
	if err := s.build(upstreams); err != nil {
		at := fault.Position{File: sources[0].Name}
		return nil, fault.Faults{{Position: at, What: "the policy is sound, but casbin fails with it: " + err.Error(), Mend: "please report this"}}
	}
	return s, nil
}

func (s *Snapshot) build(upstreams []string) (err error) {
	if s.hierarchy, err = newHierarchy(s.grants); err != nil {
		return err
	}
	s.collectNames()
	for name := range s.known {
		if !reserved(name) {
			s.groups = append(s.groups, groupRoles{name, s.Resolve(Who{Groups: []string{name}})})
		}
	}
	slices.SortFunc(s.groups, func(a, b groupRoles) int { return strings.Compare(a.group, b.group) })

	if upstreams == nil {
		if s.others, err = newJudge(anyUpstream, s.rows); err != nil {
			return err
		}
		for _, row := range s.rows {
			upstreams = append(upstreams, row.Upstream)
		}
	}
	s.judges = map[string]*judge{}
	for _, upstream := range upstreams {
		if _, done := s.judges[upstream]; done || upstream == anyUpstream {
			continue
		}
		if s.judges[upstream], err = newJudge(upstream, s.rows); err != nil {
			return err
		}
	}
	return nil
}

func (s *Snapshot) collectNames() {
	s.known, s.organisations = subjects{}, map[string]string{}
	for _, row := range s.rows {
		s.known[row.Subject] = struct{}{}
	}
	for _, g := range s.grants {
		s.known[g.member] = struct{}{}
		s.known[g.role] = struct{}{}
	}
	for name := range s.known {
		if strings.HasSuffix(name, everyTeam) && !reserved(name) {
			s.organisations[strings.TrimSuffix(name, "*")] = name
		}
	}
}

// Hash names the content of the policy: the first 12 hex digits of the SHA-256
// over the sources one after the other. For one file that is what sha256sum
// prints.
func (s *Snapshot) Hash() string { return s.hash }

// Rows counts p and g rows.
func (s *Snapshot) Rows() int { return len(s.rows) + len(s.grants) }

// Decide answers one request: the first row, in the order of the files, that
// denies; else the first that allows; else no.
func (s *Snapshot) Decide(q Request) Decision {
	if !answerable(q.Upstream, q.Path, q.Method) || q.Roles.of != s.origin || len(q.Roles.names) == 0 {
		return Decision{}
	}
	d, err := s.judgeOf(q.Upstream).decide(q.Roles.names, q.Path.String(), q.Method)
	if err != nil {
		return Decision{}
	}
	return d
}

// answerable keeps from casbin what it would compare with empty fields.
func answerable(upstream string, path target.Path, method string) bool {
	return upstream != "" && upstream != anyUpstream && !path.IsZero() && method != ""
}

func (s *Snapshot) judgeOf(upstream string) *judge {
	if j, named := s.judges[upstream]; named {
		return j
	}
	return s.others
}

// Admitted gives the issuer's groups, among those that the policy names, in which
// somebody would have to be to be let in, were it the only one: for the page that
// tells a person why not. ORG:* stands for any group of that organisation. The
// groups are sorted.
func (s *Snapshot) Admitted(upstream string, path target.Path, method string) []string {
	if !answerable(upstream, path, method) || s.judgeOf(upstream) == nil {
		return nil
	}
	// Only rows that match matter here. A judge of these alone is soon built and
	// soon answers, however many groups there are: a refusal must not be dear.
	var matching []*Row
	var opening []string // subjects that some row lets in
	for _, row := range s.rows {
		if matchPath(path.String(), row.Path) && matchMethod(method, row.Methods) {
			matching = append(matching, row)
			if row.Effect == Allow {
				opening = append(opening, row.Subject)
			}
		}
	}
	j, err := newJudge(upstream, matching)
	if err != nil {
		return nil
	}
	var admitted []string
	for _, g := range s.groups {
		if !slices.ContainsFunc(opening, g.roles.names.has) {
			continue
		}
		d, err := j.decide(g.roles.names, path.String(), method)
		if err == nil && d.Allowed() {
			admitted = append(admitted, g.group)
		}
	}
	return admitted
}
