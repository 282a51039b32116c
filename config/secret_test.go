package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/config"
)

// withSecrets loads a file whose three secrets are written as given.
func withSecrets(t *testing.T, dir, id, secret, keys string) *config.Config {
	t.Helper()
	c, err := config.Parse(filepath.Join(dir, "authgate.yaml"), []byte(`
issuer: {url: https://dex.example.com, clientID: `+id+`, clientSecret: `+secret+`}
session: {keys: `+keys+`}
upstreams: [{name: a, hosts: [a.example.com], url: "http://a"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	c := withSecrets(t, "", "hunter2", "hunter2", "hunter2")
	hidden := struct{ config *config.Secret }{&c.Issuer.ClientSecret}
	unexported := struct{ secret config.Secret }{c.Issuer.ClientSecret}

	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%p", "%o"} {
		for _, value := range []any{*c, c, c.Issuer, c.Issuer.ClientSecret, &c.Issuer.ClientSecret, hidden, unexported} {
			fmt.Fprintf(&printed, verb+"\n", value)
		}
	}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("loaded", "config", c, "secret", c.Issuer.ClientSecret, "issuer", c.Issuer)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&printed, "%s%s%s%s", log.Bytes(), asJSON, asYAML, c.Issuer.ClientSecret)

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%t"} {
		if got := fmt.Sprintf(verb, c.Issuer.ClientSecret); got != "[redacted]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2")} {
		for line := range strings.Lines(printed.String()) {
			if strings.Contains(line, leak) {
				t.Errorf("%s is in %s", leak, line)
			}
		}
	}
	for _, text := range []string{log.String(), string(asJSON), string(asYAML), fmt.Sprint(c.Issuer.ClientSecret)} {
		if !strings.Contains(text, "[redacted]") {
			t.Errorf("no [redacted] in %s", text)
		}
	}
}

func TestASecretIsReadWhenItIsAskedFor(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("AUTHGATE_TEST_SECRET", "from-env")
	c := withSecrets(t, dir, "plain", "{env: AUTHGATE_TEST_SECRET}", "{file: keys}")
	write(t, filepath.Join(dir, "keys"), "one\ntwo\r\n\n") // after Load: it opens no other file

	for secret, want := range map[config.Secret][2]string{
		c.Issuer.ClientID:     {"plain", "the configuration"},
		c.Issuer.ClientSecret: {"from-env", "environment variable AUTHGATE_TEST_SECRET"},
		c.Session.Keys:        {"one\ntwo", "file " + filepath.Join(dir, "keys")},
	} {
		value, err := secret.Reveal()
		if err != nil || value != want[0] || secret.Source() != want[1] || secret.IsZero() {
			t.Errorf("%q from %q, %v; want %q", value, secret.Source(), err, want)
		}
	}

	write(t, filepath.Join(dir, "keys"), "three\n")
	if value, err := c.Session.Keys.Reveal(); value != "three" || err != nil {
		t.Errorf("after the file changed: %q, %v", value, err)
	}
}

func TestASecretThatIsNotThereIsAnErrorWithItsKeyAndSource(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), "\n")
	t.Setenv("AUTHGATE_TEST_BLANK", " ")
	for source, want := range map[string]string{
		"{file: nowhere}":               "session.keys: file " + filepath.Join(dir, "nowhere") + ": no such file or directory",
		"{file: empty}":                 "session.keys: file " + filepath.Join(dir, "empty") + " holds nothing",
		"{env: AUTHGATE_TEST_NOT_SET}":  "session.keys: environment variable AUTHGATE_TEST_NOT_SET is not set",
		"{env: AUTHGATE_TEST_BLANK}":    "session.keys: environment variable AUTHGATE_TEST_BLANK holds nothing",
		`"  "`:                          "session.keys: the configuration holds nothing",
		"{file: null, env: NOT_SET_II}": "session.keys: environment variable NOT_SET_II is not set",
	} {
		c := withSecrets(t, dir, "a", "b", source)
		value, err := c.Session.Keys.Reveal()
		if err == nil || err.Error() != want || value != "" {
			t.Errorf("%s: got %q, %v; want %s", source, value, err, want)
		}
		if strings.Contains(source, "nowhere") && !os.IsNotExist(unwrapAll(err)) {
			t.Errorf("%s: %v does not wrap what os said", source, err)
		}
	}
	var none config.Secret
	if _, err := none.Reveal(); err == nil || !none.IsZero() {
		t.Errorf("a secret that is not configured: IsZero %v, error %v", none.IsZero(), err)
	}
}

func unwrapAll(err error) error {
	for {
		wrapped, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = wrapped.Unwrap()
	}
}
