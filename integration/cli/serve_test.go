package cli

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serving is an `authgate serve` whose issuer is away and whose ports are sockets
// in a folder.
type serving struct {
	*testing.T
	bin, dir string
	stderr   <-chan string
	client   *http.Client // of the admin port
	process  *os.Process
}

const servingToken = "the-token-of-the-admin-port"

func serve(t *testing.T, settings string) *serving {
	t.Helper()
	return serveTo(t, nil, "audit: {output: audit.jsonl}\n"+settings)
}

// serveTo is serve with a standard output.
func serveTo(t *testing.T, stdout *os.File, settings string) *serving {
	t.Helper()
	s := &serving{T: t, bin: build(t)}
	// A socket's path has to be short, and the folder of a test is not.
	dir, err := os.MkdirTemp("", "authgate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s.dir = dir
	s.write("admin-token", servingToken+"\n")
	s.write("session-keys", s.run("keygen"))
	s.write("policy.csv", "p, role:admin, argocd, /**, *, allow\ng, example-org:argo, role:admin\n")
	s.write("authgate.yaml", "listen: unix:"+dir+"/traffic.sock\nadminListen: unix:"+dir+"/admin.sock\ntrustedProxies: [unix]\n"+
		"issuer: {url: \"http://127.0.0.1:1\", clientID: a, clientSecret: b}\npolicy: {files: [policy.csv]}\n"+
		"upstreams: [{name: argocd, hosts: [a.example.com], url: \"http://127.0.0.1:1\"}]\ntimeouts: {shutdownDelay: 0s, shutdown: 1s}\n"+settings)
	cmd := exec.Command(s.bin, "serve", "--config", filepath.Join(dir, "authgate.yaml"))
	if stdout != nil {
		cmd.Stdout = stdout
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.stderr, s.process = lines(stderr), cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		for range s.stderr {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve ended with %v", err)
		}
	})
	s.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", dir+"/admin.sock")
	}}}
	t.Cleanup(s.client.CloseIdleConnections)
	s.says("msg=listening")
	return s
}

func (s *serving) write(name, text string) {
	s.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		s.Fatal(err)
	}
}

func (s *serving) run(args ...string) string {
	s.Helper()
	out, err := exec.Command(s.bin, args...).Output()
	if err != nil {
		s.Fatalf("%v: %v", args, err)
	}
	return string(out)
}

// says waits for a line of the log that holds all of it.
func (s *serving) says(wanted ...string) {
	s.Helper()
	var before []string
	timeout := time.After(20 * time.Second)
next:
	for {
		select {
		case line, ok := <-s.stderr:
			if !ok {
				s.Fatalf("it ended without %q, after:\n%s", wanted, strings.Join(before, "\n"))
			}
			before = append(before, line)
			for _, word := range wanted {
				if !strings.Contains(line, word) {
					continue next
				}
			}
			return
		case <-timeout:
			s.Fatalf("no line with %q, but:\n%s", wanted, strings.Join(before, "\n"))
		}
	}
}

func (s *serving) admin(method, path, token string) (status int, body string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, "http://admin"+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestRotatedKeysAreTakenByAServerThatRuns(t *testing.T) {
	t.Parallel()
	s := serve(t, "session: {keys: {file: session-keys}}\n")
	keys := filepath.Join(s.dir, "session-keys")
	s.run("keygen", "--stage", keys)
	s.says("session keys reloaded", "keys=2 added=1 removed=0 primary_changed=false")
	s.run("keygen", "--promote", keys)
	s.says("session keys reloaded", "keys=2 added=0 removed=0 primary_changed=true")
	s.write("session-keys", "half a ke")
	s.says("level=ERROR", "the previous keys stay in use")
	s.write("session-keys", s.run("keygen"))
	s.says("level=WARN", "every user must sign in again")
}

func TestSessionsInCookiesAreEndedInOneProcessFromTheAdminPort(t *testing.T) {
	t.Parallel()
	s := serve(t, "adminToken: {file: admin-token}\nsession: {keys: {file: session-keys}}\n")
	for _, c := range []struct {
		method, path, token string
		status              int
		says                string
	}{
		{"GET", "/healthz", "", 200, `"ok"`},
		{"GET", "/sessions", "", 401, "urn:authgate:problem:admin_token"},
		{"GET", "/sessions", servingToken + "x", 401, "admin_token"},
		{"GET", "/sessions", servingToken, 501, "cannot be listed"},
		{"DELETE", "/sessions", servingToken, 400, "Say which sessions"},
		{"DELETE", "/sessions?user=alice@example.com", servingToken, 200, `"scope":"this process"`},
		{"GET", "/metrics", "", 200, "authgate_policy_generation"},
	} {
		if status, body := s.admin(c.method, c.path, c.token); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %.300s", c.method, c.path, status, body)
		}
	}
	audit, err := os.ReadFile(filepath.Join(s.dir, "audit.jsonl"))
	if err != nil || strings.Count(string(audit), `"event":"logout"`) != 1 || !strings.Contains(string(audit), `"email":"alice@example.com"`) {
		t.Errorf("%v in the audit:\n%s", err, audit)
	}
}

func TestWithoutAnAdminTokenThereIsNoListOfSessions(t *testing.T) {
	t.Parallel()
	s := serve(t, "session: {keys: {file: session-keys}}\n")
	for _, method := range []string{"GET", "DELETE"} {
		if status, body := s.admin(method, "/sessions?all=true", ""); status != 404 {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
}
