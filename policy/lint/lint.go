// Package lint finds rows that load but are suspicious: deny rows that lock out
// inheriting roles, redundant rows, names that look like typos, and access that is
// wider than it seems. [Checks] lists all checks with their codes.
package lint

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// Severity says how much a finding of [Run] matters.
type Severity uint8

// The severities, the least first.
const (
	Info    Severity = iota // worth knowing
	Warning                 // most likely not what was meant
	Error                   // the policy does not load
)

// String gives the word that people and programs read.
func (s Severity) String() string { return [...]string{"info", "warning", "error"}[min(s, Error)] }

// Finding is one thing that Lint noticed.
type Finding struct {
	Code     string // AG104: a heading of docs/lint.md, and stable
	Severity Severity
	At       fault.Position
	Message  string
	Hint     string // empty where nothing needs to be done
	Line     string // the line as it stands in the file; empty where it is about a whole file
}

// Report is what [Run] has to say.
type Report struct {
	Findings []Finding // in the order of the files
	Ignored  int       // findings that comments ask not to hear of
	Faults   error     // why the policy does not load; the findings are these faults
	Hash     string    // of a policy that loads
}

// Environment are what a policy does not say about the requests that come to it.
type Environment struct {
	Upstreams       []string            // as for Load: the names that rows may use; nil where they are not known
	Endpoints       []string            // patterns of the paths that are answered before the policy is asked
	Routed          map[string][]string // upstream → patterns of the paths that are routed to it; missing: all
	RoutedElsewhere map[string][]string // upstream → patterns of the paths that go to another one instead

	Quirks      map[string]target.Quirks // as for Load
	StripPrefix map[string]string        // upstream → prefix that is taken off, without a slash at its end

	// upstream → patterns of the paths that may hold %2F there; missing: it is not known
	EncodedSlash map[string][]string
}

// Run looks for rows that do something else than their author seems to
// have meant. A comment on the lines above a row silences what is said of it:
//
//	# authgate:ignore AG104,AG105 why this is meant
//
// It compares paths, methods and subjects exactly, not by example.
func Run(sources []policy.Source, env Environment) Report {
	snapshot, err := policy.Load(sources, env.Upstreams, env.Quirks)
	if err != nil {
		return Report{Findings: quoteLines(faultFindings(err), sources), Faults: err}
	}
	l := newLinter(snapshot, env)
	l.checkUnmatchable()
	l.checkDeadAllows()
	l.checkShadowed()
	l.checkDenies()
	l.checkSpellings()
	l.checkSlashes()
	l.checkStrippedPrefixes()
	l.checkMembers()
	l.checkRedundantGrants()
	l.checkBroadSubjects()
	l.checkAnonymous()
	l.checkRegistered()
	l.checkSimilarNames()
	l.checkQuotes()
	l.checkMergedRoles(sources)
	if l.budget < 0 {
		l.add(incomplete, fault.Position{File: sources[0].Name},
			"the rows overlap in too many ways to look at all of them, so findings may be missing", "")
	}
	findings, ignored := l.applyIgnores(sources)
	order := map[string]int{}
	for i, src := range sources {
		order[src.Name] = i
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.At.File], order[b.At.File]), cmp.Compare(a.At.Line, b.At.Line),
			cmp.Compare(a.At.Column, b.At.Column), strings.Compare(a.Code, b.Code))
	})
	return Report{Findings: quoteLines(findings, sources), Ignored: ignored, Hash: snapshot.Hash()}
}

func faultFindings(err error) []Finding {
	var faults fault.Faults
	if !errors.As(err, &faults) {
		return []Finding{{Code: doesNotLoad, Severity: Error, Message: err.Error()}}
	}
	findings := make([]Finding, len(faults))
	for i, f := range faults {
		findings[i] = Finding{Code: doesNotLoad, Severity: Error, At: f.Position, Message: f.Message, Hint: f.Hint}
	}
	return findings
}

// maxComparisons bounds the pairs of rows that are compared.
const maxComparisons = 1 << 20

