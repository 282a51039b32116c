// Package terminal_test tests `authgate token`, as a process, with a real Dex and its real
// `github` connector.
package terminal_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/dex"
	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/visitor"
)

var bin string // holds authgate and dex; set by TestMain, never after

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "authgate-terminal-")
		if err == nil {
			defer os.RemoveAll(dir) // a temporary folder
			bin = dir
			if _, err = program.Authgate(dir); err == nil {
				err = dex.Build(context.Background(), filepath.Join(dir, "dex"), os.Stderr)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// dexConfig has the clients that docs/terminals.md shows: a public one for users,
// whom the one of authgate trusts.
const dexConfig = `
issuer: %[1]s
storage: {type: memory}
web: {http: "%[2]s"}
oauth2: {skipApprovalScreen: true}
expiry: {idTokens: "%[5]s"}
connectors:
  - type: github
    id: github
    name: GitHub
    config:
      clientID: dex
      clientSecret: at-github
      redirectURI: %[1]s/callback
      hostName: "%[3]s"
      rootCA: "%[4]s"
      orgs: [{name: example-org}]
      teamNameField: slug
staticClients:
%[6]s`

// home is a user's machine: a home folder, and access to Dex.
type home struct {
	issuer string
	github *fakegithub.Server
	dir    string
	more   []string // of the environment
}

func newHome(t *testing.T, idTokens string) *home {
	t.Helper()
	port, err := program.ReservePort(t.Context())
	check(t, err)
	t.Cleanup(func() { check(t, port.Release()) })
	listen := "127.0.0.1:" + strconv.Itoa(port.Number)
	h := &home{issuer: "http://" + listen + "/api/dex", dir: t.TempDir()}
	h.github, err = fakegithub.Start(t.Context(), slog.New(slog.DiscardHandler),
		fakegithub.App{ClientID: "dex", ClientSecret: "at-github", Callback: dex.Callback(h.issuer)},
		fakegithub.Account{
			ID: 1, Login: "alice", Name: "Alice", Email: "alice@example.com", Orgs: []string{"example-org"},
			Teams: []fakegithub.Team{{Org: "example-org", Name: "Argo", Slug: "argo"}},
		})
	check(t, err)
	t.Cleanup(func() { check(t, h.github.Close()) })

	ca, file, log := filepath.Join(h.dir, "github.pem"), filepath.Join(h.dir, "dex.yaml"), filepath.Join(h.dir, "dex.log")
	check(t, os.WriteFile(ca, h.github.CA(), 0o600))
	text := fmt.Sprintf(dexConfig, h.issuer, listen, h.github.Host(), ca, idTokens, documentedClients(t))
	check(t, os.WriteFile(file, []byte(text), 0o600))
	p, err := program.Start(t.Context(), program.Command{
		Name: "Dex", Path: filepath.Join(bin, "dex"), Args: []string{"serve", file}, Dir: h.dir,
		Env:    []string{"SSL_CERT_FILE=" + ca, "AUTHGATE_CLIENT_SECRET=s3cret"}, // see package dex
		Stdout: log, Stderr: log,
	})
	check(t, err)
	t.Cleanup(func() { check(t, p.Stop()) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	check(t, p.Await(ctx, func(context.Context) error {
		a, err := visitor.Curl(ctx, http.MethodGet, h.issuer+"/.well-known/openid-configuration")
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("discovery answers %d", a.Status)
		}
		return err
	}))
	return h
}

// documentedClients are the staticClients of docs/terminals.md.
func documentedClients(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/terminals.md")
	check(t, err)
	block := regexp.MustCompile("(?ms)^```yaml\nstaticClients:\n(.*?)^```$").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/terminals.md shows no staticClients")
	}
	return string(block[1])
}

// run is one `authgate token`, with what it says line by line while it runs.
type run struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	lines  *bufio.Scanner
	said   strings.Builder
}

func (h *home) env() []string {
	env := append(os.Environ(), "HOME="+h.dir, "XDG_CONFIG_HOME="+filepath.Join(h.dir, ".config"),
		"DISPLAY=", "WAYLAND_DISPLAY=", "BROWSER=", "SSH_CONNECTION=", "KUBERNETES_EXEC_INFO=")
	return append(env, h.more...)
}

func (h *home) start(t *testing.T, args ...string) *run {
	t.Helper()
	r := &run{t: t}
	args = append([]string{"token", "--issuer", h.issuer, "--client-id", "authgate-cli"}, args...)
	r.cmd = exec.CommandContext(t.Context(), filepath.Join(bin, "authgate"), args...)
	r.cmd.Env = h.env()
	r.cmd.Stdout = &r.stdout
	stderr, err := r.cmd.StderrPipe()
	check(t, err)
	r.lines = bufio.NewScanner(stderr)
	check(t, r.cmd.Start())
	return r
}

// until reads what is said until a line holds something.
func (r *run) until(something string) string {
	r.t.Helper()
	for r.lines.Scan() {
		line := r.lines.Text()
		r.said.WriteString(line + "\n")
		if strings.Contains(line, something) {
			return strings.TrimSpace(strings.TrimPrefix(line, "authgate:"))
		}
	}
	r.t.Fatalf("%q is never said, but:\n%s", something, &r.said)
	return ""
}

// end gives the token, and what was said.
func (r *run) end(want int) (token, said string) {
	r.t.Helper()
	for r.lines.Scan() {
		r.said.WriteString(r.lines.Text() + "\n")
	}
	_ = r.cmd.Wait() // the code says it
	if got := r.cmd.ProcessState.ExitCode(); got != want {
		r.t.Fatalf("exit code %d, want %d:\n%s", got, want, &r.said)
	}
	return r.stdout.String(), r.said.String()
}

func (h *home) alice(t *testing.T) *visitor.Visitor {
	t.Helper()
	v, err := visitor.New("alice", h.github.URL(), h.github.CA())
	check(t, err)
	return v
}

// login is a whole one, by browser.
func (h *home) login(t *testing.T, args ...string) string {
	t.Helper()
	r := h.start(t, append([]string{"--no-browser"}, args...)...)
	a, err := h.alice(t).Open(t.Context(), r.until("/auth?"))
	check(t, err)
	if a.Status != http.StatusOK || !strings.Contains(a.Body, "You are logged in.") {
		t.Fatalf("the browser ends at %s with %d: %s", a.URL, a.Status, a.Body)
	}
	token, _ := r.end(0)
	return token
}

type claims struct {
	Audience any      `json:"aud"`
	Email    string   `json:"email"`
	Groups   []string `json:"groups"`
}

// read wants one line that is one ID token.
func read(t *testing.T, stdout string) (c claims) {
	t.Helper()
	parts := strings.Split(strings.TrimSuffix(stdout, "\n"), ".")
	if len(parts) != 3 || strings.ContainsAny(strings.TrimSuffix(stdout, "\n"), " \n") {
		t.Fatalf("standard output is no token in one line: %q", stdout)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	check(t, err)
	check(t, json.Unmarshal(payload, &c))
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
