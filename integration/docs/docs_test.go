// Package docs holds what the documentation shows to what the program does.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var block = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// TestTranscriptsAreWhatTheProgramPrints runs the console blocks of the README
// beside the policy that it shows.
func TestTranscriptsAreWhatTheProgramPrints(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+string(os.PathSeparator), "./cmd/authgate")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building authgate: %v\n%s", err, out)
	}
	commands := 0
	for _, b := range blocks(t, "README.md") {
		switch b.kind {
		case "csv":
			if err := os.WriteFile(filepath.Join(dir, "policy.csv"), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case "console":
			var shown strings.Builder
			for line := range strings.Lines(b.text) {
				command, isCommand := strings.CutPrefix(line, "$ ")
				if !isCommand {
					continue
				}
				commands++
				words := strings.Fields(command)
				cmd := exec.Command(filepath.Join(dir, words[0]), words[1:]...)
				cmd.Dir = dir
				out, _ := cmd.CombinedOutput() // its exit code may say no
				shown.WriteString(line + string(out))
			}
			if shown.String() != b.text {
				t.Errorf("README.md shows\n%s\nthe program prints\n%s", b.text, shown.String())
			}
		}
	}
	if commands == 0 {
		t.Error("README.md shows no command")
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(root + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(root + "/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(pages, more...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), match[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, match[1])
			}
		}
	}
	if links == 0 {
		t.Error("no links found")
	}
}

// TestEveryMetricIsDocumented and every documented one exists.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`authgate_[a-z_]+`)
	told := make(map[string]bool)
	for _, metric := range name.FindAllString(read(t, "docs/operations.md"), -1) {
		told[metric] = true
	}
	made := make(map[string]bool)
	for _, file := range []string{"proxy/metrics.go", "cmd/authgate/serve.go"} {
		for _, metric := range name.FindAllString(read(t, file), -1) {
			made[metric] = true
		}
	}
	for metric := range made {
		if !told[metric] {
			t.Errorf("%s is not in docs/operations.md", metric)
		}
	}
	for metric := range told {
		if !made[metric] {
			t.Errorf("docs/operations.md tells of %s, which does not exist", metric)
		}
	}
}

type fenced struct{ kind, text string }

func blocks(t *testing.T, page string) []fenced {
	t.Helper()
	var all []fenced
	for _, match := range block.FindAllStringSubmatch(read(t, page), -1) {
		all = append(all, fenced{match[1], match[2]})
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
