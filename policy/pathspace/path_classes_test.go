package pathspace_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy/pathspace"
	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/target"
)

func matching(patterns []string, path string) []int {
	var matching []int
	for i, pattern := range patterns {
		if target.MatchPattern(path, pattern) {
			matching = append(matching, i)
		}
	}
	return matching
}

// checkClasses holds classes to their definition, and to all given paths.
func checkClasses(t *testing.T, patterns, paths []string) {
	t.Helper()
	classes, err := pathspace.ClassesOf(patterns)
	if err != nil {
		t.Fatalf("%q: %v", patterns, err)
	}
	known, labels := map[string]bool{}, map[string]bool{}
	for _, c := range classes {
		key := fmt.Sprint(c.Matching)
		if known[key] {
			t.Errorf("%q: two classes of %v", patterns, c.Matching)
		}
		known[key] = true
		if labels[c.Label] {
			t.Errorf("%q: two classes are called %s", patterns, c.Label)
		}
		labels[c.Label] = true
		if got := matching(patterns, c.Example); !slices.Equal(got, c.Matching) || len(got) == 0 {
			t.Errorf("%q: class %s has witness %s, which %v match and not %v", patterns, c.Label, c.Example, got, c.Matching)
		}
		if p, err := target.Parse(c.Example); err != nil || p.String() != c.Example {
			t.Errorf("%q: class %s has witness %s: %v", patterns, c.Label, c.Example, err)
		}
	}
	for _, path := range paths {
		if m := matching(patterns, path); len(m) > 0 && !known[fmt.Sprint(m)] {
			t.Errorf("%q: %s, which %v match, is in no class", patterns, path, m)
		}
	}
}

// allPaths gives every path of up to so many segments.
func allPaths(segments []string, depth int) []string {
	paths, last := []string{"/"}, []string{""}
	for range depth {
		var next []string
		for _, front := range last {
			for _, s := range segments {
				next = append(next, front+"/"+s)
				paths = append(paths, front+"/"+s, front+"/"+s+"/")
			}
		}
		last = next
	}
	return paths
}

func TestClassesHoldEveryPath(t *testing.T) {
	t.Parallel()
	segments := []string{"a", "b", "ab", "ba", "aa", "bab", "x", "%2Fa", "a%2Fb", "c", "."}
	paths := slices.DeleteFunc(allPaths(segments[:10], 3), func(p string) bool {
		_, err := target.Parse(p)
		return err != nil
	})
	pieces := []string{"a", "b", "*", "a*", "*b", "a*b*", "*a*", "*%2F*", "ab", "x", "x*", "y*", "z*"}
	r := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		var patterns []string
		for range 1 + r.IntN(6) {
			pattern := ""
			for range r.IntN(4) {
				pattern += "/" + policytest.Pick(r, pieces)
			}
			if pattern += policytest.Pick(r, []string{"", "", "/", "/**"}); pattern == "" {
				pattern = "/"
			}
			patterns = append(patterns, pattern)
		}
		patterns = slices.Compact(slices.Sorted(slices.Values(patterns)))
		checkClasses(t, patterns, paths)
		if t.Failed() {
			return
		}
	}
}

func TestClassesAreNamedAsPeopleThink(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ patterns, want string }{
		{"/**", "/**"},
		{"/a /a/** /**", "/** /a /a/**"},
		{"/api/*/x /api/v1/* /**", "/** /api/*/x /api/v1/* /api/v1/x"},
		{"/*.js /main*", "/*.js /main* /main.js"},
		{"/.*", "/.*"},
		{"/a/", "/a/"},
		{"/* /*/", "/* /*/"},
		{"/x /*", "/* /x"},
		{"/x* /y* /z* /*", "/* /x* /y* /z*"},
		{"/a /a", "/a"},
	} {
		classes, err := pathspace.ClassesOf(strings.Fields(c.patterns))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, class := range classes {
			got = append(got, class.Label)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.patterns, s, c.want)
		}
	}
}

func TestTooManyClassesAreAnError(t *testing.T) {
	t.Parallel()
	var patterns []string
	for i := range 24 {
		patterns = append(patterns, "/*"+string(rune('a'+i))+"*")
	}
	if _, err := pathspace.ClassesOf(patterns); err == nil {
		t.Error("24 globs that overlap freely have 2^24 classes")
	}
	patterns = nil
	for i := range 600 {
		patterns = append(patterns, fmt.Sprintf("/x/app-%d/**", i), fmt.Sprintf("/x/*/part-%d", i))
	}
	if _, err := pathspace.ClassesOf(patterns); err == nil {
		t.Error("600 names and 600 parts that any name may have make 360,000 classes")
	}
}

func TestMethodClasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ methods, want string }{
		{"GET", "GET"},
		{"GET *", "GET *"},
		{"POST|GET GET|HEAD", "GET HEAD POST"},
		{"*", "*"},
	} {
		if got := strings.Join(pathspace.MethodClasses(strings.Fields(c.methods)...), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.methods, got, c.want)
		}
	}
}

func TestWhatIsFarFromAChangeNeedNotBeLookedAt(t *testing.T) {
	t.Parallel()
	patterns := []string{"/", "/a", "/a/", "/*", "/*/", "/**", "/a/**", "/a/*/c", "/a*/b", "/*a/**", "/*/b", "/%3A*"}
	for _, wide := range patterns {
		for _, narrow := range patterns {
			if got, want := pathspace.BranchOverlaps([]string{wide}, narrow), target.Overlaps(wide, narrow); got != want {
				t.Errorf("%s and %s overlap: %v, want %v", wide, narrow, got, want)
			}
		}
	}
}

// TestClassesAreCompleteWithEmptySegments tries every short path.
func TestClassesAreCompleteWithEmptySegments(t *testing.T) {
	t.Parallel()
	segments := []string{"", "a", "b", "ab", "z"}
	var paths []string
	var extend func(path string, depth int)
	extend = func(path string, depth int) {
		for _, s := range segments {
			next := path + "/" + s
			paths = append(paths, next)
			if depth > 1 {
				extend(next, depth-1)
			}
		}
	}
	extend("", 4)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var patterns []string
		for range 1 + r.IntN(5) {
			var pattern strings.Builder
			for range 1 + r.IntN(3) {
				pattern.WriteString("/" + policytest.Pick(r, []string{"", "a", "*", "a*", "*b"}))
			}
			if r.IntN(3) == 0 {
				pattern.WriteString("/**")
			}
			patterns = append(patterns, pattern.String())
		}
		found, err := pathspace.ClassesWith(patterns, target.EmptySegments)
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]bool{}
		for _, matching := range found {
			known[fmt.Sprint(matching)] = true
		}
		for _, path := range paths {
			var matching []int
			for i, pattern := range patterns {
				if target.MatchPattern(path, pattern) {
					matching = append(matching, i)
				}
			}
			if len(matching) > 0 && !known[fmt.Sprint(matching)] {
				t.Fatalf("%q: %s matches %v, which is no class: %v", patterns, path, matching, found)
			}
		}
	}
}
