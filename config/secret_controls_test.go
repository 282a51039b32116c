package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
)

func TestLineEndsBehindASecretAreNoPartOfIt(t *testing.T) {
	for name, text := range map[string]string{"newline": "s3cret\n", "CRLF": "s3cret\r\n", "several": "s3cret\n\n", "none": "s3cret"} {
		t.Setenv("OF_THIS_TEST", text)
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, source := range []string{"{env: OF_THIS_TEST}", "{file: " + file + "}"} {
			if got, err := withSecrets(t, "", "authgate", source, "hunter2").Issuer.ClientSecret.Reveal(); got != "s3cret" || err != nil {
				t.Errorf("%s of %s: %q, %v", name, source, got, err)
			}
		}
	}
}

func TestAControlCharacterInASecretIsAFault(t *testing.T) {
	for name, text := range map[string]string{
		"newline within": "s3\ncret", "tab": "s3cret\t", "carriage return within": "s3\rcret", "escape": "\x1bs3cret", "DEL": "s3\x7fcret", "C1": "s3\u0085cret", "BOM": "\ufeffs3cret",
	} {
		t.Setenv("OF_THIS_TEST", text)
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, source := range []string{"{env: OF_THIS_TEST}", "{file: " + file + "}"} {
			_, err := withSecrets(t, "", "authgate", source, "hunter2").Issuer.ClientSecret.Reveal()
			if err == nil || !strings.Contains(err.Error(), "holds a control character") || strings.Contains(err.Error(), "s3") {
				t.Errorf("%s of %s: %v", name, source, err)
			}
		}
	}
}

func TestAControlCharacterInAPlainIDOrURLIsAFaultWithItsPlace(t *testing.T) {
	t.Parallel()
	for name, yaml := range map[string]string{
		"id":         `issuer: {url: "https://dex.example.com", clientID: "auth\ngate", clientSecret: s}`,
		"secret":     `issuer: {url: "https://dex.example.com", clientID: authgate, clientSecret: "s\n"}`,
		"URL":        `issuer: {url: "https://dex.example.com\n", clientID: authgate, clientSecret: s}`,
		"C1 in URL":  `issuer: {url: "https://dex.example.com/\u0085", clientID: authgate, clientSecret: s}`,
		"escaped":    `issuer: {url: "https://dex.example.com/%0a", clientID: authgate, clientSecret: s}`,
		"other way":  `issuer: {url: "https://dex.example.com", backchannelURL: "http://dex\t:5556", clientID: authgate, clientSecret: s}`,
		"audience":   `issuer: {url: "https://dex.example.com", audiences: ["argo-cd\n"], clientID: authgate, clientSecret: s}`,
		"of bearer":  `{bearer: [{issuer: "https://ci.example.com", audience: "a\n"}], issuer: {url: "https://dex.example.com", clientID: authgate, clientSecret: s}}`,
		"groups of":  `issuer: {url: "https://dex.example.com", groupsClaim: "groups\n", clientID: authgate, clientSecret: s}`,
		"of bearers": `{bearer: [{issuer: "https://ci.example.com\n", audience: a}], issuer: {url: "https://dex.example.com", clientID: authgate, clientSecret: s}}`,
	} {
		text := strings.TrimSuffix(strings.TrimPrefix(yaml, "{"), "}")
		if !strings.HasPrefix(yaml, "{") {
			text = yaml
		} else {
			text = strings.Replace(text, ", issuer: {url: \"https://dex", "\nissuer: {url: \"https://dex", 1)
		}
		_, err := config.Parse("authgate.yaml", []byte(text+"\nsession: {keys: hunter2}\nupstreams: [{name: a, hosts: [a.example.com], url: \"http://a\"}]\n"))
		if err == nil || !strings.Contains(err.Error(), "authgate.yaml:1:") && !strings.Contains(err.Error(), "authgate.yaml:2:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
