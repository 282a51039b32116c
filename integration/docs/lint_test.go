package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/example-org/authgate/integration/program"
)

// built is where the binary is; the first test that needs it builds it.
var built func() (string, error)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "authgate-docs-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir) // a temporary folder
		built = sync.OnceValues(func() (string, error) { return program.Authgate(dir) })
		return m.Run()
	}())
}

// authgate gives a folder of the test's own that the program is in.
func authgate(t *testing.T) string {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(bin, "authgate")); err != nil {
		t.Fatal(err)
	}
	return bin
}

// run runs authgate in a folder and gives what it prints and its exit code.
func run(t *testing.T, bin, dir string, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "authgate"), args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// lintFile gives the codes that lint finds in a policy.
func lintFile(t *testing.T, bin, text string) (codes []string, exit int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.csv"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, exit := run(t, bin, dir, "policy", "lint", "--policy", "policy.csv", "--fail-on", "info", "-o", "json")
	var answer struct {
		Findings []struct{ Code, Page string }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	for _, f := range answer.Findings {
		codes = append(codes, f.Code)
		if !strings.HasSuffix(f.Page, "/docs/lint.md#"+strings.ToLower(f.Code)) {
			t.Errorf("%s is explained at %s", f.Code, f.Page)
		}
	}
	return codes, exit
}

var (
	lintHeading = regexp.MustCompile(`(?m)^### (AG\d{3})$`)
	lintTitle   = regexp.MustCompile(`(?s)^\*\*(.+?)\*\* \(([a-z-]+), (error|warning|info)\)\.$`)
)

// TestEveryFindingIsExplained runs the examples of docs/lint.md: the first of a
// section shows the finding, the second how to be rid of it.
func TestEveryFindingIsExplained(t *testing.T) {
	t.Parallel()
	bin := authgate(t)
	rules := sarifRules(t, bin)
	page := read(t, "docs/lint.md")
	var explained []string
	headings := lintHeading.FindAllStringSubmatchIndex(page, -1)
	for i, at := range headings {
		code, section := page[at[2]:at[3]], page[at[1]:]
		if i+1 < len(headings) {
			section = page[at[1]:headings[i+1][0]]
		}
		explained = append(explained, code)
		title := lintTitle.FindStringSubmatch(strings.SplitN(strings.TrimSpace(section), "\n", 2)[0])
		level := map[string]string{"error": "error", "warning": "warning", "info": "note"}
		if r := rules[code]; title == nil || title[1] != r.Short.Text || title[2] != r.Name || level[title[3]] != r.Default.Level {
			t.Errorf("%s is called %q in docs/lint.md; the program says %+v", code, title, r)
		}
		if row := "| [" + code + "](#" + strings.ToLower(code) + ") | "; !strings.Contains(page, row) {
			t.Errorf("%s is not in the table of docs/lint.md", code)
		}
		examples := block.FindAllStringSubmatch(section, -1)
		if len(examples) == 0 && code != "AG199" && code != "AG119" { // which take thousands of rows, and a configuration
			t.Errorf("docs/lint.md shows no example of %s", code)
		}
		for n, example := range examples {
			text := example[len(example)-1]
			codes, exit := lintFile(t, bin, text)
			if found := slices.Contains(codes, code); found != (n == 0) {
				t.Errorf("example %d of %s: lint finds %q in\n%s", n+1, code, codes, text)
			}
			if code == "AG001" && n == 0 && exit != 3 {
				t.Errorf("exit code %d where the policy does not load", exit)
			}
		}
	}
	for code := range rules {
		if !slices.Contains(explained, code) {
			t.Errorf("docs/lint.md does not explain %s", code)
		}
	}
	if len(explained) != len(rules) {
		t.Errorf("docs/lint.md explains %q", explained)
	}
}

type sarifRule struct {
	ID, Name, HelpURI string
	Short             struct{ Text string }  `json:"shortDescription"`
	Full              struct{ Text string }  `json:"fullDescription"`
	Default           struct{ Level string } `json:"defaultConfiguration"`
}

type sarifFile struct {
	Schema  string `json:"$schema"`
	Version string
	Runs    []struct {
		ColumnKind string
		Tool       struct {
			Driver struct {
				Name, InformationURI string
				Rules                []sarifRule
			}
		}
		Results []struct {
			RuleID, Level       string
			RuleIndex           int
			Message             struct{ Text string }
			PartialFingerprints map[string]string
			Locations           []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI, URIBaseID string }
					Region           struct{ StartLine, StartColumn int }
				}
			}
		}
	}
}

