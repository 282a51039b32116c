package lean

import (
	"fmt"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Limits of the main module. Tests are not counted.
const (
	maxFiles      = 20  // Go files in a folder
	maxLines      = 420 // lines of a Go file
	maxLineLength = 120 // characters of a line
	maxDirect     = 15  // modules that go.mod requires directly
)

// sources are the Go files of the main module besides its tests, by folder.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	folders := map[string][]string{}
	for _, file := range tracked(t, "*.go") {
		if top, _, _ := strings.Cut(file, "/"); top == "integration" || top == "tools" || strings.HasSuffix(file, "_test.go") {
			continue
		}
		folders[path.Dir(file)] = append(folders[path.Dir(file)], file)
	}
	if len(folders) < 20 {
		t.Fatalf("only %d folders were found", len(folders))
	}
	return folders
}

// tracked are the files of the repository that match a pattern.
func tracked(t *testing.T, pattern ...string) []string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"ls-files", "--cached", "--others", "--exclude-standard", "--"}, pattern...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("this is not a git checkout: %v", err)
	}
	return strings.Fields(string(out))
}

func TestFoldersAndFilesAreSmall(t *testing.T) {
	t.Parallel()
	for folder, files := range sources(t) {
		if len(files) > maxFiles {
			t.Errorf("%s has %d Go files; at most %d are wanted: split it by idea", folder, len(files), maxFiles)
		}
		for _, file := range files {
			text := read(t, file)
			if n := strings.Count(text, "\n"); n > maxLines {
				t.Errorf("%s has %d lines; at most %d are wanted: split it by idea", file, n, maxLines)
			}
			number := 0
			for line := range strings.Lines(text) {
				number++
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > maxLineLength {
					t.Errorf("%s:%d has %d characters; at most %d are wanted", file, number, n, maxLineLength)
				}
			}
		}
	}
}

func TestDirectDependenciesAreFew(t *testing.T) {
	t.Parallel()
	const direct = "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}"
	modules := strings.Fields(goCommand(t, "list", "-m", "-f", direct, "all"))
	if len(modules) == 0 || len(modules) > maxDirect {
		t.Errorf("%d direct dependencies; at most %d are wanted: %q", len(modules), maxDirect, modules)
	}
}

// TestFoldersImportInOneDirection: Go forbids a cycle of packages, but not one of
// top-level folders.
func TestFoldersImportInOneDirection(t *testing.T) {
	t.Parallel()
	folders := map[string]map[string]bool{}
	for pkg, imports := range importsOf(t) {
		from := topLevel(pkg)
		for _, i := range imports {
			if to := topLevel(i); to != from {
				if folders[from] == nil {
					folders[from] = map[string]bool{}
				}
				folders[from][to] = true
			}
		}
	}
	for from := range folders {
		if cycle := findCycle(folders, []string{from}); cycle != nil {
			t.Fatalf("the folders import each other: %s", strings.Join(cycle, " → "))
		}
	}
}

func topLevel(pkg string) string {
	top, _, _ := strings.Cut(pkg, "/")
	return top
}

// findCycle follows the imports of the last folder of the path, back to the first.
func findCycle(folders map[string]map[string]bool, path []string) []string {
	for _, to := range slices.Sorted(maps.Keys(folders[path[len(path)-1]])) {
		if to == path[0] {
			return append(path, to)
		}
		if slices.Contains(path, to) {
			continue // a cycle without the first folder, which is found from its own
		}
		if cycle := findCycle(folders, append(slices.Clone(path), to)); cycle != nil {
			return cycle
		}
	}
	return nil
}

func TestFindCycleFindsOne(t *testing.T) {
	t.Parallel()
	graph := func(edges ...string) map[string]map[string]bool {
		folders := map[string]map[string]bool{}
		for _, edge := range edges {
			from, to, _ := strings.Cut(edge, ">")
			if folders[from] == nil {
				folders[from] = map[string]bool{}
			}
			folders[from][to] = true
		}
		return folders
	}
	if cycle := findCycle(graph("a>b", "b>c", "c>a"), []string{"a"}); fmt.Sprint(cycle) != "[a b c a]" {
		t.Errorf("the cycle is %v", cycle)
	}
	if cycle := findCycle(graph("a>b", "b>c", "a>c"), []string{"a"}); cycle != nil {
		t.Errorf("%v is not a cycle", cycle)
	}
}
