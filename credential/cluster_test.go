package credential_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/credential"
)

var quiet = slog.New(slog.DiscardHandler)

// cluster is an API server, and what finds it by KUBECONFIG.
func cluster(t *testing.T, answer http.HandlerFunc) *credential.Cluster {
	t.Helper()
	server := httptest.NewTLSServer(answer) // client-go shows a token to no other
	t.Cleanup(server.Close)
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"a","contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],
"clusters":[{"name":"a","cluster":{"server":%q,"certificate-authority-data":%q}}],"users":[{"name":"a","user":{"token":"authgates-own-not-shown"}}]}`, server.URL, ca)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	return credential.NewCluster(quiet)
}

func TestATokenIsAskedForAsKubernetesWantsIt(t *testing.T) {
	c := cluster(t, func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			APIVersion, Kind string
			Spec             struct {
				ExpirationSeconds int64
				Audiences         []string
			}
		}
		text, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(text, &asked); err != nil || asked.APIVersion != "authentication.k8s.io/v1" || asked.Kind != "TokenRequest" ||
			asked.Spec.ExpirationSeconds != 3600 || asked.Spec.Audiences != nil {
			t.Errorf("%s, %v", text, err)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/namespaces/argo/serviceaccounts/argo-admin/token" || r.Header.Get("Authorization") != "Bearer authgates-own-not-shown" {
			t.Errorf("%s %s %q", r.Method, r.URL, r.Header)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"kind":"TokenRequest","status":{"token":"a.b.c","expirationTimestamp":%q}}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	got, err := c.ServiceAccount("argo", "argo-admin").Token(t.Context())
	if err != nil || got != "a.b.c" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEachFailureNamesItsFix(t *testing.T) {
	for name, test := range map[string]struct {
		status       int
		body, hinter string
	}{
		"no Role":              {403, "secret words", "create on serviceaccounts/token with resourceNames [argo-admin]"},
		"no account":           {404, "secret words", "Create ServiceAccount argo-admin in namespace argo"},
		"not known itself":     {401, "secret words", "automountServiceAccountToken"},
		"refused as it is":     {422, "secret words", "cannot be asked"},
		"broken":               {500, "secret words", "cannot be asked"},
		"garbage":              {201, "secret words", "cannot be asked"},
		"no end":               {201, `{"status":{"token":"secret words"}}`, "cannot be asked"},
		"of long ago":          {201, `{"status":{"token":"secretwords","expirationTimestamp":"2020-01-01T00:00:00Z"}}`, "cannot be asked"},
		"without end, and big": {201, `{"status":{"token":"` + strings.Repeat("x", 100<<10), "cannot be asked"},
		"a redirect":           {302, "secret words", "cannot be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://elsewhere.example.com")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			_, err := c.ServiceAccount("argo", "argo-admin").Token(t.Context())
			var hinter interface{ Hint() string }
			if !errors.As(err, &hinter) || !strings.Contains(hinter.Hint(), test.hinter) {
				t.Fatalf("%v", err)
			}
			if text := err.Error() + hinter.Hint(); strings.Contains(text, "secret") || strings.Contains(text, "not-shown") {
				t.Errorf("it repeats the response: %s", text)
			}
		})
	}
}

func TestWithoutAClusterItIsSaidWhereOneIsLookedFor(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent"))
	t.Setenv("HOME", t.TempDir())
	_, err := credential.NewCluster(quiet).ServiceAccount("argo", "argo-admin").Token(t.Context())
	var none *credential.NoClusterError
	if !errors.As(err, &none) || !strings.Contains(none.Hint(), "KUBECONFIG") {
		t.Errorf("%v", err)
	}
}

func TestATokenFileIsReadAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	source := credential.File(path, quiet)
	if _, err := source.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "tokenFile "+path) {
		t.Errorf("absent: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { source.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	swap := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	await := func(want string) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			got, _ := source.Token(t.Context())
			if got == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
	swap("  first.token\n")
	await("first.token")
	swap("second.token")
	await("second.token")
	swap("not a token")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := source.Token(t.Context()); got != "second.token" || err != nil {
		t.Errorf("while the file is gone: %q, %v", got, err)
	}
}