// linter is what the checks have in common. It belongs to one goroutine.
type linter struct {
	*policy.Snapshot
	env                Environment
	graph              policy.RoleGraph
	allowRows          *prefixIndex
	denyRows           *prefixIndex
	anonymousHolds     policy.ReachableSet            // what system:anonymous holds
	authenticatedHolds policy.ReachableSet            // what system:authenticated holds
	impliedCache       map[string]policy.ReachableSet // subject → what impliedBy gives
	holdersCache       map[string]policy.ReachableSet // subject → who holdersOf gives
	order              map[*policy.Row]int            // its place among all rows
	ineffective        map[*policy.Row]bool           // a finding says already that the row does nothing
	budget             int                            // how many more pairs may be compared
	findings           []Finding
}

func newLinter(s *policy.Snapshot, env Environment) *linter {
	l := &linter{
		Snapshot: s, env: env, graph: policy.NewRoleGraph(s.Grants()), impliedCache: map[string]policy.ReachableSet{},
		holdersCache: map[string]policy.ReachableSet{},
		order:        make(map[*policy.Row]int, len(s.Rows())), ineffective: map[*policy.Row]bool{}, budget: maxComparisons,
	}
	l.anonymousHolds = l.graph.ImplicitRoles([]string{policy.Anonymous})
	l.authenticatedHolds = l.graph.ImplicitRoles([]string{policy.Authenticated})
	denies := 0
	for _, row := range s.Rows() {
		if row.Effect == policy.Deny {
			denies++
		}
	}
	l.allowRows, l.denyRows = newPrefixIndex(len(s.Rows())-denies), newPrefixIndex(denies)
	for i, row := range s.Rows() {
		l.order[row] = i
		if row.Effect == policy.Allow {
			l.allowRows.add(row)
		} else {
			l.denyRows.add(row)
		}
	}
	return l
}

func (l *linter) add(code string, at fault.Position, message, hint string) {
	l.findings = append(l.findings,
		Finding{Code: code, Severity: severityOf(code), At: at, Message: message, Hint: hint})
}

func (l *linter) addRow(code string, row *policy.Row, message, hint string) {
	l.add(code, row.At, message, hint)
}

// impliedBy gives what every holder of a subject also holds: that of
// system:authenticated, unless it may be anonymous, and that of ORG:* and user:*@DOMAIN.
func (l *linter) impliedBy(subject string) policy.ReachableSet {
	r, known := l.impliedCache[subject]
	if !known {
		direct := policy.DirectSubjectsOf(subject)
		if policy.ParseSubject(subject).Kind == policy.KindRole && !l.anonymousHolds.Has(subject) {
			direct = append(direct, policy.Authenticated)
		}
		r = l.graph.ImplicitRoles(direct)
		l.impliedCache[subject] = r
	}
	return r
}

// holdersOf gives who holds a subject through g rows, itself first.
func (l *linter) holdersOf(subject string) []string {
	r, known := l.holdersCache[subject]
	if !known {
		r = l.graph.ImplicitMembers([]string{subject})
		l.holdersCache[subject] = r
	}
	return r.Names()
}

// heldTogether reports whether some user surely holds both subjects: one leads to the
// other, or a member of the first to the second.
func (l *linter) heldTogether(a, b string) bool {
	if l.impliedBy(a).Has(b) || l.impliedBy(b).Has(a) {
		return true
	}
	for _, member := range l.holdersOf(a) {
		if l.budget--; l.budget < 0 || l.impliedBy(member).Has(b) {
			return l.budget >= 0
		}
	}
	return false
}

// mayOverlap reports whether one request might hold both subjects. Only an anonymous user and
// two persons are surely not the same; a person and the domain of their address may be.
func (l *linter) mayOverlap(deny, allow string) bool {
	switch {
	case deny == policy.Anonymous:
		return l.anonymousHolds.Has(allow)
	case policy.ParseSubject(deny).Kind == policy.KindUser && policy.ParseSubject(allow).Kind == policy.KindUser:
		return deny == allow || deny == policy.DomainSubject(allow) || allow == policy.DomainSubject(deny)
	}
	return true // a signed-in user passes where anonymous ones may, unless a row denies it
}
