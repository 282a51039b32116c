// Package docs compares the documentation with the program.
package docs

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	block  = regexp.MustCompile("(?ms)^```(\\w+)(?: ([\\w./-]+))?\n(.*?)^```$")
	update = flag.Bool("update", false, "write into the pages what the program prints")
)

// pages with transcripts. A block that names a file (```csv new.csv) is that file
// from there on; ```csv alone is policy.csv.
var pages = []string{"README.md", "docs/policy.md", "docs/troubleshooting.md"}

// TestTranscriptsAreWhatTheProgramPrints runs the console blocks of the pages
// in a folder with the files that they show.
func TestTranscriptsAreWhatTheProgramPrints(t *testing.T) {
	t.Parallel()
	bin := authgate(t)
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			commands := 0
			text := read(t, page)
			printed := block.ReplaceAllStringFunc(text, func(fence string) string {
				match := block.FindStringSubmatch(fence)
				kind, name, body := match[1], match[2], match[3]
				switch {
				case kind == "csv" && name == "":
					name = "policy.csv"
					fallthrough
				case name != "":
					if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
						t.Fatal(err)
					}
				case kind == "console":
					shown := transcript(t, bin, dir, body, &commands)
					if shown != body && !*update {
						t.Errorf("%s shows\n%s\nthe program prints\n%s\nif that is right: go test ./docs -update", page, body, shown)
					}
					return "```console\n" + shown + "```"
				}
				return fence
			})
			if commands == 0 {
				t.Errorf("%s shows no command", page)
			}
			if *update && printed != text {
				if err := os.WriteFile(filepath.Join(root, page), []byte(printed), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// transcript runs the commands of a console block, which start with $, and returns
// the block with their output.
func transcript(t *testing.T, bin, dir, body string, commands *int) string {
	t.Helper()
	var shown strings.Builder
	for line := range strings.Lines(body) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		if !isCommand {
			continue
		}
		*commands++
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() == 127) {
			t.Fatalf("%s: %v\n%s", command, err, out) // any other code may be an answer
		}
		shown.WriteString(line + string(out))
	}
	return shown.String()
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
	documented := make(map[string]bool)
	for _, metric := range name.FindAllString(read(t, "docs/operations.md"), -1) {
		documented[metric] = true
	}
	made := make(map[string]bool)
	registered := regexp.MustCompile(`"(authgate_[a-z_]+)"`)
	for _, pattern := range []string{"admin/*.go", "login/*.go", "proxy/*.go", "proxy/*/*.go", "server/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, metric := range registered.FindAllStringSubmatch(read(t, strings.TrimPrefix(file, root+"/")), -1) {
				made[metric[1]] = true
			}
		}
	}
	if len(made) < 10 {
		t.Errorf("only %d metrics were found", len(made))
	}
	for metric := range made {
		if !documented[metric] {
			t.Errorf("%s is not in docs/operations.md", metric)
		}
	}
	for metric := range documented {
		if !made[metric] {
			t.Errorf("docs/operations.md has %s, which does not exist", metric)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var namedFile = regexp.MustCompile("`([a-z0-9_.-]+/[a-zA-Z0-9_./-]*)`")

// TestNamedFilesExist: ARCHITECTURE.md and CONTRIBUTING.md lead to files and folders.
func TestNamedFilesExist(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"ARCHITECTURE.md", "CONTRIBUTING.md"} {
		named := namedFile.FindAllStringSubmatch(read(t, page), -1)
		if len(named) == 0 {
			t.Errorf("%s names no file", page)
		}
		for _, match := range named {
			if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", page, match[1])
			}
		}
	}
}

// TestEveryPackageIsInTheArchitecture: the listing of ARCHITECTURE.md is complete.
func TestEveryPackageIsInTheArchitecture(t *testing.T) {
	t.Parallel()
	_, listing, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "## Packages")
	cmd := exec.Command("go", "list", "-f", "{{.Dir}}", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range strings.Fields(string(out)) {
		if name := filepath.Base(dir); !strings.Contains(listing, name+"/") {
			t.Errorf("ARCHITECTURE.md does not list %s", dir)
		}
	}
}
