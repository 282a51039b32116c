// Package policyimport makes rows for policy.csv out of what other programs are
// configured with: the RBAC of Argo CD, the ServiceAccounts of Argo Workflows.
//
// It never guesses. What it cannot say as a row it reports, and a row that the
// policy's own reader refuses is reported, too: what it writes loads. Rows are
// narrower than their source or the same, never wider, and all of them allow.
package policyimport

import (
	"errors"
	"fmt"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
)

// Result is what was made of the files.
type Result struct {
	Policy          string           // text of a policy.csv, in its canonical form
	Rows            int              // in it; without any it does not load, which is as well
	Left            fault.Faults     // what was not carried over, and what to do about it
	Notes           fault.Faults     // what was, and changes its meaning
	ServiceAccounts []ServiceAccount // of an upstream's identity, the first that fits wins
}

// ServiceAccount is an entry of identity.serviceAccounts.
type ServiceAccount struct {
	Role      string
	Namespace string
	Name      string
}

const (
	policyName    = "policy.csv"
	rolePrefix    = "role:"
	userPrefix    = "user:"
	authenticated = "system:authenticated"
	anonymous     = "system:anonymous"
)

// line is a line of the policy to be.
type line struct {
	fields  []string // of a row
	comment string   // of the others; nothing in both is an empty line
	from    fault.Position
	made    bool // nobody wrote it: it may go where it says nothing
	dropped bool
	ignored string // a code of policy.Lint that is to be silenced
}

// draft is a policy that is being written. It belongs to one goroutine.
type draft struct {
	lines []*line
	seen  map[string]bool // rows that stand already
	left  fault.List
	notes fault.List
}

func newDraft() *draft { return &draft{seen: map[string]bool{}} }

func (d *draft) comment(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	d.lines = append(d.lines, &line{comment: strings.TrimRight("# "+legible(text), " ")})
}

func (d *draft) blank() { d.lines = append(d.lines, &line{}) }

// row adds a row that somebody wrote, in other words.
func (d *draft) row(from fault.Position, fields ...string) { d.addRow(from, false, fields) }

// make adds a row that nobody wrote.
func (d *draft) make(fields ...string) { d.addRow(fault.Position{}, true, fields) }

func (d *draft) addRow(from fault.Position, made bool, fields []string) {
	text := strings.Join(fields, "\x00")
	if strings.HasPrefix(fields[1], userPrefix) { // addresses are the same in any case of letters
		text = strings.ToLower(text)
	}
	if d.seen[text] { // one is enough, and two are a fault
		return
	}
	d.seen[text] = true
	d.lines = append(d.lines, &line{fields: fields, from: from, made: made})
}

// leave reports what is not carried over. The row stands in the policy as a
// comment, where it is missed first.
func (d *draft) leave(at fault.Position, row, what, mend string) {
	d.left.Add(at, legible(what), legible(mend))
	if row != "" {
		d.comment("not carried over: %s", what)
		d.comment("  %s", row)
	}
}

func (d *draft) note(at fault.Position, what, mend string) {
	d.notes.Add(at, legible(what), legible(mend))
}

// maxRounds is how often a policy is looked at anew after rows were taken out.
const maxRounds = 1000

