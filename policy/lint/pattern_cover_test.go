package lint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy/lint"
	"github.com/example-org/authgate/target"
)

// sequences gives every way to put up to n pieces after each other.
func sequences(pieces []string, n int) []string {
	all := []string{""}
	for last := all; n > 0; n-- {
		var longer []string
		for _, s := range last {
			for _, piece := range pieces {
				longer = append(longer, s+piece)
			}
		}
		all = append(all, longer...)
		last = longer
	}
	return all
}

func patternsOf(t *testing.T, raw []string) []string {
	t.Helper()
	var patterns []string
	for _, p := range raw {
		if p == "" {
			continue
		}
		if what, _ := target.CheckPattern(p); what == "" {
			patterns = append(patterns, p)
		}
	}
	slices.Sort(patterns)
	return slices.Compact(patterns)
}

func pathsOf(raw []string) []string {
	var paths []string
	for _, p := range raw {
		if parsed, err := target.Parse(p); err == nil && parsed.String() == p {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// compare holds Covers and Overlaps to matching every path there is.
func checkPairs(t *testing.T, patterns, paths []string) {
	t.Helper()
	matched := make([][]uint64, len(patterns)) // a bit for each path
	for i, pattern := range patterns {
		matched[i] = make([]uint64, len(paths)/64+1)
		for j, path := range paths {
			if target.MatchPattern(path, pattern) {
				matched[i][j/64] |= 1 << (j % 64)
			}
		}
	}
	counts := map[string]int{}
	for i, a := range patterns {
		for j, b := range patterns {
			covered, met := true, false
			for k, bits := range matched[j] {
				covered = covered && bits&^matched[i][k] == 0
				met = met || bits&matched[i][k] != 0
			}
			if got := lint.Covers(a, b); got != covered {
				t.Fatalf("%s covers %s: %v, and matching says %v", a, b, got, covered)
			}
			if got := target.Overlaps(a, b); got != met {
				t.Fatalf("%s overlaps %s: %v, and matching says %v", a, b, got, met)
			}
			if covered {
				counts["covered"]++
			}
			if met && !covered {
				counts["met"]++
			}
			if !met {
				counts["apart"]++
			}
		}
	}
	for _, kind := range []string{"covered", "met", "apart"} {
		if counts[kind] < 100 {
			t.Errorf("only %d pairs are %s: the patterns do not try it", counts[kind], kind)
		}
	}
	t.Logf("%d patterns, %d paths: %v", len(patterns), len(paths), counts)
}

func TestPatternsOfOneSegmentAreComparedAsTheyMatch(t *testing.T) {
	t.Parallel()
	pieces := []string{"a", "%2FF", "F", "*"}
	var segments []string
	for _, s := range sequences(pieces, 4) {
		segments = append(segments, "/"+s)
	}
	// A path is longer than a pattern has characters: its stars meet others' text.
	var paths []string
	for _, s := range sequences([]string{"a", "%2FF", "F", "z"}, 7) {
		paths = append(paths, "/"+s)
	}
	checkPairs(t, patternsOf(t, segments), pathsOf(paths))
}

func TestPatternsOfSeveralSegmentsAreComparedAsTheyMatch(t *testing.T) {
	t.Parallel()
	checkPairs(t,
		patternsOf(t, sequences([]string{"/", "/a", "/b", "/*", "/a*", "/*b", "/**"}, 3)),
		pathsOf(sequences([]string{"/", "/a", "/b", "/z", "/azb"}, 4)))
}

func TestMethodsAreComparedAsTheyMatch(t *testing.T) {
	t.Parallel()
	names := []string{"GET", "HEAD", "POST"}
	fields := append([]string{"*", "GET|HEAD", "GET|POST", "HEAD|POST", "POST|HEAD", "GET|HEAD|POST"}, names...)
	for _, a := range fields {
		for _, b := range fields {
			covered, met := true, false
			for _, m := range append(names, "OTHER") {
				inA, inB := lint.MatchMethod(m, a), lint.MatchMethod(m, b)
				covered = covered && (!inB || inA)
				met = met || inA && inB
			}
			if got := lint.CoversMethods(a, b); got != covered {
				t.Errorf("%s covers %s: %v", a, b, got)
			}
			if got := lint.OverlapsMethods(a, b); got != met {
				t.Errorf("%s overlaps %s: %v", a, b, got)
			}
		}
	}
}

// FuzzCover tries what no small alphabet holds: a path that one pattern matches
// and its cover does not, or that two patterns match which do not overlap.
func FuzzCover(f *testing.F) {
	f.Add("/a/**", "/a/b*", "/a/bc")
	f.Add("/*", "/%2FF*F", "/x%2FF")
	f.Add("/api/v1/applications/*/sync", "/api/**", "/api/v1/applications/web/sync")
	f.Fuzz(func(t *testing.T, a, b, path string) {
		if len(a)+len(b)+len(path) > 400 || a == "" || b == "" || strings.ContainsRune(a+b, 0) {
			return
		}
		for _, pattern := range []string{a, b} {
			if what, _ := target.CheckPattern(pattern); what != "" {
				return
			}
		}
		inA, inB := target.MatchPattern(path, a), target.MatchPattern(path, b)
		switch {
		case lint.Covers(a, b) && inB && !inA:
			t.Errorf("%s is said to cover %s, and %s shows that it does not", a, b, path)
		case inA && inB && !target.Overlaps(a, b):
			t.Errorf("%s is said not to overlap %s, and %s is in both", a, b, path)
		case lint.Covers(a, b) && !target.Overlaps(a, b), target.Overlaps(a, b) != target.Overlaps(b, a), !lint.Covers(a, a):
			t.Errorf("%s and %s contradict each other", a, b)
		}
	})
}
