// Package importer makes rows for policy.csv out of what other programs are
// configured with: the RBAC of Argo CD, the ServiceAccounts of Argo Workflows.
//
// It never guesses. What it cannot say as a row it reports, and a row that the
// policy's own reader refuses is reported, too: what it writes loads. Rows are
// narrower than their source or the same, never wider, and all of them allow.
package importer

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/lint"
	"github.com/example-org/authgate/text"
)

// Result is what was made of the files.
type Result struct {
	Policy          string           // text of a policy.csv, in its canonical form
	Rows            int              // in it; without any it does not load, which is as well
	Skipped         fault.Faults     // what was not carried over, and what to do about it
	Notes           fault.Faults     // what was, and changes its meaning
	ServiceAccounts []ServiceAccount // of an upstream's identity, the first that fits wins
}

// ServiceAccount is an entry of identity.serviceAccounts.
type ServiceAccount struct {
	Role      string
	Namespace string
	Name      string
}

const policyName = "policy.csv"

// line is a line of the policy to be.
type line struct {
	fields     []string // of a row
	comment    string   // of the others; nothing in both is an empty line
	from       fault.Position
	generated  bool // not in the source: it may go where it says nothing
	dropped    bool
	ignoreCode string // a code of policy.Lint that is to be silenced
}

// policyBuilder is a policy that is being written. It belongs to one goroutine.
type policyBuilder struct {
	lines   []*line
	seen    map[string]bool // rows that stand already
	skipped fault.List
	notes   fault.List
}

func newPolicyBuilder() *policyBuilder { return &policyBuilder{seen: map[string]bool{}} }

func (pb *policyBuilder) comment(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	pb.lines = append(pb.lines, &line{comment: strings.TrimRight("# "+printable(text), " ")})
}

func (pb *policyBuilder) blankLine() { pb.lines = append(pb.lines, &line{}) }

// row adds a row of the source, in other words.
func (pb *policyBuilder) row(from fault.Position, fields ...string) { pb.addRow(from, false, fields) }

// generate adds a row that is not in the source.
func (pb *policyBuilder) generate(fields ...string) { pb.addRow(fault.Position{}, true, fields) }

func (pb *policyBuilder) addRow(from fault.Position, generated bool, fields []string) {
	text := strings.Join(fields, "\x00")
	if strings.HasPrefix(fields[1], policy.UserPrefix) { // addresses are the same in any case of letters
		text = strings.ToLower(text)
	}
	if pb.seen[text] { // one is enough, and two are a fault
		return
	}
	pb.seen[text] = true
	pb.lines = append(pb.lines, &line{fields: fields, from: from, generated: generated})
}

// skip reports what is not carried over. The row stands in the policy as a
// comment, where it is missed first.
func (pb *policyBuilder) skip(at fault.Position, row, message, hint string) {
	pb.skipped.Add(at, printable(message), printable(hint))
	if row != "" {
		pb.comment("not carried over: %s", message)
		pb.comment("  %s", row)
	}
}

func (pb *policyBuilder) note(at fault.Position, message, hint string) {
	pb.notes.Add(at, printable(message), printable(hint))
}

// maxRounds is how often a policy is checked again after rows were taken out.
const maxRounds = 1000

