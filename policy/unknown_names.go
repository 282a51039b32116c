package policy

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// UnknownName is a subject that no row is about: most often a misspelt one.
type UnknownName struct {
	Name string
	Hint string // did you mean "..."?, or empty
}

// String puts it in words.
func (n UnknownName) String() string {
	return strings.TrimSuffix("no row names "+n.Name+"; "+n.Hint, "; ")
}

// Unknown finds those of some subjects, as they are written in rows, that no row is
// about. A user whom no row names is usual and reported only with a name that looks
// alike.
func (s *Snapshot) Unknown(names ...string) []UnknownName {
	var unknown []UnknownName
	for _, name := range names {
		name = CanonicalSubject(name)
		if s.mentions(name) {
			continue
		}
		kind := ParseSubject(name).Kind
		sameKind := slices.DeleteFunc(s.Subjects(), func(known string) bool { return ParseSubject(known).Kind != kind })
		n := UnknownName{Name: name, Hint: fault.DidYouMean(name, sameKind)}
		if kind != KindUser || n.Hint != "" || len(names) == 1 {
			unknown = append(unknown, n)
		}
	}
	return unknown
}

func (s *Snapshot) mentions(name string) bool {
	if s.ids.has(name) {
		return true
	}
	switch ParseSubject(name).Kind {
	case KindGroup:
		return s.MentionsGroup(name)
	case KindUser:
		return s.ids.has(DomainSubject(name))
	case KindSystem:
		return true
	}
	return false
}

// UnknownMethod reports whether a method is in no registry and in no row, and which one
// was probably meant.
func (s *Snapshot) UnknownMethod(method string) (hint string, unknown bool) {
	if strings.Contains(RegisteredMethods, " "+method+" ") {
		return "", false
	}
	known := strings.Fields(RegisteredMethods)
	for _, row := range s.rows {
		if row.Methods != AnyMethod {
			known = append(known, strings.Split(row.Methods, MethodSeparator)...)
		}
	}
	if slices.Contains(known, method) {
		return "", false
	}
	return fault.DidYouMean(method, known), true
}

// Paths gives the path patterns of the rows that concern an upstream, sorted.
func (s *Snapshot) Paths(upstream string) []string {
	var paths []string
	for _, row := range RowsOn(upstream, s.rows) {
		paths = append(paths, row.Path)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