// finish takes out what the policy's own reader refuses, and what its linter calls
// superfluous among the rows that nobody wrote, until nothing is left to say.
func (d *draft) finish() (*Result, error) {
	for range maxRounds {
		d.tidy()
		text, rows := d.render()
		if rows == 0 {
			return &Result{Policy: text, Left: faultsOf(&d.left), Notes: faultsOf(&d.notes)}, nil
		}
		sources := []policy.Source{{Name: policyName, Data: []byte(text)}}
		report := policy.Lint(sources, policy.Surroundings{})
		done := true
		for _, finding := range report.Findings {
			if finding.At.Line > 0 && d.judge(finding, report.Findings) {
				done = false
			}
		}
		if !done {
			d.silence()
			continue
		}
		if report.Faults != nil {
			return nil, fmt.Errorf("the imported rows do not load: %w", report.Faults)
		}
		formatted, _, err := policy.Format(sources[0])
		if faults := fault.Faults(nil); errors.As(err, &faults) { // stricter than Load about tabs
			for _, f := range faults {
				if l := d.lines[f.Line-1]; !l.dropped {
					d.drop(l, f.What, f.Mend)
				}
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the imported rows cannot be written: %w", err)
		}
		for _, f := range report.Findings {
			if f.Severity >= policy.Warning {
				at := d.lines[f.At.Line-1].from
				if at.File == "" {
					at.File = policyName
				}
				d.note(at, "authgate policy lint will say "+f.Code+": "+f.What, f.Mend)
			}
		}
		return &Result{Policy: string(formatted), Rows: rows, Left: faultsOf(&d.left), Notes: faultsOf(&d.notes)}, nil
	}
	return nil, errors.New("the rows hang together in too many ways; import them in several files")
}

// Findings of policy.Lint, whose codes are stable.
const (
	shadowedRow    = "AG103"
	noMembers      = "AG107"
	redundantGrant = "AG108"
	everybodyMay   = "AG109"
	wideOpen       = "AG111"
)

// judge takes out the row of a finding, or silences what the row itself says
// aloud, and reports whether it did either.
func (d *draft) judge(f policy.Finding, all []policy.Finding) bool {
	l := d.lines[f.At.Line-1]
	switch {
	case l.dropped || l.fields == nil:
		return false
	case f.Severity == policy.Error && l.made:
		l.dropped = true
	case f.Severity == policy.Error && l.fields[0] == "g" && !d.held(l.fields[1]):
		l.dropped = true
		d.note(l.from, "nobody holds "+l.fields[1]+", so its row is left out", "")
	case f.Severity == policy.Error:
		d.drop(l, f.What, f.Mend)
	case f.Code == wideOpen && l.fields[1] == anonymous && !d.mayAll(l.fields[2], all):
		l.ignored = wideOpen
		return true
	case f.Code == everybodyMay || f.Code == wideOpen:
		// It may stand so in the source. Whoever means it says it once more.
		what, _, _ := strings.Cut(f.What, " ("+policyName) // that line may be another one in the end
		d.drop(l, what, f.Mend+"; if everybody is meant, write the row and those of its role by hand")
	case f.Code == noMembers:
		l.ignored = noMembers
		return true
	case l.made && (f.Code == shadowedRow || f.Code == redundantGrant):
		l.dropped = true
	default:
		return false
	}
	return l.dropped
}

// mayAll reports whether lint says that a role of everybody's may change anything.
func (d *draft) mayAll(role string, findings []policy.Finding) bool {
	for _, f := range findings {
		if f.Code == everybodyMay && d.lines[f.At.Line-1].fields[2] == role {
			return true
		}
	}
	return false
}

var ignoreReasons = map[string]string{
	wideOpen:  "Argo CD had it so, and it is said aloud above",
	noMembers: "the role waits for a group",
}

// silence puts a comment above each row that is to be ignored by lint.
func (d *draft) silence() {
	var all []*line
	for _, l := range d.lines {
		if l.ignored != "" {
			all = append(all, &line{comment: "# authgate:ignore " + l.ignored + " " + ignoreReasons[l.ignored]})
			l.ignored = ""
		}
		all = append(all, l)
	}
	d.lines = all
}

// held reports whether somebody comes to a role by the rows that are left.
func (d *draft) held(role string) bool {
	if !strings.HasPrefix(role, rolePrefix) {
		return true
	}
	held := map[string]bool{}
	for more := true; more; {
		more = false
		for _, l := range d.lines {
			if l.fields == nil || l.dropped || l.fields[0] != "g" || held[l.fields[2]] {
				continue
			}
			if member := l.fields[1]; held[member] || !strings.HasPrefix(member, rolePrefix) {
				held[l.fields[2]], more = true, true
			}
		}
	}
	return held[role]
}

// drop takes out a row of which the policy's reader said what is wrong. What the reader
// takes for a slip may be the name of a role with other rights, and is not passed on.
func (d *draft) drop(l *line, what, mend string) {
	l.dropped = true
	if strings.HasPrefix(mend, "did you mean") {
		mend = ""
	}
	d.left.Add(l.from, legible(what), legible(mend))
}

// render writes one line for each line of the draft, so that findings lead back
// to them. Fields are quoted with a loose hand; policy.Format knows when to.
func (d *draft) render() (text string, rows int) {
	var b strings.Builder
	for _, l := range d.lines {
		switch {
		case l.fields == nil:
			b.WriteString(l.comment)
		case l.dropped:
			b.WriteString("# not carried over: " + legible(written(l.fields)))
		default:
			rows++
			b.WriteString(written(l.fields))
		}
		b.WriteByte('\n')
	}
	return b.String(), rows
}

// tidy drops the rows that nobody wrote and nobody needs.
func (d *draft) tidy() {
	kept := d.lines[:0]
	for _, l := range d.lines {
		if !l.dropped || !l.made {
			kept = append(kept, l)
		}
	}
	d.lines = kept
}

func faultsOf(list *fault.List) fault.Faults {
	var faults fault.Faults
	if err := list.Err(); err != nil {
		errors.As(err, &faults)
	}
	return faults
}
