package docs

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

var (
	optionRow = regexp.MustCompile("(?m)^\\| (`--[^|]*) \\| ([^|]*) \\|")
	option    = regexp.MustCompile("`--([a-z0-9-]+)`")
	quoted    = regexp.MustCompile("`([^`]+)`")
)

// TestEachOptionOfOAuth2ProxyHasARow: the tables of the migration page name every option
// once, and no other.
func TestEachOptionOfOAuth2ProxyHasARow(t *testing.T) {
	t.Parallel()
	rows := map[string]int{}
	for _, row := range optionRow.FindAllStringSubmatch(read(t, "docs/migrate-from-oauth2-proxy.md"), -1) {
		for _, name := range option.FindAllStringSubmatch(row[1], -1) {
			rows[name[1]]++
		}
	}
	known := map[string]bool{}
	for line := range strings.Lines(read(t, "integration/docs/testdata/oauth2-proxy-options.txt")) {
		name := strings.TrimSpace(line)
		if strings.HasPrefix(name, "#") {
			continue
		}
		known[name] = true
		if rows[name] != 1 {
			t.Errorf("--%s has %d rows in docs/migrate-from-oauth2-proxy.md", name, rows[name])
		}
	}
	if len(known) < 100 {
		t.Errorf("only %d options", len(known))
	}
	for name := range rows {
		if !known[name] {
			t.Errorf("oauth2-proxy has no option --%s", name)
		}
	}
}

// schema is the part of a JSON Schema that has keys.
type schema struct {
	Properties map[string]schema
	Items      *schema
}

// has reports whether the configuration has a key, such as upstreams[].identity.headers.
func (s schema) has(key string) bool {
	for name := range strings.SplitSeq(key, ".") {
		name, isList := strings.CutSuffix(name, "[]")
		next, known := s.Properties[name]
		switch {
		case !known:
			return false
		case isList && next.Items == nil:
			return false
		case isList:
			next = *next.Items
		}
		s = next
	}
	return true
}

// TestTheKeysNextToOptionsExist: the second column of the tables has keys of authgate.yaml.
func TestTheKeysNextToOptionsExist(t *testing.T) {
	t.Parallel()
	out, _ := run(t, authgate(t), t.TempDir(), "config", "schema")
	var config schema
	if err := json.Unmarshal([]byte(out), &config); err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, row := range optionRow.FindAllStringSubmatch(read(t, "docs/migrate-from-oauth2-proxy.md"), -1) {
		cell := strings.TrimSpace(row[2])
		names := quoted.FindAllStringSubmatch(cell, -1)
		if len(names) == 0 && cell != "none" && cell != "always" {
			t.Errorf("%s: the second column is %q", row[1], cell)
		}
		for _, name := range names {
			keys++
			if !config.has(name[1]) {
				t.Errorf("%s: authgate.yaml has no key %s", row[1], name[1])
			}
		}
	}
	if keys < 30 {
		t.Errorf("only %d keys", keys)
	}
}

// TestTheMigratedConfigurationAdmitsTheSameUsers checks the example of the migration page.
func TestTheMigratedConfigurationAdmitsTheSameUsers(t *testing.T) {
	t.Parallel()
	bin, dir := authgate(t), t.TempDir()
	writeNamed(t, dir, "docs/migrate-from-oauth2-proxy.md")
	for question, want := range map[string]int{
		"--group example-org:dev DELETE grafana:/x":     0,
		"--group example-org:argo GET grafana:/":        0,
		"--group example-org:qa GET grafana:/":          1,
		"--user a@example.com GET grafana:/":            1,
		"--anonymous GET grafana:/api/health":           0,
		"--anonymous GET grafana:/api/health/secret":    1,
		"--anonymous POST grafana:/api/health":          1,
		"--anonymous GET grafana:/api/dashboards/uid/x": 1,
	} {
		args := append([]string{"policy", "can"}, strings.Fields(question+" --config authgate.yaml")...)
		if out, code := run(t, bin, dir, args...); code != want {
			t.Errorf("%s: exit %d: %s", question, code, out)
		}
	}
}
