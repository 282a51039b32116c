// Package mutants plants faults into the policy's index, one at a time, and sees
// each found by the tests that hold the index against casbin: a comparison that
// never fails proves nothing.
package mutants

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root       = "../.."
	comparison = "TestAMillionDecisionsAreThoseOfCasbin"
	alarm      = "TestADisagreementIsReportedAndDeniesFromThenOn"
	kinds      = "TestCasbinIsAskedOnceForEachKindOfQuestion"
	crowds     = "TestManySubjectsOnOnePattern"
)

// mutants are faults that somebody could make. The text to replace must stand
// in its file exactly once.
var mutants = []struct {
	name, file, old, new string
	test                 string // that finds it; by default the comparison
}{
	{name: "a star matches an empty segment", file: "pattern.go", old: `return segment != ""`, new: `return true`},
	{name: "** matches no fewer than one segment", file: "index.go", old: `if n.rest != 0 {`, new: `if n.rest != 0 && path != "" {`},
	{name: "** ends the walk", file: "index.go", old: "w.match(n.rest)\n", new: "w.match(n.rest)\nreturn\n"},
	{name: "a star hides the literal beside it", file: "index.go", old: `if next != 0 {`, new: `if false {`},
	{name: "a star is not tried where a literal fits", file: "index.go", old: `wild := n.wild; wild != 0;`, new: `wild := n.wild; wild != 0 && next == 0;`},
	{name: "stars inside segments are overlooked", file: "index.go", old: `if !matchSegment(segment, w.nodes[wild].segment) {`, new: `if w.nodes[wild].segment != anySegment || segment == "" {`},
	{name: "only one segment with a star counts", file: "index_trie.go", old: `t.nodes[wild].nextWild = t.nodes[at].wild`, new: ``},
	{name: "a star inside a segment matches half an escape", file: "pattern.go", old: `return (at < 1 || s[at-1] != '%') && (at < 2 || s[at-2] != '%')`, new: `return true`},
	{name: "a denial reads as an allowance", file: "index.go", old: `if g.effect == Deny {`, new: `if false {`},
	{name: "an allowance wins over a denial", file: "index.go", old: `case w.denies != noRow:`, new: `case w.denies != noRow && w.allows == noRow:`},
	{name: "the last row decides", file: "index.go", old: `*best = min(*best, w.lowest(`, new: `*best = max(*best&0, w.lowest(`},
	{name: "the row of the neighbour is named", file: "index.go", old: `below := both&-both - 1`, new: `below := both & -both`},
	{name: "words are skipped in a long search", file: "index.go", old: `begin := end / 2`, new: `begin := end`, test: crowds},
	{name: "the last word of subjects is lost", file: "roles_numbers.go", old: `word.at > last {`, new: `word.at >= last {`},
	{name: "* covers only methods that rows name", file: "index_compile.go", old: `return ^uint64(0)`, new: `return ^uint64(1)`},
	{name: "HEAD is a method like any other", file: "index_compile.go", old: `map[string]uint8{"HEAD": otherMethod + 1}`, new: `map[string]uint8{}`},
	{name: "GET does not cover HEAD", file: "pattern.go", old: `if m == method || m == "GET" && method == "HEAD" {`, new: `if m == method {`},
	{name: "rows of every upstream only count where there are no others", file: "index.go", old: "w.visit(w.everywhere, path)", new: "if w.root == 0 {\nw.visit(w.everywhere, path)\n}"},
	{name: "ORG:* is a group like any other", file: "roles.go", old: `add(s.organisations[group[:i+1]])`, new: `_ = i`},
	{name: "roles do not inherit", file: "roles_numbers.go", old: `words = append(words, n.brings[role]...)`, new: `words = append(words, wordOf(role))`},
	{name: "questions of two kinds are taken for one", file: "index.go", old: `w.class = stir(w.class, uint64(pattern))`, new: ``},
	{name: "a fingerprint begins at nothing", file: "index.go", old: `stir(uint64(root)+1,`, new: `stir(uint64(root),`},
	{name: "a disagreement has no consequence", file: "engine_confirm.go", old: `s.demoted.Store(true)`, new: ``, test: alarm},
	{name: "whoever is demoted believes the index", file: "engine_confirm.go", old: `err != nil || theirs != ours {`, new: `err != nil && theirs != ours {`, test: alarm},
	{name: "casbin is never asked", file: "engine_confirm.go", old: `if place.Load() == kind {`, new: `if kind != 0 {`, test: kinds},
}

func TestEveryPlantedFaultIsFound(t *testing.T) {
	if out, failed := run(t, nil, strings.Join([]string{comparison, alarm, kinds, crowds}, "|")); failed {
		t.Fatalf("the tests fail without a fault:\n%s", out)
	}
	for _, m := range mutants {
		if m.test == "" {
			m.test = comparison
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			out, failed := run(t, plant(t, m.file, m.old, m.new), m.test)
			switch {
			case !failed:
				t.Errorf("%s passes with %q for %q in %s", m.test, m.new, m.old, m.file)
			case !strings.Contains(out, "--- FAIL: "+m.test):
				t.Errorf("%s fails in another way than it should:\n%.2000s", m.test, out)
			default:
				t.Logf("found by %s", m.test)
			}
		})
	}
}

// overlay is what the go command takes for files that it shall read instead.
type overlay struct{ Replace map[string]string }

// plant writes a file with a fault beside the sources, which stay as they are.
func plant(t *testing.T, name, old, new string) *overlay {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(root, "policy", name))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), old); n != 1 {
		t.Fatalf("%q stands %d times in %s: mend this mutant", old, n, name)
	}
	faulty := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(faulty, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return &overlay{map[string]string{file: faulty}}
}

// run tests the policy and reports whether that failed, for whatever reason.
func run(t *testing.T, o *overlay, test string) (out string, failed bool) {
	t.Helper()
	args := []string{"test", "./policy", "-vet=off", "-count=1", "-timeout=2m", "-run", "^(" + test + ")$"}
	if o != nil {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "overlay.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-overlay", file)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	printed, err := cmd.CombinedOutput()
	return string(printed), err != nil
}
