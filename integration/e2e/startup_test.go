package e2e_test

import (
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/stage"
)

func TestIssuerThatComesLateDelaysReadinessOnly(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoDex: true})

	for _, at := range []string{s.Admin, s.ArgoCD, "http://127.0.0.1:" + port(s.ArgoCD)} {
		if a := curl(t, at+"/healthz"); a.Status != http.StatusOK {
			t.Errorf("%s/healthz: %d %s", at, a.Status, shown(a))
		}
		a := curl(t, at+"/readyz")
		if a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, "issuer") {
			t.Errorf("%s/readyz: %d %q, want 503 and why", at, a.Status, shown(a))
		}
	}
	a := open(t, arrive(t, s, "alice"), s.ArgoCD+"/")
	if a.Status != http.StatusServiceUnavailable && a.Status != http.StatusBadGateway {
		t.Errorf("a login meanwhile: %d at %s", a.Status, a.URL)
	}
	wantPage(t, a, a.Status)

	if err := s.StartDex(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness", func() bool { return s.Ready(t.Context()) == nil })
	wantPage(t, open(t, arrive(t, s, "alice"), s.ArgoCD+"/"), http.StatusOK, "alice")
}

func TestReadinessStaysWhenTheIssuerGoes(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := signedIn(t, s, "alice")
	if err := s.Dex.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	wantPage(t, open(t, alice, s.ArgoCD+"/"), http.StatusOK, "alice")
}

func TestIssuerWithNewKeysLogsPeopleIn(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := signedIn(t, s, "alice")
	if err := s.Dex.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.StartDex(t.Context()); err != nil { // memory storage: keys are new
		t.Fatal(err)
	}
	wantPage(t, open(t, arrive(t, s, "bob"), s.ArgoCD+"/"), http.StatusOK, "bob")
	wantPage(t, open(t, alice, s.ArgoCD+"/"), http.StatusOK, "alice")
}

func TestStartUntilReadyIsInTheLog(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	line := regexp.MustCompile(`msg=ready startup=\d`)
	eventually(t, "a line that says how long it took to be ready", func() bool {
		log, err := s.Files.ReadLog()
		return err == nil && line.MatchString(log)
	})
}

func TestPlainHTTPIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	signedIn(t, s, "alice")
	signedIn(t, s, "bob")
	log, err := s.Files.ReadLog()
	if err != nil {
		t.Fatal(err)
	}
	warnings := 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, "WARN") && strings.Contains(line, "http") && strings.Contains(strings.ToLower(line), "secure") {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("the log warns %d times of cookies on plain http, want once:\n%s", warnings, log)
	}
}

// refusesToStart runs authgate on a configuration that does not load.
func refusesToStart(t *testing.T, s *stage.Stage) (code int, said string) {
	t.Helper()
	if err := s.StartAuthgate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code, err := s.Authgate.ExitCode(ctx)
	if err != nil {
		t.Fatal(err)
	}
	said, err = s.Files.ReadLog()
	if err != nil {
		t.Fatal(err)
	}
	return code, said
}

func TestConfigurationThatDoesNotLoadEndsWithThreeAndSaysWhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		old, new string // in authgate.yaml
		says     []string
	}{
		{"issuer with a trailing slash", "/api/dex\n", "/api/dex/\n", []string{"authgate.yaml:", "trailing slash"}},
		{"misspelt key", "issuer:\n", "isuer:\n", []string{"authgate.yaml:", "isuer", "issuer"}},
		{"missing keys file", "/session-keys}", "/no-such-keys}", []string{"no-such-keys"}},
		{"missing candidate policy", "policy:\n", "policy:\n  shadow: [no-such-candidate.csv]\n", []string{"no-such-candidate.csv"}},
		{"two upstreams of one name", "name: workflows", "name: argocd", []string{"authgate.yaml:", "argocd"}},
		{"policy of an unknown upstream", "name: workflows", "name: flows", []string{"policy.csv:", "workflows"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := set(t, stage.Options{NoDex: true, NoAuthgate: true, Config: func(yaml string, _ stage.Files) string {
				changed := strings.Replace(yaml, c.old, c.new, 1)
				if changed == yaml {
					t.Errorf("%q is not in:\n%s", c.old, yaml)
				}
				return changed
			}})
			code, said := refusesToStart(t, s)
			if code != 3 {
				t.Errorf("exit code %d, want 3", code)
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q: %s", want, said)
				}
			}
		})
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	log := filepath.Join(t.TempDir(), "second.log")
	second, err := program.Start(t.Context(), program.Command{
		Name: "second authgate", Path: binaries.Authgate, Args: []string{"serve", "--config", s.Files.Config},
		Stdout: log, Stderr: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code, err := second.ExitCode(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if said := second.Tail(20); code == 0 || !strings.Contains(said, port(s.ArgoCD)) && !strings.Contains(said, port(s.Admin)) {
		t.Errorf("exit code %d, and it says: %s", code, said)
	}
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }
