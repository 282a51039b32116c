// Package alerts_test checks deploy/prometheus and deploy/grafana: promtool tests the
// alerts, every expression names what a running authgate exports, a real Prometheus
// evaluates the rules on its metrics, and each alert has a runbook.
package alerts_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const root = "../.."

var update = flag.Bool("update", false, "copy the chart's files to deploy/prometheus and deploy/grafana")

// copies are the files for installations without the chart.
var copies = map[string]string{
	"deploy/helm/authgate/files/alerts.yaml":    "deploy/prometheus/alerts.yaml",
	"deploy/helm/authgate/files/dashboard.json": "deploy/grafana/authgate.json",
}

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFilesAreThoseOfTheChart(t *testing.T) {
	t.Parallel()
	for of, name := range copies {
		text := read(t, of)
		if *update {
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if read(t, name) != text {
			t.Errorf("%s differs from %s: go test ./alerts -update copies it", name, of)
		}
	}
}

// rule is an alert of the file.
type rule struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

func rules(t testing.TB) (all []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("%d alerts were found", len(all))
	}
	return all
}

// promtool runs a program of Debian's package prometheus in a folder with the rules.
func promtool(t testing.TB, dir string, args ...string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "alerts.yaml"), []byte(read(t, "deploy/prometheus/alerts.yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("promtool %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestAlertsFireWhenTheyShouldAndAreSilentOtherwise(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const name = "alerts.test.yaml"
	tests, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), tests, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "alerts.yaml")
	promtool(t, dir, "test", "rules", name)
	for _, r := range rules(t) {
		if !strings.Contains(string(tests), r.Alert) {
			t.Errorf("testdata/%s does not make %s fire", name, r.Alert)
		}
	}
}

func TestEachAlertHasARunbook(t *testing.T) {
	t.Parallel()
	headings := map[string]bool{}
	runbooks := read(t, "docs/runbooks.md")
	for _, match := range regexp.MustCompile(`(?m)^## (Authgate\w+)$`).FindAllStringSubmatch(runbooks, -1) {
		headings[match[1]] = true
	}
	for _, r := range rules(t) {
		if !headings[r.Alert] {
			t.Errorf("docs/runbooks.md has no section for %s", r.Alert)
		}
		delete(headings, r.Alert)
		const page = "https://github.com/example-org/authgate/blob/main/docs/runbooks.md#"
		if got, want := r.Annotations["runbook_url"], page+strings.ToLower(r.Alert); got != want {
			t.Errorf("%s: runbook_url %s, want %s", r.Alert, got, want)
		}
		if severities := []string{"critical", "warning", "info"}; !slices.Contains(severities, r.Labels["severity"]) {
			t.Errorf("%s: severity %q is none of %q", r.Alert, r.Labels["severity"], severities)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what has happened", r.Alert)
		}
	}
	for _, left := range slices.Sorted(maps.Keys(headings)) {
		t.Errorf("docs/runbooks.md has a section for %s, which is no alert", left)
	}
	for _, part := range []string{"**Users see**", "**Look at**", "**Do**"} {
		if got, want := strings.Count(runbooks, part), len(rules(t)); got != want {
			t.Errorf("%d sections have %s, want %d", got, part, want)
		}
	}
}

// dashboard is what is used here of Grafana's JSON.
type dashboard struct {
	UID        string
	ID         *int
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
	Panels []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

func grafana(t testing.TB) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/authgate.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions are those of the dashboard, with numbers for its variables.
func (d dashboard) expressions() (all []string) {
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m")
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			all = append(all, variables.Replace(target.Expr))
		}
	}
	for _, annotation := range d.Annotations.List {
		all = append(all, variables.Replace(annotation.Expr))
	}
	return all
}

func TestDashboardCanBeImported(t *testing.T) {
	t.Parallel()
	d := grafana(t)
	if d.UID == "" || len(d.UID) > 40 || d.ID != nil {
		t.Errorf("uid %q, id %v: Grafana wants a short uid and no id", d.UID, d.ID)
	}
	if list := d.Templating.List; len(list) == 0 || list[0].Type != "datasource" || list[0].Query != "prometheus" {
		t.Errorf("the first variable is %+v, want the data source", list)
	}
	ids, places := map[int]bool{}, map[[2]int]bool{}
	for _, panel := range d.Panels {
		place := [2]int{panel.GridPos.X, panel.GridPos.Y}
		if ids[panel.ID] || places[place] || panel.GridPos.X+panel.GridPos.W > 24 {
			t.Errorf("panel %q shares its id %d or its place %v, or is too wide", panel.Title, panel.ID, place)
		}
		ids[panel.ID], places[place] = true, true
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
	}
}

func TestExpressionsOfTheDashboardParse(t *testing.T) {
	t.Parallel()
	type recording struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	type group struct {
		Name  string      `json:"name"`
		Rules []recording `json:"rules"`
	}
	recordings := group{Name: "dashboard"}
	for i, expr := range grafana(t).expressions() {
		recordings.Rules = append(recordings.Rules, recording{"panel:" + strconv.Itoa(i), expr})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []group{recordings}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dashboard.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "dashboard.yaml")
}
