package importer_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTheEndpointsOfViewersAreThoseOfTheExamples(t *testing.T) {
	t.Parallel()
	for example, own := range map[string]string{
		"../../examples/argo-workflows/policy.csv": "workflows_viewer.csv",
	} {
		if got, want := viewerRows(t, own), viewerRows(t, example); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s has\n%s\nand %s\n%s", own, strings.Join(got, ""), example, strings.Join(want, ""))
		}
	}
}

func viewerRows(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(line, ", "); fields[0] == "p" && strings.HasSuffix(fields[1], "-viewer") {
			rows = append(rows, line)
		}
	}
	return rows
}
