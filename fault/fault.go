// Package fault reports what is wrong in a file that a user wrote: where, what,
// and how to fix it. It is for authgate.yaml, policy.csv and every other file.
//
// It knows positions and sentences, and nothing of YAML, CSV or what the files
// mean. A [List] belongs to one goroutine; a [Fault] is a value.
package fault

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Position is a place in a file. Lines and columns count from 1; columns count
// bytes. A zero Line stands for the file as a whole.
type Position struct {
	File         string
	Line, Column int
}

// String gives the form that editors and terminals can jump to.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return p.File + ":" + strconv.Itoa(p.Line)
	default:
		return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
	}
}

// FileLine is the position without its column: policy.csv:3.
func (p Position) FileLine() string {
	p.Column = 0
	return p.String()
}

// Offset is the position some bytes further on the line.
func (p Position) Offset(bytes int) Position {
	p.Column += bytes
	return p
}

// Fault is one thing that is wrong, and how to fix it. Neither sentence begins
// with a capital or ends with a full stop, and neither holds a secret.
type Fault struct {
	Position
	Message string
	Hint    string // empty where What already says it
}

// Error joins position, message and hint on one line.
func (f Fault) Error() string {
	s := f.Position.String() + ": " + f.Message
	if f.Hint != "" {
		s += "; " + f.Hint
	}
	return s
}

// Faults is every fault of one load, in the order of the files. It is never
// empty when it travels as an error.
type Faults []Fault

// Error gives one line for each fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// List gathers faults, so that a person sees all of them at once.
type List struct {
	faults Faults
}

// Add notes one fault.
func (l *List) Add(at Position, message, hint string) {
	l.faults = append(l.faults, Fault{Position: at, Message: message, Hint: hint})
}

// Empty reports whether nothing is wrong so far.
func (l *List) Empty() bool { return len(l.faults) == 0 }

// Err is nil when nothing was added, else [Faults] ordered by line and column
// within each file; files keep the order in which they first spoke.
func (l *List) Err() error {
	if l.Empty() {
		return nil
	}
	order := make(map[string]int) // file → rank
	for _, f := range l.faults {
		if _, seen := order[f.File]; !seen {
			order[f.File] = len(order)
		}
	}
	sorted := slices.Clone(l.faults)
	slices.SortStableFunc(sorted, func(a, b Fault) int {
		return cmp.Or(
			cmp.Compare(order[a.File], order[b.File]),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
		)
	})
	return sorted
}
