package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/fault"
)

// misplaced are secrets in the place of a name or a path. Each holds hunter2.
var misplaced = []string{
	`{env: "hunter2"}`,
	`{env: "hunter2-Hunter2/abc+def=="}`,
	`{env: "redis://user:hunter2@redis:6379"}`,
	`{env: "AUTHGATE hunter2"}`,
	`{env: "AUTHGATE=hunter2"}`,
	`{env: "hünter-hunter2"}`,
	`{env: [hunter2]}`,
	`{file: "Zm9vYmFy9hunter2K"}`,
	`{file: "rediss://user:hunter2@redis.example.com/0"}`,
	`{file: "-----BEGIN PRIVATE KEY-----hunter2"}`,
	"{file: \"one\\nhunter2\"}",
	`{file: "eyJhbGciOiJub25lIn0.hunter2.c2ln"}`,
	`{file: "/` + strings.Repeat("hunter2", 40) + `"}`,
	`{file: "hunter20123456789abcdefABCDEF="}`,
	`{hunter2: }`,
	`{hunter2: x, hunter2: y}`,
	`{env: NAME, hunter2: }`,
	`{env: A, file: hunter2}`,
	`!hunter2 x`,
	`*hunter2`,
	`[hunter2]`,
	`{envhunter2: x}`,
}

func TestASecretInThePlaceOfANameIsNotShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, key := range []string{"clientID", "clientSecret", "keys", "adminToken", "url"} {
		for _, value := range misplaced {
			values := map[string]string{"clientID": "a", "clientSecret": "b", "keys": "c", "adminToken": "d", "url": "e"}
			values[key] = value
			c, err := config.Parse(filepath.Join(dir, "authgate.yaml"), []byte(`
issuer: {url: https://dex.example.com, clientID: `+values["clientID"]+`, clientSecret: `+values["clientSecret"]+`}
session: {keys: `+values["keys"]+`, store: redis, redis: {url: `+values["url"]+`}}
adminToken: `+values["adminToken"]+`
upstreams: [{name: a, hosts: [a.example.com], url: "http://a"}]
`))
			var faults fault.Faults
			switch {
			case errors.As(err, &faults) && faults[0].Line == 0:
				t.Errorf("%s: %s: no line in %v", key, value, err)
			case err == nil:
				secrets := map[string]config.Secret{
					"clientID": c.Issuer.ClientID, "clientSecret": c.Issuer.ClientSecret, "keys": c.Session.Keys,
					"adminToken": c.AdminToken, "url": c.Session.Redis.URL,
				}
				if _, err = secrets[key].Reveal(); err == nil {
					t.Errorf("%s: %s: it was found", key, value)
				} else if !strings.Contains(err.Error(), "characters, not shown") || !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: %s: %v", key, value, err)
				}
				if source := secrets[key].Source(); strings.Contains(strings.ToLower(source), "hunter2") {
					t.Errorf("%s: %s: the source is %s", key, value, source)
				}
			}
			if err != nil && strings.Contains(strings.ToLower(err.Error()), "hunter2") {
				t.Errorf("%s: %s: the secret is in %v", key, value, err)
			}
		}
	}
}

func TestNamesAndPathsAreShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for value, want := range map[string]string{
		`{env: AUTHGATE_CLIENT_SECRET_2}`:                    "AUTHGATE_CLIENT_SECRET_2",
		`{file: client-secret}`:                              "client-secret",
		`{file: secrets/authgate-client-secret-2026}`:        "authgate-client-secret-2026",
		`{file: /etc/authgate/..data/Session.Keys2}`:         "/etc/authgate/..data/Session.Keys2",
		`{file: ./0123456789abcdef0123456789abcdef}`:         "0123456789abcdef0123456789abcdef",
		`{file: /run/0123456789abcdef0123456789abcdef/keys}`: "/run/0123456789abcdef0123456789abcdef/keys",
	} {
		_, err := withSecrets(t, dir, "a", value, "c").Issuer.ClientSecret.Reveal()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestAKeyInThePlaceOfItsFileIsNotShown(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"tls: {certFile: tls.crt, keyFile: \"-----BEGIN PRIVATE KEY-----\\nhunter2\"}",
		`tls: {certFile: tls.crt, keyFile: "` + strings.Repeat("hunter2", 40) + `"}`,
		`policy: {files: ["p, hunter2\n"]}`,
	} {
		_, err := config.Parse("authgate.yaml", []byte(line+`
issuer: {url: https://dex.example.com, clientID: a, clientSecret: b}
session: {keys: c}
upstreams: [{name: a, hosts: [a.example.com], url: "http://a"}]
`))
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "is not a path") {
			t.Errorf("%.60s: %v", line, err)
		}
	}
}
