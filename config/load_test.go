package config_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/fault"
)

var update = flag.Bool("update", false, "rewrite the .want files")

// glob fails where a folder has moved and a test would run on nothing.
func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files (%v)", pattern, err)
	}
	return files
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGoodFilesLoad(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "testdata/good-*.yaml") {
		if _, err := config.Load(file); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// TestBadFilesAreRefusedWithAllTheirFaults compares with the .want file next to
// each; go test ./config -update writes them, and the diff is what to review.
func TestBadFilesAreRefusedWithAllTheirFaults(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "testdata/bad-*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			c, err := config.Parse(filepath.Base(file), read(t, file))
			if c != nil {
				t.Error("a configuration was returned along with the faults")
			}
			var faults fault.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("error %T %v, want fault.Faults", err, err)
			}
			got := faults.Error() + "\n"
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is in a fault:\n%s", got)
			}
			wanted := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(wanted, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(read(t, wanted)); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func TestRelativePathsAreRelativeToTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := `
issuer: {url: https://dex.example.com, clientID: {file: id}, clientSecret: {env: SECRET}, caFile: ca/dex.crt}
session: {keys: {file: /abs/keys}}
policy: {files: [policy.csv, /abs/policy.csv], shadow: [next.csv]}
audit: {output: audit.jsonl}
upstreams: [{name: a, hosts: [a.example.com], url: "https://a", caFile: ../a.crt}]
`
	write(t, filepath.Join(dir, "sub", "authgate.yaml"), text)
	c, err := config.Load(filepath.Join(dir, "sub", "authgate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []struct{ got, want string }{
		{c.Issuer.ClientID.Source(), "file " + filepath.Join(dir, "sub/id")},
		{c.Issuer.CAFile, filepath.Join(dir, "sub/ca/dex.crt")},
		{c.Session.Keys.Source(), "file /abs/keys"},
		{c.Policy.Files[0], filepath.Join(dir, "sub/policy.csv")},
		{c.Policy.Files[1], "/abs/policy.csv"},
		{c.Policy.Shadow[0], filepath.Join(dir, "sub/next.csv")},
		{c.Audit.Output, filepath.Join(dir, "sub/audit.jsonl")},
		{c.Upstreams[0].CAFile, filepath.Join(dir, "a.crt")},
	} {
		if path.got != path.want {
			t.Errorf("got %s, want %s", path.got, path.want)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenIsWhatIsLoaded(t *testing.T) {
	t.Parallel()
	c, err := config.Load("testdata/good-helm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var proxies []string
	for _, p := range c.TrustedProxies {
		proxies = append(proxies, p.String())
	}
	for _, value := range []struct{ what, got, want string }{
		{"a key without a value", c.Listen, ":8080"},
		{"a section that is null", c.Audit.Output, "stdout"},
		{"adminListen", c.AdminListen, ":9090"},
		{"clientID", c.Issuer.ClientID.Source(), "environment variable CLIENT_ID"},
		{"clockSkew", c.Issuer.ClockSkew.String(), "0s"},
		{"lifetime", c.Session.Lifetime.String(), "12h"},
		{"idle", c.Timeouts.Idle.String(), "1m15s"},
		{"proxies", strings.Join(proxies, " "), "10.0.0.0/16 10.1.0.7/32 fd00::/8"},
		{"names", strings.Join(c.UpstreamNames(), " "), "argocd"},
		{"url", c.Upstreams[0].URL.String(), "http://argocd-server.argocd.svc:80"},
		{"kind", string(c.Upstreams[0].Kind), "argo-cd"},
		{"path", c.Upstreams[0].Path, "/"},
		{"credential", string(c.Upstreams[0].Identity.Credential), "none"},
	} {
		if value.got != value.want {
			t.Errorf("%s: got %q, want %q", value.what, value.got, value.want)
		}
	}
	if c.Upstreams[0].Identity.Headers != config.HeadersBoth {
		t.Error("identity headers are off where nothing was written")
	}

	c, err = config.Load("testdata/good-anchors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if b := c.Upstreams[1]; b.Identity.Headers != config.HeadersNone || len(b.Hosts) != 2 || b.Hosts[1] != "b.example.com" {
		t.Errorf("aliases were not followed: %+v", b)
	}
}

func TestAMissingFileIsNotAFaultInIt(t *testing.T) {
	t.Parallel()
	c, err := config.Load(filepath.Join(t.TempDir(), "authgate.yaml"))
	if !errors.Is(err, fs.ErrNotExist) || c != nil {
		t.Errorf("got %v, %v; want an error that is fs.ErrNotExist", c, err)
	}
}

func TestAFolderIsNoConfiguration(t *testing.T) {
	t.Parallel()
	_, err := config.Load(t.TempDir())
	if err == nil || !strings.HasSuffix(err.Error(), " is a directory; name the file in it") {
		t.Errorf("got %v", err)
	}
}

func TestAPolicyIsNoConfiguration(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"p, role:a, argocd, /**, GET, allow\n",
		"# viewers: all\n\ng, \"a: b\", role:dev\np, role:dev, argocd, /**, GET, allow # x: y\n",
		"\ufeffg, example-org:x, role:a\r\np, role:a, \"*\", /**, *, allow\r\n",
		"g , x, role:a\n  p, role:a, *, /**, *, allow\n",
		"kind: x\np,role:a,argocd,/**,GET,allow\n",
	} {
		_, err := config.Parse("policy.csv", []byte(text))
		const want = "policy.csv: the file is a policy and not a configuration; name it with --policy, or write it below policy: in authgate.yaml"
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestAnchorsCannotGrowWithoutBound(t *testing.T) {
	t.Parallel()
	text := "upstreams:\n- &u {hosts: &h [" + strings.Repeat("a, ", 1000) + "a]}\n" + strings.Repeat("- *u\n", 10_000)
	_, err := config.Parse("authgate.yaml", []byte(text))
	if err == nil || !strings.Contains(err.Error(), "the file holds more than 50000 values") {
		t.Errorf("got %.300v", err)
	}
}

func TestALargeFileIsRefused(t *testing.T) {
	t.Parallel()
	_, err := config.Parse("disk.img", make([]byte, 2<<20))
	if err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse holds every file to three promises: no panic, either a configuration
// or faults and never both, and each fault names the file.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good-*.yaml", "testdata/bad-*.yaml", "reference.yaml"} {
		for _, file := range glob(f, pattern) {
			f.Add(read(f, file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("authgate.yaml", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("configuration %v, error %v", c, err)
		}
		if err == nil {
			if c.Issuer.URL == "" || c.Session.Keys.IsZero() || len(c.UpstreamNames()) == 0 || c.Upstreams[0].URL == nil {
				t.Errorf("loaded without what is required: %+v", c)
			}
			return
		}
		var faults fault.Faults
		if !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("error %T, want faults", err)
		}
		for _, one := range faults {
			if one.File != "authgate.yaml" || one.Message == "" || one.Line < 0 {
				t.Errorf("a fault that does not help: %#v", one)
			}
		}
	})
}
