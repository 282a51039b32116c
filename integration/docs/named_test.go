package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dexidp/dex/connector/github"
	"github.com/dexidp/dex/storage"
	"sigs.k8s.io/yaml"
)

// writeNamed writes the blocks of a page that name a file (```yaml authgate.yaml), and
// returns their names.
func writeNamed(t *testing.T, dir, page string) map[string]string {
	t.Helper()
	named := map[string]string{}
	for _, fence := range block.FindAllStringSubmatch(read(t, page), -1) {
		name, body := fence[2], fence[3]
		if name == "" {
			continue
		}
		named[name] = body
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return named
}

// TestNamedConfigurationsAreValid: a page that shows a whole authgate.yaml shows one that
// loads, together with its policy.
func TestNamedConfigurationsAreValid(t *testing.T) {
	t.Parallel()
	bin := authgate(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range pages {
		page, dir := "docs/"+filepath.Base(file), t.TempDir()
		named := writeNamed(t, dir, page)
		if _, has := named["authgate.yaml"]; !has {
			continue
		}
		checked++
		if out, code := run(t, bin, dir, "config", "check"); code != 0 {
			t.Errorf("%s: exit %d: %s", page, code, out)
		}
		if _, has := named["policy.csv"]; !has {
			continue
		}
		if out, code := run(t, bin, dir, "policy", "lint", "--config", "authgate.yaml"); code != 0 {
			t.Errorf("%s: lint: exit %d: %s", page, code, out)
		}
	}
	if checked < 2 {
		t.Errorf("only %d pages show an authgate.yaml", checked)
	}
}

// TestDexReadsTheConnectorOfThePage compares docs/github.md with the types of Dex, and the
// client with authgate.yaml.
func TestDexReadsTheConnectorOfThePage(t *testing.T) {
	t.Parallel()
	named := writeNamed(t, t.TempDir(), "docs/github.md")
	var dex struct {
		Issuer     string
		Connectors []struct {
			Type   string
			Config map[string]any
		}
		StaticClients []storage.Client
	}
	if err := yaml.Unmarshal([]byte(named["dex.yaml"]), &dex); err != nil {
		t.Fatal(err)
	}
	config, err := yaml.Marshal(dex.Connectors[0].Config)
	if err != nil {
		t.Fatal(err)
	}
	connector := strictly[github.Config](t, string(config))
	if dex.Connectors[0].Type != "github" || connector.RedirectURI != dex.Issuer+"/callback" || len(connector.Orgs[0].Teams) != 0 ||
		connector.TeamNameField != "slug" {
		t.Errorf("%+v", connector)
	}
	gate := strictly[map[string]any](t, named["authgate.yaml"])
	issuer := gate["issuer"].(map[string]any)
	client := dex.StaticClients[0]
	if issuer["url"] != dex.Issuer || issuer["clientID"] != client.ID || client.SecretEnv == "" {
		t.Errorf("authgate is %v, Dex knows %+v", issuer, client)
	}
	for _, u := range gate["upstreams"].([]any) {
		host := u.(map[string]any)["hosts"].([]any)[0].(string)
		if !strings.Contains(strings.Join(client.RedirectURIs, " "), "https://"+host+"/oauth2/callback") {
			t.Errorf("Dex does not know the callback on %s: %q", host, client.RedirectURIs)
		}
	}
	if peer := dex.StaticClients[1]; !peer.Public || client.TrustedPeers[0] != peer.ID {
		t.Errorf("%+v trusts %q", peer, client.TrustedPeers)
	}
}
