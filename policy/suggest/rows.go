package suggest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// Report is the least rows for what was seen, and what they leave out.
type Report struct {
	Requests   int64        `json:"requests"`    // seen, and of the wanted kind
	Different  int          `json:"different"`   // of them: differing in who, upstream, method or path
	ByRoles    int64        `json:"by_roles"`    // of them: the line names roles and no groups
	NotAllowed int64        `json:"not_allowed"` // of them: the present policy does not allow it, and a new row would
	Guessed    int64        `json:"guessed"`     // of them: nothing tells which of several subjects is to have the row
	Rows       []Row        `json:"rows"`
	Members    []Member     `json:"members"`  // g rows; empty if there is a current policy, which has its own
	Replay     Remaining    `json:"replay"`   // of the log, by the suggested policy
	Remove     []RemovedRow `json:"remove"`   // rows of the present policy that are not needed as they are
	Kept       int          `json:"kept"`     // rows of the present policy that stay, g and deny rows included
	LeftOut    []LeftOut    `json:"left_out"` // requests that no row is suggested for

	policy string
}

// Row is a p row and what it stands for.
type Row struct {
	Change   string `json:"change"` // add, or keep where the present policy has it
	Rule     string `json:"rule"`   // file:line in the present policy; empty if it is new
	Row      string `json:"row"`
	Subject  string `json:"subject"`
	Upstream string `json:"upstream"`
	Path     string `json:"path"`
	Methods  string `json:"methods"`
	Requests int64  `json:"requests"`
	Paths    int    `json:"paths"` // different ones
}

// RemovedRow is a row of the present policy that is not needed as it is.
type RemovedRow struct {
	Rule string `json:"rule"` // file:line
	Row  string `json:"row"`
	// unused, wide (rows to add allow what was seen of it), or empty (a g row whose role has no rows left)
	Reason   string `json:"reason"`
	Requests int64  `json:"requests"` // that it allowed
}

// LeftOut is requests that no row is suggested for.
type LeftOut struct {
	Reason   string `json:"reason"`
	Rule     string `json:"rule"` // file:line that denies; empty if none does
	Requests int64  `json:"requests"`
	Example  string `json:"example"` // METHOD UPSTREAM:PATH, or a row
}

// The words for what becomes of a row.
const (
	NewRow  = "add"
	KeptRow = "keep"

	UnusedRow = "unused"
	WideRow   = "wide"
	EmptyRole = "empty"
)

// Differs reports whether the present policy would have to change.
func (r *Report) Differs() bool {
	return len(r.Remove) > 0 || slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Change == NewRow })
}

// Policy is the text of a policy with the suggested rows; with a present policy,
// of one that could take its place. It is empty where there are no rows.
func (r *Report) Policy() string { return r.policy }

// Report makes the suggestion. It has asked the suggested policy about every
// request that it is made from; the error says that this failed, which is a
// mistake of authgate, or that the policy would be larger than one may be. It is
// called once, at the end.
func (s *Suggester) Report() (Report, error) {
	members := s.inferMembers()
	attributed := slices.DeleteFunc(s.attribute(), func(g attribution) bool {
		reason := s.notExpressible(&g)
		if reason != "" {
			s.leaveOut(reason, "", g.String(), s.requests[g.request])
		}
		return reason != ""
	})
	report := s.report
	report.Different = len(s.requests)
	rows, rare := s.rows(attributed)
	for _, row := range rare {
		s.leaveOut(fmt.Sprintf("the row covers fewer than %d requests", s.options.MinCount), "", row.Row,
			row.Requests)
	}
	report.Rows = rows
	kept := report.compare(s.options, attributed, s.requests)
	if s.decider == nil {
		report.Members = membersOf(rows, members)
		for _, m := range report.Members {
			kept = append(kept, m.Row)
		}
	}
	report.policy = report.render(kept)
	report.LeftOut = []LeftOut{}
	for _, key := range slices.Sorted(maps.Keys(s.leftOut)) {
		report.LeftOut = append(report.LeftOut, *s.leftOut[key])
	}
	if err := s.verify(&report, attributed, rare); err != nil {
		return report, err
	}
	return report, s.replay(&report)
}

// rows folds what was attributed, and gives the rows for it by subject, upstream
// and path; those that stand for too few requests apart.
func (s *Suggester) rows(attributed []attribution) (rows, rare []Row) {
	for key, patterns := range s.patterns(attributed) {
		byPath, seen := map[string]*Row{}, map[string][]string{}
		for _, method := range slices.Sorted(maps.Keys(patterns)) {
			for path, pattern := range patterns[method] {
				row := byPath[path]
				if row == nil {
					row = &Row{
						Change: NewRow, Subject: key.subject, Upstream: key.upstream, Path: path,
						Methods: method,
					}
					byPath[path] = row
				} else {
					row.Methods += policy.MethodSeparator + method
				}
				row.Requests += pattern.requests
				seen[path] = append(seen[path], pattern.paths...)
			}
		}
		for path, row := range byPath {
			slices.Sort(seen[path])
			row.Paths = len(slices.Compact(seen[path]))
			row.Row = (&policy.Row{
				Subject: row.Subject, Upstream: row.Upstream, Path: row.Path, Methods: row.Methods,
				Effect: policy.Allow,
			}).String()
			if row.Requests < s.options.MinCount {
				rare = append(rare, *row)
			} else {
				rows = append(rows, *row)
			}
		}
	}
	for _, list := range [][]Row{rows, rare} {
		slices.SortFunc(list, func(a, b Row) int {
			return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Upstream, b.Upstream),
				cmp.Compare(a.Path, b.Path))
		})
	}
	if rows == nil {
		rows = []Row{}
	}
	return rows, rare
}

