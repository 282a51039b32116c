// Package presets_test tests the policies under examples/ with their case files and the
// commands in their READMEs, with the real binary.
package presets_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/example-org/authgate/integration/program"
)

const examples = "../../examples"

var presets = []string{"argo-cd", "argo-workflows"}

// askers are all for whom a route has a verdict: the three roles, by a team each,
// a signed-in user without a role, and an anonymous request.
var askers = []string{"example-org:argo", "example-org:dev", "example-org:release", "system:anonymous", "system:authenticated"}

// built is where authgate's binary is; the first test that wants it builds it.
var built func() (string, error)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "authgate-presets-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = sync.OnceValues(func() (string, error) { return program.Authgate(dir) })
	return m.Run()
}

// passes runs a command that has to end with 0.
func passes(t *testing.T, args ...string) {
	t.Helper()
	ends(t, 0, args...)
}

func ends(t *testing.T, code int, args ...string) {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != code {
		t.Errorf("authgate %s: exit code %d, want %d: %v\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), code, err, out)
	}
}

func policyOf(preset string) string { return filepath.Join(examples, preset, "policy.csv") }
func casesOf(preset string) string  { return filepath.Join(examples, preset, "cases.yaml") }

func TestEachPresetDecidesItsCasesAndEachRowDecidesOne(t *testing.T) {
	t.Parallel()
	for _, preset := range presets {
		passes(t, "policy", "test", "--policy", policyOf(preset), "--coverage-min", "100", casesOf(preset))
	}
}

// With a configuration it is known where an encoded slash passes: on every route
// of the cases that needs one, and on no other.
func TestAuthgateLetsEachRouteOfThePresetsThrough(t *testing.T) {
	t.Parallel()
	for kind, upstream := range map[string]string{"argo-cd": "argocd", "argo-workflows": "workflows"} {
		preset, err := filepath.Abs(policyOf(kind))
		if err != nil {
			t.Fatal(err)
		}
		config := fmt.Sprintf(`
issuer: {url: "https://dex.example.com", clientID: authgate, clientSecret: not-shown}
session: {keys: {env: UNUSED}}
policy: {files: [%q]}
upstreams: [{name: %s, hosts: [%s.example.com], url: "http://127.0.0.1:1", kind: %s}]
`, preset, upstream, upstream, kind)
		file := filepath.Join(t.TempDir(), "authgate.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		passes(t, "policy", "test", "--config", file, "--coverage-min", "100", casesOf(kind))
		passes(t, "policy", "lint", "--config", file)
		for path, code := range codedSlashes[kind] {
			ends(t, code, "policy", "can", "--config", file, "--group", "example-org:argo", "GET", upstream+":"+path)
		}
	}
}

// codedSlashes say whether an admin gets through: 0 yes, 1 no.
var codedSlashes = map[string]map[string]int{
	"argo-cd": {
		"/api/v1/clusters/https%3A%2F%2Fk%3A6443":                 0,
		"/api/v1/repositories/oci%3A%2F%2Fg%2Fx/apps/a%2Fb":       0,
		"/api/v1/repocreds/https%3A%2F%2Fg%2Fx":                   0,
		"/settings/clusters/https%3A%2F%2Fk":                      0,
		"/api/v1/clusters/https%3A%2F%2Fk/rotate-auth%2F":         1,
		"/api/v1/clusters/a%2F..%2Fb":                             1,
		"/api/v1%2Fclusters":                                      1,
		"/api/v1/clusters%2Fin-cluster":                           1,
		"/api/v1/applications/web%2Fsync":                         1,
		"/api/v1/write-repositories/https%3A%2F%2Fg%2Fx":          1,
		"/api/v1/repositories/x/appdetails%2Fy":                   1,
		"/cluster.ClusterService%2FGet":                           1,
		"/%61pi/v1/applications%2F":                               1,
		"/extensions/x/a%2Fb":                                     1,
		"/api/v1/projects/p%2Froles%2Fr":                          1,
		"/x/api/v1/clusters/https%3A%2F%2Fk":                      1,
		"/api/v1/clusters/https%3A%2F%2Fk/and/more":               1,
		"/api/v1/account/can-i/clusters/get/https%3A%2F%2Fk%2F*a": 1,
	},
	"argo-workflows": {
		"/api/v1/workflows/argo%2Fweb":       1,
		"/artifact-files/argo/workflows%2Fa": 1,
		"/api/v1/clusters/https%3A%2F%2Fk":   1,
	},
}

func TestPresetsGoTogether(t *testing.T) {
	t.Parallel()
	args := []string{"policy", "test", "--coverage-min", "100"}
	for _, preset := range presets {
		args = append(args, "--policy", policyOf(preset), casesOf(preset))
	}
	passes(t, args...)
}

func TestExamplesAreCleanAndInForm(t *testing.T) {
	t.Parallel()
	policies := findPolicies(t)
	for _, policy := range policies {
		passes(t, "policy", "lint", "--policy", policy)
	}
	passes(t, append([]string{"policy", "fmt", "--check"}, policies...)...)
	passes(t, "policy", "lint", "--policy", policyOf(presets[0]), "--policy", policyOf(presets[1]))
}

func findPolicies(t *testing.T) []string {
	var found []string
	err := filepath.WalkDir(examples, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "policy.csv" {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) <= len(presets) {
		t.Fatalf("found %v: %v", found, err)
	}
	return found
}

// user is one item of a case file.
type person struct {
	Name  string   `json:"name"`
	Who   string   `json:"who"`
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

func readCases(t *testing.T, preset string) []person {
	text, err := os.ReadFile(casesOf(preset))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []person }
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Cases
}

func TestEveryRouteHasADecisionForEveryRole(t *testing.T) {
	t.Parallel()
	for _, preset := range presets {
		asked := map[string][]string{}
		for _, p := range readCases(t, preset) {
			for _, request := range slices.Concat(p.Allow, p.Deny) {
				asked[request] = append(asked[request], p.Who)
			}
		}
		const fewest = 150 // HTTP and RPC
		if len(asked) < fewest {
			t.Errorf("%s has %d routes only", preset, len(asked))
		}
		for request, by := range asked {
			if slices.Sort(by); !slices.Equal(by, askers) {
				t.Errorf("%s: %s is asked by %v only", preset, request, by)
			}
		}
	}
}

// The short example and the presets name the same teams: who goes from the one to
// the others loses nothing.
func TestTheShortExampleAllowsNothingThatAPresetDenies(t *testing.T) {
	t.Parallel()
	for _, preset := range presets {
		var denied []person
		for _, p := range readCases(t, preset) {
			if p.Allow = nil; len(p.Deny) > 0 {
				denied = append(denied, p)
			}
		}
		text, err := json.Marshal(map[string][]person{"cases": denied}) // JSON is YAML
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), preset+".yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		passes(t, "policy", "test", "--policy", filepath.Join(examples, "policy.csv"), file)
	}
}

func TestCommandsInThePresetsReadmesPass(t *testing.T) {
	t.Parallel()
	for _, preset := range presets {
		commands := 0
		for line := range strings.Lines(readme(t, preset)) {
			if command, isCommand := strings.CutPrefix(line, "    authgate "); isCommand {
				commands++
				passes(t, strings.Fields(strings.ReplaceAll(command, "examples/", examples+"/"))...)
			}
		}
		if commands == 0 {
			t.Errorf("the README of %s shows no command", preset)
		}
	}
}

func readme(t *testing.T, preset string) string {
	text, err := os.ReadFile(filepath.Join(examples, preset, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRowsForOneNamespaceStayInIt(t *testing.T) {
	t.Parallel()
	_, rows, _ := strings.Cut(readme(t, "argo-workflows"), "```csv\n")
	rows, _, _ = strings.Cut(rows, "```")
	file := filepath.Join(t.TempDir(), "policy.csv")
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	for request, code := range map[string]int{
		"GET workflows:/api/v1/workflows/team-a":         0,
		"GET workflows:/api/v1/workflows/team-a/x/log":   0,
		"GET workflows:/api/v1/workflow-events/team-a":   0,
		"POST workflows:/api/v1/workflows/team-a/submit": 0,
		"GET workflows:/api/v1/workflows/":               1,
		"GET workflows:/api/v1/workflows/team-b":         1,
		"GET workflows:/api/v1/workflow-events/":         1,
		"POST workflows:/api/v1/workflows/team-a":        1,
		"POST workflows:/workflow.WorkflowService/Get":   1,
	} {
		method, target, _ := strings.Cut(request, " ")
		ends(t, code, "policy", "can", "--policy", file, "--role", "role:team-a", method, target)
	}
}
