package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/audit"
)

// TestQueriesOfTheDocumentationNameRealFields reads the examples for log stores.
func TestQueriesOfTheDocumentationNameRealFields(t *testing.T) {
	t.Parallel()
	var line bytes.Buffer
	audit.New(&line, slog.New(slog.DiscardHandler)).Write(audit.Record{Event: audit.Request, Decision: audit.Deny, Upstream: "argocd"})
	var record map[string]any
	if err := json.Unmarshal(line.Bytes(), &record); err != nil {
		t.Fatalf("%v in %s", err, &line)
	}
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "### Who was refused on an upstream yesterday?\n")
	section, _, _ = strings.Cut(section, "\n### ")
	var names []string
	for _, list := range regexp.MustCompile(`(?m)(?:^fields|KEEP) (.*)$`).FindAllStringSubmatch(section, -1) {
		names = append(names, strings.Split(list[1], ", ")...)
	}
	if len(names) != 16 {
		t.Fatalf("two lists of eight fields are wanted, found %q", names)
	}
	for _, pattern := range []string{`\{\{\.(\w+)\}\}`, `\| (\w+)=~?"`, `(\w+) ==? "`, `(\w+) (?:in|IN) [\[(]`, `[\[( ]\.(\w+)`} {
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(section, -1)
		if len(found) == 0 {
			t.Errorf("no field is written as %s", pattern)
		}
		for _, match := range found {
			names = append(names, match[1])
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if _, ok := record[name]; !ok {
			t.Errorf("the audit has no field %q: %s", name, &line)
		}
	}
	if record["event"] != "request" || record["decision"] != "deny" {
		t.Errorf("the examples filter by other values: %s", &line)
	}
}
