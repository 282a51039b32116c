package target_test

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/target"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// tables gives the rows of the tables in a section of a page, by their columns,
// without the heads.
func tables(t *testing.T, page, heading string) [][][]string {
	t.Helper()
	_, section, found := strings.Cut(page, "\n"+heading+"\n")
	if !found {
		t.Fatalf("there is no section %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var all [][][]string
	inTable := false
	for line := range strings.Lines(section) {
		row := strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(row, "|"):
			inTable = false
		case !inTable:
			inTable = true
			all = append(all, nil)
		case strings.Trim(row, "|-") != "":
			columns := strings.Split(strings.Trim(row, "|"), "|")
			for i := range columns {
				columns[i] = strings.TrimSpace(columns[i])
			}
			all[len(all)-1] = append(all[len(all)-1], columns)
		}
	}
	return all
}

// refusals are all that target says.
var refusals = []target.Refusal{
	target.NotAbsolute, target.BadEscape, target.ControlByte, target.Backslash, target.Parameter,
	target.Fragment, target.DoubleEncoding, target.NotUTF8, target.DotSegment, target.EmptySegment, target.QueryByte, target.LookAlike,
}

// TestPathRulesAreAsDocumented runs the examples of docs/security.md.
func TestPathRulesAreAsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	found := tables(t, string(text), "## Paths")
	if len(found) != 2 {
		t.Fatalf("%d tables, want what is refused and what passes", len(found))
	}
	var explained []target.Refusal
	for _, row := range found[0] {
		refusal := target.Refusal(row[0])
		explained = append(explained, refusal)
		examples := quoted.FindAllStringSubmatch(row[1], -1)
		if len(examples) == 0 || !slices.Contains(refusals, refusal) {
			t.Errorf("authgate never says %q, or there is no example of it", refusal)
		}
		for _, example := range examples {
			if p, err := target.Parse(example[1]); !errors.Is(err, refusal) {
				t.Errorf("%s: %q, %v; the page says: %s", example[1], p, err, refusal)
			}
		}
	}
	for _, refusal := range refusals {
		if !slices.Contains(explained, refusal) {
			t.Errorf("docs/security.md does not explain %q", refusal)
		}
	}
	for _, row := range found[1] {
		sent, want := quoted.FindStringSubmatch(row[0]), quoted.FindStringSubmatch(row[1])
		if sent == nil || want == nil {
			t.Fatalf("%q is no example", row)
		}
		if p, err := target.Parse(sent[1]); err != nil || p.String() != want[1] {
			t.Errorf("%s is judged as %q, %v; the page says %s", sent[1], p, err, want[1])
		}
	}
}
