package docs

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestEachFailureInSessionsIsTestedByName reads the table of docs/sessions.md: its
// last column names the test that holds the row.
func TestEachFailureInSessionsIsTestedByName(t *testing.T) {
	t.Parallel()
	_, table, found := strings.Cut(read(t, "docs/sessions.md"), "## What fails, and who sees what")
	if !found {
		t.Fatal("docs/sessions.md has no table of failures")
	}
	test := regexp.MustCompile("`(Test\\w+)`")
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| what happens") {
			continue
		}
		rows++
		names := test.FindAllStringSubmatch(line, -1)
		if names == nil {
			t.Errorf("no test is named in %s", line)
		}
		for _, name := range names {
			if out, _ := exec.Command("grep", "-rlw", "--include=*_test.go", "func "+name[1], root).Output(); len(out) == 0 {
				t.Errorf("there is no %s", name[1])
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d rows", rows)
	}
}
