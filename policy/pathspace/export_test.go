package pathspace

import (
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// Class shows a class of paths.
type Class struct {
	Label, Example string
	Matching       []int
}

// ClassesOf cuts the paths into classes.
func ClassesOf(patterns []string) ([]Class, error) {
	found, err := pathClassesOf(patterns, 0, maxStates)
	var shown []Class
	for _, c := range found {
		shown = append(shown, Class{c.Label, c.Example, c.patterns})
	}
	return shown, err
}

// MethodClasses gives the methods that rows with these methods tell apart.
func MethodClasses(methods ...string) []string {
	var rows []*policy.Row
	for _, m := range methods {
		rows = append(rows, &policy.Row{Methods: m})
	}
	return methodClasses(rows)
}

// ClassesWith is ClassesOf for the paths of an upstream that needs some quirks.
func ClassesWith(patterns []string, quirks target.Quirks) (matching [][]int, err error) {
	found, err := pathClassesOf(patterns, quirks, maxStates)
	for _, c := range found {
		matching = append(matching, c.patterns)
	}
	return matching, err
}

// MethodsOf is a set of methods among those that rows distinguish.
func MethodsOf(named, among []string) Methods { return Methods{named, among} }

// BranchOverlaps asks all patterns at once what Overlaps asks of a pair.
func BranchOverlaps(patterns []string, pattern string) bool {
	return NewPatternTree(patterns).Overlaps(pattern)
}