// sarif lints a policy and holds the log to what code scanning asks of one
// (SARIF 2.1.0, sections 3.13, 3.14, 3.27; GitHub's "SARIF support").
func sarif(t *testing.T, bin, dir, file string) sarifFile {
	t.Helper()
	out, _ := run(t, bin, dir, "policy", "lint", "--policy", file, "-o", "sarif")
	var log sarifFile
	if err := json.Unmarshal([]byte(out), &log); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if log.Version != "2.1.0" || !strings.Contains(log.Schema, "sarif-schema-2.1.0") || len(log.Runs) != 1 {
		t.Fatalf("no SARIF 2.1.0 with one run:\n%s", out)
	}
	if !strings.Contains(out, `"results": [`) {
		t.Error("a run without results says that nothing was looked at")
	}
	driver := log.Runs[0].Tool.Driver
	if driver.Name != "authgate" || !strings.HasPrefix(driver.InformationURI, "https://") {
		t.Errorf("the tool is %q of %q", driver.Name, driver.InformationURI)
	}
	for _, r := range driver.Rules {
		if r.ID == "" || r.Name == "" || r.Short.Text == "" || r.Full.Text == "" || !strings.HasPrefix(r.HelpURI, "https://") ||
			!slices.Contains([]string{"error", "warning", "note"}, r.Default.Level) {
			t.Errorf("rule %+v lacks something", r)
		}
	}
	for _, r := range log.Runs[0].Results {
		if r.RuleIndex >= len(driver.Rules) || driver.Rules[r.RuleIndex].ID != r.RuleID || r.Message.Text == "" || len(r.Locations) != 1 ||
			!slices.Contains([]string{"error", "warning", "note"}, r.Level) || len(r.PartialFingerprints) == 0 {
			t.Fatalf("result %+v lacks something", r)
		}
		at := r.Locations[0].PhysicalLocation
		if at.Region.StartLine < 1 || at.Region.StartColumn < 1 || at.ArtifactLocation.URI == "" {
			t.Errorf("result %+v has no place", r)
		}
	}
	return log
}

func sarifRules(t *testing.T, bin string) map[string]sarifRule {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.csv"), []byte("p, o:a, u, /x, GET, allow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rules := map[string]sarifRule{}
	for _, r := range sarif(t, bin, dir, "policy.csv").Runs[0].Tool.Driver.Rules {
		rules[r.ID] = r
	}
	return rules
}

func TestSARIFFollowsLinesThatMove(t *testing.T) {
	t.Parallel()
	bin, dir := authgate(t), t.TempDir()
	place := func(text string) (lines []int, prints, uris []string) {
		if err := os.MkdirAll(filepath.Join(dir, "my deploy"), 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("my deploy", "policy.csv")
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{file, "." + string(os.PathSeparator) + file, filepath.Join(dir, file)} {
			for _, r := range sarif(t, bin, dir, name).Runs[0].Results {
				at := r.Locations[0].PhysicalLocation
				lines = append(lines, at.Region.StartLine)
				uris = append(uris, at.ArtifactLocation.URI)
				for _, print := range r.PartialFingerprints {
					prints = append(prints, print)
				}
			}
		}
		return lines, prints, uris
	}
	const rows = "p, o:a, u, /**, GET, allow\np, o:a, u, /x, GET, allow\np, o:a, u, /y, GET, allow\n"
	lines, prints, uris := place(rows)
	moved, after, _ := place("# a comment\n\n" + rows)
	if len(lines) != 6 || lines[0]+2 != moved[0] || !slices.Equal(prints, after) {
		t.Errorf("lines %v, then %v; fingerprints %q, then %q", lines, moved, prints, after)
	}
	if prints[0] == prints[1] {
		t.Error("two findings have one fingerprint")
	}
	for _, uri := range uris {
		if uri != "my%20deploy/policy.csv" {
			t.Errorf("the file is named %s", uri)
		}
	}
}
