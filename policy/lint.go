package policy

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
)

// Severity says how much a finding of [Lint] matters.
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
	What     string
	Mend     string // empty where nothing needs to be done
	Line     string // the line as it stands in the file; empty where it is about a whole file
}

// Report is what [Lint] has to say.
type Report struct {
	Findings []Finding // in the order of the files
	Silenced int       // findings that comments ask not to hear of
	Faults   error     // why the policy does not load; the findings are these faults
	Hash     string    // of a policy that loads
}

// Surroundings are what a policy does not say about the requests that come to it.
type Surroundings struct {
	Upstreams []string            // as for Load: the names that rows may use; nil where they are not known
	Own       []string            // patterns of the paths that are answered before the policy is asked
	Served    map[string][]string // upstream → patterns of the paths that are routed to it; missing: all
	Elsewhere map[string][]string // upstream → patterns of the paths that go to another one instead

	Quirks   map[string]target.Quirks // as for Load
	Stripped map[string]string        // upstream → prefix that is taken off, without a slash at its end

	// upstream → patterns of the paths that may hold %2F there; missing: it is not known
	CodedSlash map[string][]string
}

// Lint looks for rows that do something else than whoever wrote them seems to
// have meant. A comment on the lines above a row silences what is said of it:
//
//	# authgate:ignore AG104,AG105 why this is meant
//
// It compares paths, methods and subjects exactly, not by example.
func Lint(sources []Source, around Surroundings) Report {
	snapshot, err := Load(sources, around.Upstreams, around.Quirks)
	if err != nil {
		return Report{Findings: quoteLines(faultFindings(err), sources), Faults: err}
	}
	l := newLinter(snapshot, around)
	l.never()
	l.dead()
	l.shadowed()
	l.denies()
	l.spellings()
	l.slashes()
	l.strippedPrefixes()
	l.members()
	l.redundantGrants()
	l.everybody()
	l.nobody()
	l.methods()
	l.names()
	l.quotes()
	l.mergedRoles(sources)
	if l.budget < 0 {
		l.add(incomplete, fault.Position{File: sources[0].Name}, "the rows overlap in too many ways to look at all of them, so findings may be missing", "")
	}
	kept, silenced := l.silence(sources)
	order := map[string]int{}
	for i, src := range sources {
		order[src.Name] = i
	}
	slices.SortStableFunc(kept, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.At.File], order[b.At.File]), cmp.Compare(a.At.Line, b.At.Line),
			cmp.Compare(a.At.Column, b.At.Column), strings.Compare(a.Code, b.Code))
	})
	return Report{Findings: quoteLines(kept, sources), Silenced: silenced, Hash: snapshot.Hash()}
}

func faultFindings(err error) []Finding {
	var faults fault.Faults
	if !errors.As(err, &faults) {
		return []Finding{{Code: doesNotLoad, Severity: Error, What: err.Error()}}
	}
	findings := make([]Finding, len(faults))
	for i, f := range faults {
		findings[i] = Finding{Code: doesNotLoad, Severity: Error, At: f.Position, What: f.What, Mend: f.Mend}
	}
	return findings
}

// maxLookedAt bounds the pairs of rows that are compared.
const maxLookedAt = 1 << 20

// linter is what the checks have in common. It belongs to one goroutine.
type linter struct {
	*Snapshot
	around   Surroundings
	ways     ways
	allows   *atlas
	denyRows *atlas
	nobodyIs reach            // what system:anonymous comes to
	signedIn reach            // what system:authenticated comes to
	held     map[string]reach // subject → what heldBy gives
	holders  map[string]reach // subject → who holdersOf gives
	rank     map[*Row]int     // its place among all rows
	useless  map[*Row]bool    // a finding says already that the row does nothing
	budget   int              // how many more pairs may be compared
	findings []Finding
}

func newLinter(s *Snapshot, around Surroundings) *linter {
	l := &linter{
		Snapshot: s, around: around, ways: newWays(s.grants), held: map[string]reach{}, holders: map[string]reach{},
		rank: make(map[*Row]int, len(s.rows)), useless: map[*Row]bool{}, budget: maxLookedAt,
	}
	l.nobodyIs = l.ways.from([]string{anonymous})
	l.signedIn = l.ways.from([]string{authenticated})
	denies := 0
	for _, row := range s.rows {
		if row.Effect == Deny {
			denies++
		}
	}
	l.allows, l.denyRows = newAtlas(len(s.rows)-denies), newAtlas(denies)
	for i, row := range s.rows {
		l.rank[row] = i
		if row.Effect == Allow {
			l.allows.add(row)
		} else {
			l.denyRows.add(row)
		}
	}
	return l
}

func (l *linter) add(code string, at fault.Position, what, mend string) {
	l.findings = append(l.findings, Finding{Code: code, Severity: severityOf(code), At: at, What: what, Mend: mend})
}

func (l *linter) addRow(code string, row *Row, what, mend string) { l.add(code, row.at, what, mend) }

// heldBy gives what whoever holds a subject surely holds, too: that of
// system:authenticated, unless it may be nobody, and that of ORG:* and user:*@DOMAIN.
func (l *linter) heldBy(subject string) reach {
	r, known := l.held[subject]
	if !known {
		starts := startsOf(subject)
		if strings.HasPrefix(subject, rolePrefix) && !l.nobodyIs.has(subject) {
			starts = append(starts, authenticated)
		}
		r = l.ways.from(starts)
		l.held[subject] = r
	}
	return r
}

// holdersOf gives who holds a subject through g rows, itself first.
func (l *linter) holdersOf(subject string) []string {
	r, known := l.holders[subject]
	if !known {
		r = l.ways.into([]string{subject})
		l.holders[subject] = r
	}
	return r.order
}

// together reports whether somebody surely holds both subjects: one leads to the
// other, or a member of the first to the second.
func (l *linter) together(a, b string) bool {
	if l.heldBy(a).has(b) || l.heldBy(b).has(a) {
		return true
	}
	for _, member := range l.holdersOf(a) {
		if l.budget--; l.budget < 0 || l.heldBy(member).has(b) {
			return l.budget >= 0
		}
	}
	return false
}

// mayMeet reports whether one request might hold both subjects. Only nobody and
// two persons are surely not the same; a person and the domain of their address may be.
func (l *linter) mayMeet(deny, allow string) bool {
	switch {
	case deny == anonymous:
		return l.nobodyIs.has(allow)
	case strings.HasPrefix(deny, userPrefix) && strings.HasPrefix(allow, userPrefix):
		return deny == allow || deny == domainSubject(allow) || allow == domainSubject(deny)
	}
	return true // whoever is signed in passes where nobody may, unless a row denies it
}