// finish takes out what the policy's own reader refuses, and what its linter calls
// redundant among the generated rows, until nothing is left to say.
func (pb *policyBuilder) finish() (*Result, error) {
	for range maxRounds {
		pb.removeUnneeded()
		text, rows := pb.render()
		if rows == 0 {
			return &Result{Policy: text, Skipped: faultsOf(&pb.skipped), Notes: faultsOf(&pb.notes)}, nil
		}
		sources := []policy.Source{{Name: policyName, Data: []byte(text)}}
		report := lint.Run(sources, lint.Environment{})
		done := true
		for _, finding := range report.Findings {
			if finding.At.Line > 0 && pb.applyFinding(finding, report.Findings) {
				done = false
			}
		}
		if !done {
			pb.addIgnores()
			continue
		}
		if report.Faults != nil {
			return nil, fmt.Errorf("the imported rows do not load: %w", report.Faults)
		}
		formatted, _, err := policy.Format(sources[0])
		if faults := fault.Faults(nil); errors.As(err, &faults) { // stricter than Load about tabs
			for _, f := range faults {
				if l := pb.lines[f.Line-1]; !l.dropped {
					pb.drop(l, f.Message, f.Hint)
				}
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the imported rows cannot be written: %w", err)
		}
		for _, f := range report.Findings {
			if f.Severity >= lint.Warning {
				at := pb.lines[f.At.Line-1].from
				if at.File == "" {
					at.File = policyName
				}
				pb.note(at, "authgate policy lint will say "+f.Code+": "+f.Message, f.Hint)
			}
		}
		return &Result{
			Policy: string(formatted), Rows: rows, Skipped: faultsOf(&pb.skipped),
			Notes: faultsOf(&pb.notes),
		}, nil
	}
	return nil, errors.New("the rows hang together in too many ways; import them in several files")
}

// Findings of policy.Lint, whose codes are stable.
const (
	shadowedRow        = "AG103"
	roleWithoutMembers = "AG107"
	redundantGrant     = "AG108"
	everybodyMayChange = "AG109"
	wideOpen           = "AG111"
)

// applyFinding takes out the row of a finding, or silences what the row itself says
// aloud, and reports whether it did either.
func (pb *policyBuilder) applyFinding(f lint.Finding, all []lint.Finding) bool {
	l := pb.lines[f.At.Line-1]
	switch {
	case l.dropped || l.fields == nil:
		return false
	case f.Severity == lint.Error && l.generated:
		l.dropped = true
	case f.Severity == lint.Error && l.fields[0] == "g" && !pb.hasMembers(l.fields[1]):
		l.dropped = true
		pb.note(l.from, "no subject holds "+l.fields[1]+", so its row is left out", "")
	case f.Severity == lint.Error:
		pb.drop(l, f.Message, f.Hint)
	case f.Code == wideOpen && l.fields[1] == policy.Anonymous && !pb.allowsEverything(l.fields[2], all):
		l.ignoreCode = wideOpen
		return true
	case f.Code == everybodyMayChange || f.Code == wideOpen:
		// The source may say so. It has to be confirmed by hand.
		message, _, _ := strings.Cut(f.Message, " ("+policyName) // that line may be another one in the end
		pb.drop(l, message, f.Hint+"; if every user is meant, write the row and those of its role by hand")
	case f.Code == roleWithoutMembers:
		l.ignoreCode = roleWithoutMembers
		return true
	case l.generated && (f.Code == shadowedRow || f.Code == redundantGrant):
		l.dropped = true
	default:
		return false
	}
	return l.dropped
}

// allowsEverything reports whether lint says that a role of every user may change anything.
func (pb *policyBuilder) allowsEverything(role string, findings []lint.Finding) bool {
	for _, f := range findings {
		if f.Code == everybodyMayChange && pb.lines[f.At.Line-1].fields[2] == role {
			return true
		}
	}
	return false
}

var ignoreReasons = map[string]string{
	wideOpen:           "Argo CD had it so, and it is said aloud above",
	roleWithoutMembers: "the role waits for a group",
}

// addIgnores puts a comment above each row that is to be ignored by lint.
func (pb *policyBuilder) addIgnores() {
	var all []*line
	for _, l := range pb.lines {
		if l.ignoreCode != "" {
			all = append(all, &line{comment: "# authgate:ignore " + l.ignoreCode + " " + ignoreReasons[l.ignoreCode]})
			l.ignoreCode = ""
		}
		all = append(all, l)
	}
	pb.lines = all
}

// hasMembers reports whether a subject holds a role by the rows that are left.
func (pb *policyBuilder) hasMembers(role string) bool {
	if !strings.HasPrefix(role, policy.RolePrefix) {
		return true
	}
	granted := map[string]bool{}
	for more := true; more; {
		more = false
		for _, l := range pb.lines {
			if l.fields == nil || l.dropped || l.fields[0] != "g" || granted[l.fields[2]] {
				continue
			}
			if member := l.fields[1]; granted[member] || !strings.HasPrefix(member, policy.RolePrefix) {
				granted[l.fields[2]], more = true, true
			}
		}
	}
	return granted[role]
}

// drop takes out a row of which the policy's reader said what is wrong. What the reader
// takes for a slip may be the name of a role with other rights, and is not passed on.
func (pb *policyBuilder) drop(l *line, message, hint string) {
	l.dropped = true
	if strings.HasPrefix(hint, "did you mean") {
		hint = ""
	}
	pb.skipped.Add(l.from, printable(message), printable(hint))
}

// render writes one line for each line of the draft, so that findings lead back
// to them. Fields are quoted with a loose hand; policy.Format knows when to.
func (pb *policyBuilder) render() (text string, rows int) {
	var b strings.Builder
	for _, l := range pb.lines {
		switch {
		case l.fields == nil:
			b.WriteString(l.comment)
		case l.dropped:
			b.WriteString("# not carried over: " + printable(csvRow(l.fields)))
		default:
			rows++
			b.WriteString(csvRow(l.fields))
		}
		b.WriteByte('\n')
	}
	return b.String(), rows
}

// removeUnneeded drops the generated rows that no role needs.
func (pb *policyBuilder) removeUnneeded() {
	remaining := pb.lines[:0]
	for _, l := range pb.lines {
		if !l.dropped || !l.generated {
			remaining = append(remaining, l)
		}
	}
	pb.lines = remaining
}

func faultsOf(list *fault.List) fault.Faults {
	var faults fault.Faults
	if err := list.Err(); err != nil {
		errors.As(err, &faults)
	}
	return faults
}

func csvRow(fields []string) string {
	quoted := make([]string, len(fields))
	for i, f := range fields {
		if strings.Trim(f, unquotedChars) != "" || f == "" {
			f = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
		}
		quoted[i] = f
	}
	return strings.Join(quoted, ", ")
}

const unquotedChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@/*|"

// printable keeps a text on one line of a length that a comment may have.
func printable(s string) string { return text.Truncate(text.Escape(s), 2000) }

// quoteExpression gives the regular expression that matches a text alone.
func quoteExpression(s string) string { return regexp.QuoteMeta(s) }
