package e2e_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/stage"
)

// speak sends a request on a connection that stays open, and reads the answer.
func speak(t *testing.T, conn net.Conn, path string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+stage.ArgoCDHost+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, body, err := readAnswer(conn)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

func readAnswer(conn net.Conn) (*http.Response, string, error) {
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func connect(t *testing.T, s *stage.Stage) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port(s.ArgoCD))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestBeyondTheLimitOfConnectionsOnlyHealthIsAnswered(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoDex: true, Config: func(yaml string, _ stage.Files) string {
		return "limits: {connections: 2}\n" + yaml
	}})
	within := []net.Conn{connect(t, s), connect(t, s)}
	for _, conn := range within {
		if res, _ := speak(t, conn, "/api/v1/applications"); res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("within the limit: %d", res.StatusCode)
		}
	}
	balancer := connect(t, s)
	if res, _ := speak(t, balancer, "/healthz"); res.StatusCode != http.StatusOK {
		t.Errorf("health beyond the limit: %d", res.StatusCode)
	}
	balancer.Close()
	res, body := speak(t, connect(t, s), "/api/v1/applications")
	if res.StatusCode != http.StatusServiceUnavailable || !res.Close || !strings.Contains(body, "too_many_connections") {
		t.Errorf("beyond the limit: %d, close %t: %s", res.StatusCode, res.Close, body)
	}
	if res, _ := speak(t, within[0], "/api/v1/applications"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("within the limit, afterwards: %d", res.StatusCode)
	}
	within[1].Close()
	eventually(t, "room for one more", func() bool {
		res, _ := speak(t, connect(t, s), "/api/v1/applications")
		return res.StatusCode == http.StatusUnauthorized
	})
}

func switchLevel(t *testing.T, s *stage.Stage, says string) {
	t.Helper()
	if err := s.Authgate.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log to say "+says, func() bool { return logHolds(t, s, says) })
}

func TestLevelOfTheLogIsSwitchedBySignal(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoDex: true})
	switchLevel(t, s, "log level is debug")
	switchLevel(t, s, "log level restored")
	if err := s.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}
