// Package lean checks limits of the code: modules, binary, imports, sizes of folders
// and files, and words.
package lean

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	root       = "../.."
	module     = "github.com/example-org/authgate/"
	maxModules = 100        // of the whole graph, the main module included
	maxBinary  = 32_000_000 // bytes, stripped
	maxChain   = 5          // imports from the program down to its last leaf
)

func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func TestModuleGraphIsSmall(t *testing.T) {
	t.Parallel()
	if modules := strings.Fields(goCommand(t, "list", "-m", "-f", "{{.Path}}", "all")); len(modules) >= maxModules {
		t.Errorf("%d modules, fewer than %d are wanted: %q", len(modules), maxModules, modules)
	}
}

func TestStrippedBinaryIsSmall(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "authgate")
	goCommand(t, "build", "-trimpath", "-ldflags=-s -w", "-o", file, "./cmd/authgate")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= maxBinary {
		t.Errorf("%d bytes, fewer than %d are wanted", info.Size(), maxBinary)
	}
}

// forbidden are imports between top-level folders that ARCHITECTURE.md excludes.
var forbidden = map[string][]string{
	"policy":     {"config", "identity", "session", "proxy", "credential", "audit"},
	"identity":   {"config", "policy", "session", "proxy"},
	"session":    {"policy", "proxy", "config"},
	"credential": {"config", "policy", "session", "proxy"},
	"proxy":      {"server", "login", "admin"},
	"target":     {"config", "policy", "fault"},
	"fault":      {"config", "policy", "target"},
	"config":     {"policy", "proxy", "session", "identity"},
}

// TestImportsPointOneWay checks the directions that ARCHITECTURE.md describes.
func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	imports := importsOf(t)
	if n := depth("cmd/authgate", imports); n > maxChain {
		t.Errorf("the longest chain of imports has %d links, at most %d are wanted", n, maxChain)
	}
	for pkg, imported := range imports {
		// server gives the request path what it needs of the tools, as a function.
		tool := strings.HasPrefix(pkg, "policy/") || strings.HasPrefix(pkg, "cmd/authgate") || pkg == "server"
		for _, i := range imported {
			if strings.HasPrefix(i, "policy/") && !tool {
				t.Errorf("%s imports %s: the request path does without the tools", pkg, i)
			}
			if slices.Contains(forbidden[topLevel(pkg)], topLevel(i)) {
				t.Errorf("%s imports %s", pkg, i)
			}
		}
	}
}

func TestOnlyOneFileImportsCasbin(t *testing.T) {
	t.Parallel()
	var importers []string
	for _, files := range sources(t) {
		for _, file := range files {
			if strings.Contains(read(t, file), `"github.com/casbin/`) {
				importers = append(importers, file)
			}
		}
	}
	if !slices.Equal(importers, []string{"policy/casbin.go"}) {
		t.Errorf("casbin is imported by %q; only policy/casbin.go should", importers)
	}
}

// importsOf returns the imports of each package inside the module.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	imports := make(map[string][]string)
	const format = `{{.ImportPath}} {{join .Imports " "}}`
	for line := range strings.Lines(goCommand(t, "list", "-f", format, "./...")) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		for _, i := range fields[1:] {
			if inside, ok := strings.CutPrefix(i, module); ok {
				imports[pkg] = append(imports[pkg], inside)
			}
		}
	}
	if len(imports["cmd/authgate"]) == 0 {
		t.Fatal("no imports were read")
	}
	return imports
}

// depth is the length of the longest chain of imports from a package.
func depth(pkg string, imports map[string][]string) int {
	deepest := 0
	for _, i := range imports[pkg] {
		deepest = max(deepest, 1+depth(i, imports))
	}
	return deepest
}
