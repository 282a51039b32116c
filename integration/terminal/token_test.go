package terminal_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"
)

func TestALoginByBrowserPrintsAnIDTokenAndKeepsIt(t *testing.T) {
	t.Parallel()
	h := newHome(t, "1h")
	token := h.login(t)
	if c := read(t, token); c.Email != "alice@example.com" || !slices.Equal(c.Groups, []string{"example-org:argo"}) || c.Audience != "authgate-cli" {
		t.Errorf("the token says %+v", c)
	}
	again, said := h.start(t).end(0)
	if again != token || said != "" {
		t.Errorf("the second time it is another one, or something is said: %s", said)
	}
	if _, said := h.start(t, "--logout").end(0); !strings.Contains(said, "1 cached token removed") {
		t.Errorf("said is %s", said)
	}
	if left, err := filepath.Glob(filepath.Join(h.dir, ".config/authgate/tokens/*.json")); err != nil || len(left) > 0 {
		t.Errorf("left are %q, %v", left, err)
	}
}

func TestTheBrowserIsOpenedWhereThereIsADisplay(t *testing.T) {
	t.Parallel()
	h := newHome(t, "1h")
	opened := filepath.Join(h.dir, "opened")
	check(t, os.WriteFile(filepath.Join(h.dir, "xdg-open"), []byte("#!/bin/sh\necho noise; echo noise >&2\necho \"$1\" > "+opened+"\n"), 0o700))
	h.more = []string{"DISPLAY=:0", "PATH=" + h.dir + string(os.PathListSeparator) + os.Getenv("PATH")}
	r := h.start(t)
	address := r.until("/auth?")
	for text, err := []byte(nil), error(nil); strings.TrimSpace(string(text)) != address; text, err = os.ReadFile(opened) {
		if t.Context().Err() != nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	_, err := h.alice(t).Open(t.Context(), address)
	check(t, err)
	token, said := r.end(0)
	if read(t, token); strings.Contains(said, "noise") {
		t.Errorf("said is %s", said)
	}
}

func TestALoginByCodePrintsAnIDTokenAndIsWhatHappensWithoutADisplay(t *testing.T) {
	t.Parallel()
	h := newHome(t, "1h")
	r := h.start(t) // no --device
	there, err := url.Parse(r.until("/device?user_code="))
	check(t, err)
	a, err := h.alice(t).Submit(t.Context(), h.issuer+"/device/auth/verify_code", url.Values{"user_code": {there.Query().Get("user_code")}})
	check(t, err)
	if a.Status != http.StatusOK || !a.GitHubPrompted {
		t.Fatalf("the browser ends at %s with %d: %s", a.URL, a.Status, a.Body)
	}
	token, _ := r.end(0)
	if c := read(t, token); c.Email != "alice@example.com" || !slices.Equal(c.Groups, []string{"example-org:argo"}) {
		t.Errorf("the token says %+v", c)
	}
	if again, said := h.start(t).end(0); again != token || said != "" {
		t.Errorf("the second time it is another one, or something is said: %s", said)
	}
}

func TestATokenIsRefreshedOnceForManyProgramsAndHasTheGroupsOfNow(t *testing.T) {
	t.Parallel()
	h := newHome(t, "30s") // never good for a minute: each command refreshes
	first := h.login(t)
	check(t, h.github.Leave("alice", "example-org", "argo"))
	var wg sync.WaitGroup
	tokens := make([]string, 4)
	for i := range tokens {
		r := h.start(t)
		wg.Go(func() {
			for r.lines.Scan() { // no pipe fills up
				r.said.WriteString(r.lines.Text() + "\n")
			}
			if err := r.cmd.Wait(); err != nil {
				t.Errorf("%v:\n%s", err, &r.said)
			}
			tokens[i] = r.stdout.String()
		})
	}
	wg.Wait()
	for _, token := range tokens {
		if c := read(t, token); token == first || len(c.Groups) > 0 {
			t.Errorf("the token says %+v", c)
		}
	}
}

func TestALoginThatTheIssuerHasForgottenStartsAgain(t *testing.T) {
	t.Parallel()
	h := newHome(t, "30s")
	h.login(t)
	kept, err := filepath.Glob(filepath.Join(h.dir, ".config/authgate/tokens/*.json"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept are %q, %v", kept, err)
	}
	before, err := os.ReadFile(kept[0])
	check(t, err)
	h.start(t).end(0)                              // spends the refresh token
	check(t, os.WriteFile(kept[0], before, 0o600)) // as a backup that was put back
	r := h.start(t, "--no-browser")
	r.until("the cached login has expired (the issuer answered 400 invalid_request); logging in again")
	_, err = h.alice(t).Open(t.Context(), r.until("/auth?"))
	check(t, err)
	token, _ := r.end(0)
	read(t, token)
}

func TestATokenCanBeForAuthgateToo(t *testing.T) {
	t.Parallel()
	h := newHome(t, "1h")
	c := read(t, h.login(t, "--audience", "authgate"))
	audience, err := json.Marshal(c.Audience)
	if err != nil || string(audience) != `["authgate","authgate-cli"]` {
		t.Errorf("the token is for %s, %v", audience, err)
	}
}

func TestAnAudienceThatDoesNotTrustTheClientIsSaid(t *testing.T) {
	t.Parallel()
	h := newHome(t, "1h")
	r := h.start(t, "--no-browser", "--audience", "argo-cd")
	if _, err := h.alice(t).Open(t.Context(), r.until("/auth?")); err != nil {
		t.Fatal(err)
	}
	stdout, said := r.end(1)
	if stdout != "" || !strings.Contains(said, "invalid_scope") || !strings.Contains(said, "trustedPeers") {
		t.Errorf("printed is %q, said is %s", stdout, said)
	}
}

// TestKubectlTakesWhatExecCredentialPrints asks as kubectl does, with its own code.
func TestKubectlTakesWhatExecCredentialPrints(t *testing.T) {
	t.Parallel()
	h := newHome(t, "1h")
	token := strings.TrimSpace(h.login(t))
	var saw string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { saw = r.Header.Get("Authorization") }))
	defer server.Close()
	for _, version := range []string{"v1", "v1beta1"} {
		client, err := rest.HTTPClientFor(&rest.Config{Host: server.URL, ExecProvider: &api.ExecConfig{
			Command: filepath.Join(bin, "authgate"), APIVersion: "client.authentication.k8s.io/" + version, InteractiveMode: api.IfAvailableExecInteractiveMode,
			Args: []string{"token", "--issuer", h.issuer, "--client-id", "authgate-cli", "--exec-credential"},
			Env:  []api.ExecEnvVar{{Name: "HOME", Value: h.dir}, {Name: "XDG_CONFIG_HOME", Value: filepath.Join(h.dir, ".config")}},
		}})
		check(t, err)
		res, err := client.Get(server.URL)
		check(t, err)
		res.Body.Close()
		if saw != "Bearer "+token {
			t.Errorf("%s: the API server is shown %q", version, saw)
		}
		saw = ""
	}
}
