package e2e_test

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

	"github.com/example-org/authgate/integration/stage"
)

// TestPolicyOfAConfigMapIsFollowed lays the policy out as the kubelet does: the
// file is a link through ..data, and an update swaps that link.
func TestPolicyOfAConfigMapIsFollowed(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	version := func(name, policy string) {
		if err := os.Mkdir(filepath.Join(mount, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(mount, name, "policy.csv"), []byte(policy), 0o600); err != nil {
			t.Fatal(err)
		}
		fresh := filepath.Join(mount, "..data_tmp")
		if err := os.Symlink(name, fresh); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "p, role:admin, *, /**, *, allow\n")
	if err := os.Symlink(filepath.Join("..data", "policy.csv"), filepath.Join(mount, "policy.csv")); err != nil {
		t.Fatal(err)
	}
	s := set(t, stage.Options{NoDex: true, Config: func(yaml string, f stage.Files) string {
		return strings.Replace(yaml, f.Policy, filepath.Join(mount, "policy.csv"), 1)
	}})
	if a := curl(t, s.ArgoCD+"/healthy"); a.Status != http.StatusUnauthorized {
		t.Fatalf("before the update: %d", a.Status)
	}
	version("..2", "p, system:anonymous, *, /**, *, allow\n")
	if err := os.RemoveAll(filepath.Join(mount, "..1")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new policy", func() bool { return curl(t, s.ArgoCD+"/healthy").Status != http.StatusUnauthorized })
}

func TestTrafficPortSpeaksHTTP2WithPriorKnowledge(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoDex: true})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port(s.ArgoCD))
	}
	t.Cleanup(transport.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.ArgoCD+"/api/v1/applications", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s, status %d", res.Proto, res.StatusCode)
	}
}

// TestTerminationIsAnnouncedBeforeThePortCloses is what a load balancer needs:
// after SIGTERM readiness fails, and requests are still served for the delay.
func TestTerminationIsAnnouncedBeforeThePortCloses(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "shutdownDelay: 0s", "shutdownDelay: 2s", 1)
	}})
	if a := curl(t, s.ArgoCD+"/readyz"); a.Status != http.StatusOK {
		t.Fatalf("ready: %d %s", a.Status, a.Body)
	}
	if err := s.Authgate.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness to fail", func() bool { return curl(t, s.ArgoCD+"/readyz").Status == http.StatusServiceUnavailable })
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/api/v1/applications": http.StatusUnauthorized} {
		if a := curl(t, s.ArgoCD+path); a.Status != want {
			t.Errorf("%s during the delay: %d, want %d", path, a.Status, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if code, err := s.Authgate.ExitCode(ctx); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
}

// TestReaderOfTheAuditMayGo holds authgate to serving on, and to saying so, where
// no one reads its audit any more: an unread pipe ends most other programs.
func TestReaderOfTheAuditMayGo(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoDex: true, NoAuthgate: true})
	log, err := os.Create(filepath.Join(t.TempDir(), "authgate.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	reader, audit, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	authgate := exec.CommandContext(t.Context(), binaries.Authgate, "serve", "--config", s.Files.Config)
	authgate.Stdout, authgate.Stderr = audit, log
	if err := authgate.Start(); err != nil {
		t.Fatal(err)
	}
	audit.Close()
	reader.Close()
	eventually(t, "a start", func() bool { return s.Healthy(t.Context()) == nil })
	for range 2 {
		if a := curl(t, s.ArgoCD+"/api/v1/applications"); a.Status != http.StatusUnauthorized {
			t.Errorf("status %d", a.Status)
		}
	}
	if err := authgate.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := authgate.Wait(); err != nil {
		t.Errorf("in the end: %v", err)
	}
	said, err := os.ReadFile(log.Name())
	if err != nil || !strings.Contains(string(said), "audit records are being lost") {
		t.Errorf("%v, and the log: %s", err, said)
	}
}
