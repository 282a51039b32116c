// Package mutants plants faults, one at a time, into the policy's index and the canonical
// path, and checks that the tests find each one. A comparison that never fails proves
// nothing.
package mutants

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	root       = "../.."
	comparison = "TestAMillionDecisionsAreThoseOfCasbin"
	alarm      = "TestADisagreementIsReportedAndDeniesFromThenOn"
	kinds      = "TestCasbinIsAskedOnceForEachKindOfQuestion"
	crowds     = "TestManySubjectsOnOnePattern"

	attacks  = "TestWhatServersReadInTwoWaysIsRefused"
	plain    = "TestWhatEveryServerReadsAlikePasses"
	patterns = "TestPatternsInAnotherFormAreRefused"
)

// inTarget are the tests of the canonical path; the others are the policy's.
var inTarget = []string{attacks, plain, patterns}

// mutants are faults that a developer could make. The text to replace must stand
// in its file exactly once.
var mutants = []struct {
	name, file, old, new string
	test                 string // that finds it; by default the comparison
}{
	{name: "a star matches an empty segment", file: "target/pattern.go", old: `return segment != ""`, new: `return true`},
	{name: "** matches no fewer than one segment", file: "policy/index.go", old: `if n.rest != 0 {`, new: `if n.rest != 0 && path != "" {`},
	{name: "** ends the walk", file: "policy/index.go", old: "l.patternMatched(n.rest)\n", new: "l.patternMatched(n.rest)\nreturn\n"},
	{name: "a star hides the literal next to it", file: "policy/index.go", old: `if next != 0 {`, new: `if false {`},
	{name: "a star is not tried where a literal fits", file: "policy/index.go", old: `wild := n.wild; wild != 0;`, new: `wild := n.wild; wild != 0 && next == 0;`},
	{name: "stars inside segments are overlooked", file: "policy/index.go", old: `if !target.MatchSegment(segment, l.texts[l.nodes[wild].text]) {`, new: `if l.texts[l.nodes[wild].text] != target.AnySegment || segment == "" {`},
	{name: "only one segment with a star counts", file: "policy/index_trie.go", old: `b.nodes[wild].nextWild = b.nodes[at].wild`, new: ``},
	{name: "a star inside a segment matches half an escape", file: "target/pattern.go", old: `return (at < 1 || s[at-1] != '%') && (at < 2 || s[at-2] != '%')`, new: `return true`},
	{name: "a denial reads as an allowance", file: "policy/index.go", old: `if g.effect == Deny {`, new: `if false {`},
	{name: "an allowance wins over a denial", file: "policy/index.go", old: `case l.firstDeny != noRow:`, new: `case l.firstDeny != noRow && l.firstAllow == noRow:`},
	{name: "the last row decides", file: "policy/index.go", old: `*best = min(*best, l.firstMatchingRow(`, new: `*best = max(*best&0, l.firstMatchingRow(`},
	{name: "the row of the neighbour is named", file: "policy/index.go", old: `below := both&-both - 1`, new: `below := both & -both`},
	{name: "words are skipped in a long search", file: "policy/index.go", old: `begin := end / 2`, new: `begin := end`, test: crowds},
	{name: "the last word of subjects is lost", file: "policy/subject_ids.go", old: `word.index > last {`, new: `word.index >= last {`},
	{name: "* covers only methods that rows name", file: "policy/index_compile.go", old: `return ^uint64(0)`, new: `return ^uint64(1)`},
	{name: "HEAD is a method like any other", file: "policy/index_compile.go", old: `map[string]uint8{"HEAD": otherMethod + 1}`, new: `map[string]uint8{}`},
	{name: "GET does not cover HEAD", file: "policy/method.go", old: `if m == method || m == "GET" && method == "HEAD" {`, new: `if m == method {`},
	{name: "rows of every upstream only count where there are no others", file: "policy/index.go", old: `l.descend(l.wildcardRoot, path)`, new: "if l.root == 0 {\nl.descend(l.wildcardRoot, path)\n}"},
	{name: "ORG:* is a group like any other", file: "policy/roles.go", old: `add(s.orgWildcards[group[:i+1]])`, new: `_ = i`},
	{name: "roles do not inherit", file: "policy/subject_ids.go", old: `words = append(words, ids.closure[role]...)`, new: `words = append(words, wordOf(role))`},
	{name: "questions of two kinds are taken for one", file: "policy/index.go", old: `l.matchHash = mixHash(l.matchHash, uint64(pattern))`, new: ``},
	{name: "a fingerprint begins at nothing", file: "policy/index.go", old: `mixHash(uint64(root)+1,`, new: `mixHash(uint64(root),`},
	{name: "a disagreement has no consequence", file: "policy/crosscheck.go", old: `s.demoted.Store(true)`, new: ``, test: alarm},
	{name: "a demoted policy trusts the index", file: "policy/crosscheck.go", old: `err == nil && fromCasbin == fromIndex {`, new: `err == nil || fromCasbin == fromIndex {`, test: alarm},
	{name: "casbin is never asked", file: "policy/crosscheck.go", old: `if slot.Load() == key {`, new: `if key != 0 {`, test: kinds},

	{name: "a target need not begin with a slash", file: "target/target.go", old: `raw == "" || raw[0] != '/'`, new: `raw == ""`, test: attacks},
	{name: "only two dots climb", file: "target/target.go", old: `if dots != 1 && dots != 2 {`, new: `if dots != 2 {`, test: attacks},
	{name: "only two dots climb beyond ASCII", file: "target/lookalike.go", old: `return dots == 1 || dots == 2`, new: `return dots == 2`, test: attacks},
	{name: "blanks count", file: "target/target.go", old: `strings.CutPrefix(part, "%20")`, new: `strings.CutPrefix(part, "%2g")`, test: attacks},
	{name: "blanks count beyond ASCII", file: "target/lookalike.go", old: `case !isIgnorable(r):`, new: `default:`, test: attacks},
	{name: "only ASCII has dots", file: "target/lookalike.go", old: `case '.', '\u2024', '\u2025', '\u2026', '\ufe19', '\ufe30', '\ufe52', '\uff0e':`, new: `case '.':`, test: attacks},
	{name: "three dots climb", file: "target/target.go", old: `if dots != 1 && dots != 2 {`, new: `if dots == 0 {`, test: plain},
	{name: "three dots climb beyond ASCII", file: "target/lookalike.go", old: `return dots == 1 || dots == 2`, new: `return dots > 0`, test: plain},
	{name: "coded slashes hide dots", file: "target/target.go", old: `strings.Cut(rest, EncodedSlash)`, new: `strings.Cut(rest, "%2f")`, test: attacks},
	{name: "anything may stand before ://", file: "target/target.go", old: `afterScheme = first && isScheme(part)`, new: `afterScheme = first`, test: attacks},
	{name: "a scheme may stand anywhere", file: "target/target.go", old: `afterScheme = first && isScheme(part)`, new: `afterScheme = isScheme(part) || first && false`, test: attacks},
	{name: "a scheme is not known", file: "target/target.go", old: `afterScheme = first && isScheme(part)`, new: `afterScheme = first && false`, test: plain},
	{name: "empty segments vanish", file: "target/target.go", old: `if more && allowed&EmptySegments == 0 {`, new: `if false {`, test: attacks},
	{name: "a coded backslash passes", file: "target/target.go", old: `case c == '\\':`, new: `case bare && c == '\\':`, test: attacks},
	{name: "a coded semicolon passes", file: "target/target.go", old: `case c == ';':`, new: `case bare && c == ';':`, test: attacks},
	{name: "DEL passes", file: "target/target.go", old: `c == 0x7f ||`, new: ``, test: attacks},
	{name: "control characters of two bytes pass", file: "target/target.go", old: `if nonASCII && hasC1Control(canonical) {`, new: `if false {`, test: attacks},
	{name: "overlong UTF-8 passes", file: "target/target.go", old: `if nonASCII && !decodesToUTF8(canonical) {`, new: `if false {`, test: attacks},
	{name: "double encoding passes", file: "target/target.go", old: `if allowed&Percent == 0 && isDoubleEncoded(canonical) {`, new: `if false {`, test: attacks},
	{name: "only the first percent sign is looked at", file: "target/target.go", old: "canonical = after\n", new: "return false\n", test: attacks},
	{name: "%u is no escape", file: "target/target.go", old: `return high && low`, new: `return high && low && false`, test: attacks},
	{name: "coded dots stay", file: "target/target.go", old: `c == '-' || c == '.' ||`, new: `c == '-' ||`, test: attacks},
	{name: "hex digits keep their case", file: "target/target.go", old: `if 'a' <= digits[i] && digits[i] <= 'f' {`, new: `if digits[i] == 0 {`, test: plain},
	{name: "reserved characters are decoded", file: "target/target.go", old: `plain := unreserved(c) ||`, new: `plain := unreserved(c) || c == ':' ||`, test: plain},
	{name: "a pattern may hold ** anywhere", file: "target/pattern.go", old: `segment == AnyRest && rest != ""`, new: `false`, test: patterns},
	{name: "a pattern may be in any form", file: "target/pattern.go", old: `case canonical.String() != pattern:`, new: `case false:`, test: patterns},
}

func TestEveryPlantedFaultIsFound(t *testing.T) {
	for _, tests := range [][]string{{comparison, alarm, kinds, crowds}, inTarget} {
		if out, failed := run(t, nil, tests...); failed {
			t.Fatalf("the tests fail without a fault:\n%s", out)
		}
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

// overlay is what the go command takes for files that it must read instead.
type overlay struct{ Replace map[string]string }

// plant writes a file with a fault next to the sources, which stay as they are.
func plant(t *testing.T, name, old, new string) *overlay {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), old); n != 1 {
		t.Fatalf("%q occurs %d times in %s: update this mutant", old, n, name)
	}
	faulty := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(faulty, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return &overlay{map[string]string{file: faulty}}
}

// run runs tests of one package and reports whether that failed, for whatever reason.
func run(t *testing.T, o *overlay, tests ...string) (out string, failed bool) {
	t.Helper()
	room := "./policy"
	if slices.Contains(inTarget, tests[0]) {
		room = "./target"
	}
	args := []string{"test", room, "-vet=off", "-count=1", "-timeout=2m", "-run", "^(" + strings.Join(tests, "|") + ")$"}
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
