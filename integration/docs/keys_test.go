package docs

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dottedKey is a key of authgate.yaml as the pages write it: `session.cookie.domain`.
var dottedKey = regexp.MustCompile("`([a-z][A-Za-z]*(?:\\[\\])?(?:\\.[a-z][A-Za-z]*(?:\\[\\])?)+)(?::[^`]*)?`")

// notKeys begin like a key of authgate.yaml: files, members of /readyz, keys of Argo CD.
var notKeys = regexp.MustCompile(`^(policy\.(csv|refused|hash|default|matchMode)|tls\.(crt|key))$`)

// TestKeysOfThePagesExist: a key of authgate.yaml that a page names is one. Keys of an
// upstream may be named without upstreams[], as in `identity.headers`.
func TestKeysOfThePagesExist(t *testing.T) {
	t.Parallel()
	out, _ := run(t, authgate(t), t.TempDir(), "config", "schema")
	var config schema
	if err := json.Unmarshal([]byte(out), &config); err != nil {
		t.Fatal(err)
	}
	upstream := config.Properties["upstreams"].Items
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, file := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "SECURITY.md")) {
		page := strings.TrimPrefix(file, root+"/")
		for _, match := range dottedKey.FindAllStringSubmatch(read(t, page), -1) {
			key := match[1]
			first, _, _ := strings.Cut(key, ".")
			first = strings.TrimSuffix(first, "[]")
			_, isKey := config.Properties[first]
			_, isUpstreamKey := upstream.Properties[first]
			if !isKey && !isUpstreamKey || notKeys.MatchString(key) {
				continue
			}
			keys++
			if !config.has(key) && !upstream.has(key) {
				t.Errorf("%s: authgate.yaml has no key %s", page, key)
			}
		}
	}
	if keys < 100 {
		t.Errorf("only %d keys", keys)
	}
}
