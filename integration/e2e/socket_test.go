package e2e_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/stage"
)

// shortDir is a folder for sockets: their path has to be short, and the names of
// tests are not.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ag")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// through asks through a Unix socket, as a proxy on the same machine does.
func through(t *testing.T, socket, path string, headers ...string) (status int, header http.Header, err error) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+stage.ArgoCDHost+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	return res.StatusCode, res.Header, nil
}

// TestBetweenTwoUnixSockets puts authgate between a proxy and a dashboard that
// both are on its machine.
func TestBetweenTwoUnixSockets(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	front, behind := filepath.Join(dir, "front.sock"), filepath.Join(dir, "behind.sock")
	stale, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", front) // what a crash leaves
	if err != nil {
		t.Fatal(err)
	}
	unix, _ := stale.(*net.UnixListener)
	unix.SetUnlinkOnClose(false)
	stale.Close()

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", behind)
	if err != nil {
		t.Fatal(err)
	}
	dashboard := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Host+r.RequestURI+" for "+r.Header.Get("X-Forwarded-For"))
	}))
	dashboard.Listener.Close()
	dashboard.Listener = listener
	dashboard.Start()
	t.Cleanup(dashboard.Close)

	s := set(t, stage.Options{NoDex: true, Config: func(yaml string, f stage.Files) string {
		yaml = replaceLine(t, yaml, "listen: ", "listen: unix:"+front+"\ntrustedProxies: [unix]")
		yaml = replaceLine(t, yaml, "    url: ", "    url: unix:"+behind)
		return withPolicy(t, yaml, f, allowAll)
	}})
	status, header, err := through(t, front, "/a%2Cb?c", "X-Forwarded-For", "203.0.113.7")
	if err != nil {
		t.Fatal(err)
	}
	seen := header.Get("X-Seen")
	if status != http.StatusOK || !strings.HasPrefix(seen, stage.ArgoCDHost+"/a%2Cb?c for ") || !strings.Contains(seen, "203.0.113.7") {
		t.Errorf("%d, and the dashboard saw %q", status, seen)
	}
	if r := wantRecord(t, s, "request", "/a%2Cb"); r["remote"] != "203.0.113.7" {
		t.Errorf("the audit says that it came from %v", r["remote"])
	}
	if info, err := os.Stat(front); err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("the socket is %v %v", info.Mode(), err)
	}

	log := filepath.Join(dir, "second.log")
	second, err := program.Start(t.Context(), program.Command{
		Name: "second authgate", Path: binaries.Authgate, Args: []string{"serve", "--config", s.Files.Config}, Stdout: log, Stderr: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, err := second.ExitCode(t.Context()); code != 3 || err != nil || !strings.Contains(second.Tail(5), "another process listens on socket "+front) {
		t.Errorf("a second one ends with %d %v: %s", code, err, second.Tail(5))
	}
	if status, _, err := through(t, front, "/"); status != http.StatusOK || err != nil {
		t.Errorf("after a second one tried: %d %v", status, err)
	}

	if err := s.Authgate.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(front); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// replaceLine puts another line in place of the first that begins so.
func replaceLine(t *testing.T, text, begins, line string) string {
	t.Helper()
	before, after, found := strings.Cut("\n"+text, "\n"+begins)
	_, rest, more := strings.Cut(after, "\n")
	if !found || !more {
		t.Fatalf("no line begins with %q in:\n%s", begins, text)
	}
	return strings.TrimPrefix(before+"\n"+line+"\n"+rest, "\n")
}

// withPolicy begins with another policy than the stage's own.
func withPolicy(t *testing.T, yaml string, f stage.Files, text string) string {
	t.Helper()
	file := filepath.Join(f.Dir, "own.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return replaceLine(t, yaml, "  files: ", "  files: ["+file+"]")
}
