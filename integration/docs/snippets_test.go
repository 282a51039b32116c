package docs

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// complete is what a snippet of authgate.yaml needs around it.
const complete = `
issuer: {url: https://argo-cd.example.com/api/dex, clientID: authgate, clientSecret: not-shown}
session: {keys: {env: KEYS}}
policy: {files: [rows.csv]}
upstreams: [{name: argocd, hosts: [argo-cd.example.com], url: http://argocd-server.argocd.svc:80}]
`

// TestSnippetsOfAuthgateYAMLLoad: a block that consists of keys of authgate.yaml passes
// config check when the rest is filled in.
func TestSnippetsOfAuthgateYAMLLoad(t *testing.T) {
	t.Parallel()
	bin := authgate(t)
	out, _ := run(t, bin, t.TempDir(), "config", "schema")
	var keys schema
	if err := json.Unmarshal([]byte(out), &keys); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range append(pages, filepath.Join(root, "README.md")) {
		page := strings.TrimPrefix(file, root+"/")
		for _, fence := range block.FindAllStringSubmatch(read(t, page), -1) {
			if fence[1] != "yaml" || fence[2] != "" {
				continue
			}
			var snippet map[string]any
			if yaml.Unmarshal([]byte(fence[3]), &snippet) != nil || !keys.hasAll(snippet) {
				continue // another file, or a part of one
			}
			checked++
			checkSnippet(t, bin, page, snippet)
		}
	}
	if checked < 10 {
		t.Errorf("only %d snippets", checked)
	}
}

func (s schema) hasAll(snippet map[string]any) bool {
	for key := range snippet {
		if !s.has(key) {
			return false
		}
	}
	return len(snippet) > 0
}

func checkSnippet(t *testing.T, bin, page string, snippet map[string]any) {
	t.Helper()
	var config map[string]any
	if err := yaml.Unmarshal([]byte(complete), &config); err != nil {
		t.Fatal(err)
	}
	for key, value := range snippet {
		part, isMap := value.(map[string]any)
		around, hadMap := config[key].(map[string]any)
		if _, watched := part["configMap"]; !isMap || !hadMap || watched { // instead of files
			config[key] = value
			continue
		}
		maps.Copy(around, part)
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "authgate.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	check := exec.Command(filepath.Join(bin, "authgate"), "config", "check")
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s\n%s", page, err, out, text)
	}
}
