// Package lean holds the program to its weight: few modules, a small binary, and
// the direction of its imports.
package lean

import (
	"encoding/json"
	"errors"
	"io"
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

// TestImportsPointOneWay checks what ARCHITECTURE.md says of the rooms.
func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	imports := make(map[string][]string) // room → rooms that it imports
	casbin := make(map[string]bool)      // files that import it
	for decoder := json.NewDecoder(strings.NewReader(goCommand(t, "list", "-json=ImportPath,Imports,Dir,GoFiles", "./..."))); ; {
		var p struct {
			ImportPath, Dir  string
			Imports, GoFiles []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(p.ImportPath, module)
		for _, i := range p.Imports {
			if inside, ok := strings.CutPrefix(i, module); ok {
				imports[room] = append(imports[room], inside)
			}
		}
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), `"github.com/casbin/`) {
				casbin[room+"/"+name] = true
			}
		}
	}
	if len(imports["cmd/authgate"]) == 0 {
		t.Fatal("no imports were read")
	}
	if n := depth("cmd/authgate", imports); n > maxChain {
		t.Errorf("the longest chain of imports has %d links, at most %d are wanted", n, maxChain)
	}
	for room, inside := range imports { // the request path does without the tools
		if strings.HasPrefix(room, "policy/") || strings.HasPrefix(room, "cmd/authgate") {
			continue
		}
		for _, i := range inside {
			if strings.HasPrefix(i, "policy/") {
				t.Errorf("%s imports %s, a tool", room, i)
			}
		}
	}
	for room, never := range map[string][]string{
		"policy":   {"config", "identity", "session", "proxy"},
		"identity": {"config", "policy", "session", "proxy"},
		"session":  {"policy", "proxy"},
		"target":   {"config", "policy", "fault"},
		"fault":    {"config", "policy", "target"},
	} {
		for _, i := range imports[room] {
			if slices.Contains(never, i) {
				t.Errorf("%s imports %s", room, i)
			}
		}
	}
	if len(casbin) != 1 || !casbin["policy/casbin.go"] {
		t.Errorf("casbin is imported by %v, wanted is policy/casbin.go alone", casbin)
	}
}

func depth(room string, imports map[string][]string) int {
	deepest := 0
	for _, i := range imports[room] {
		deepest = max(deepest, 1+depth(i, imports))
	}
	return deepest
}