// subjectUpstream is where a subject may go in.
type subjectUpstream struct{ subject, upstream string }

// patterns generalizes the paths of each endpoint, method by method. What one present row
// allows is folded by itself, so that no * goes beyond that row.
func (s *Suggester) patterns(attributed []attribution) map[subjectUpstream]map[string]map[string]*pathPattern {
	type part struct {
		subjectUpstream
		method     string
		currentRow *policy.Row
	}
	parts := map[part]map[string]*pathPattern{}
	f := generalizer{minDistinct: s.options.Distinct, trees: map[string]*segmentTree{}}
	for q := range s.requests {
		if f.trees[q.upstream] == nil {
			f.trees[q.upstream] = &segmentTree{}
		}
		f.trees[q.upstream].add(q.path.String())
	}
	if s.options.Current != nil {
		f.denyRows = slices.DeleteFunc(slices.Clone(s.options.Current.Rows()),
			func(row *policy.Row) bool { return row.Effect == policy.Allow })
	}
	for _, g := range attributed {
		path := g.path.String()
		if g.currentRow != nil && !s.options.Exact && !strings.HasSuffix(g.currentRow.Path, target.AnyRest) {
			path = g.currentRow.Path // the current row generalizes it already
		}
		p := part{subjectUpstream{g.subject, g.upstream}, g.method, g.currentRow}
		if parts[p] == nil {
			parts[p] = map[string]*pathPattern{}
		}
		if parts[p][path] == nil {
			parts[p][path] = &pathPattern{pattern: path, example: g.path.String()}
		}
		parts[p][path].add(&pathPattern{requests: s.requests[g.request], paths: []string{g.path.String()}})
	}
	result := map[subjectUpstream]map[string]map[string]*pathPattern{}
	for p, patterns := range parts {
		if !s.options.Exact {
			f.deniedPaths, f.comparisons = nil, 0
			if p.currentRow == nil { // else the present row tells
				f.deniedPaths = s.stillDenied(p.subjectUpstream, p.method, patterns)
			}
			f.generalize(p.upstream, p.method, p.currentRow, patterns)
		}
		if result[p.subjectUpstream] == nil {
			result[p.subjectUpstream] = map[string]map[string]*pathPattern{}
		}
		if result[p.subjectUpstream][p.method] == nil {
			result[p.subjectUpstream][p.method] = map[string]*pathPattern{}
		}
		for path, pattern := range patterns {
			if existing := result[p.subjectUpstream][p.method][path]; existing != nil {
				existing.add(pattern)
			} else {
				result[p.subjectUpstream][p.method][path] = pattern
			}
		}
	}
	for _, methods := range result {
		dropCovered(methods)
	}
	return result
}

// stillDenied gives the paths that a user who is the subject was refused, and
// no such user was allowed. GET would bring HEAD along.
func (s *Suggester) stillDenied(at subjectUpstream, method string, allowed map[string]*pathPattern) []string {
	methods := []string{method}
	if method == "GET" {
		methods = append(methods, "HEAD")
	}
	var paths []string
	for _, m := range methods {
		for path := range s.deniedPaths[accessKey{at.subject, at.upstream, m}] {
			if allowed[path] == nil {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// maxCompared bounds how many pairs of patterns are looked at for one that makes
// the other needless. Beyond, needless rows stay.
const maxCompared = 20_000_000

// dropCovered takes away patterns that another one covers, and HEAD where GET
// does.
func dropCovered(methods map[string]map[string]*pathPattern) {
	for method, patterns := range methods {
		for _, covering := range []string{method, "GET"} {
			if method != covering && method != "HEAD" {
				continue
			}
			for path, s := range patterns { // the same pattern under GET
				if same := methods[covering][path]; same != nil && same != s {
					same.add(s)
					delete(patterns, path)
				}
			}
			wildcards := slices.DeleteFunc(slices.Sorted(maps.Keys(methods[covering])),
				func(path string) bool { return !strings.Contains(path, target.AnySegment) })
			if len(wildcards)*len(patterns) > maxCompared {
				continue
			}
			for _, path := range slices.Sorted(maps.Keys(patterns)) {
				at := slices.IndexFunc(wildcards, func(wildcard string) bool {
					return (wildcard != path || method != covering) && methods[covering][wildcard] != nil &&
						target.MatchPattern(path, wildcard)
				})
				if at >= 0 {
					methods[covering][wildcards[at]].add(patterns[path])
					delete(patterns, path)
				}
			}
		}
	}
}
