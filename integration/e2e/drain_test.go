package e2e_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/stage"
)

// slow is an upstream of the test's own: it says so when a request has come, and
// answers when it is let.
type slow struct {
	*httptest.Server

	came chan struct{}
	let  chan struct{}
}

func newSlow(t *testing.T) *slow {
	t.Helper()
	s := &slow{came: make(chan struct{}, 8), let: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow", "/slow/events":
			if r.URL.Path == "/slow/events" {
				w.Header().Set("Content-Type", "text/event-stream")
			}
			_, _ = io.WriteString(w, "begun ")
			_ = http.NewResponseController(w).Flush()
			s.came <- struct{}{}
			select {
			case <-s.let:
				_, _ = io.WriteString(w, "ended")
			case <-r.Context().Done():
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// slowStage has it in place of Argo CD, for every user.
func slowStage(t *testing.T, upstream *slow, timeouts string) *stage.Stage {
	t.Helper()
	return set(t, stage.Options{NoDex: true, Config: func(yaml string, f stage.Files) string {
		yaml = replaceLine(t, yaml, "timeouts: ", "timeouts: "+timeouts)
		yaml = replaceLine(t, yaml, "    url: ", "    url: "+upstream.URL)
		return withPolicy(t, yaml, f, allowAll)
	}})
}

// underWay is a request whose answer has begun.
func underWay(t *testing.T, s *stage.Stage, upstream *slow, path string) (rest func() (string, error)) {
	t.Helper()
	conn := connect(t, s)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.ArgoCD+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	<-upstream.came
	return func() (string, error) {
		res, body, err := readAnswer(conn)
		if err != nil {
			return body, err
		}
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
		return body, nil
	}
}

func terminate(t *testing.T, s *stage.Stage) {
	t.Helper()
	if err := s.Authgate.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end to begin", func() bool { return logHolds(t, s, "shutting down") })
	if a := curl(t, s.Admin+"/readyz"); a.Status != http.StatusServiceUnavailable {
		t.Errorf("readiness: %d", a.Status)
	}
}

func wantExit(t *testing.T, s *stage.Stage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if code, err := s.Authgate.ExitCode(ctx); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestRequestThatIsUnderWayEndsAfterThePortHasClosed(t *testing.T) {
	t.Parallel()
	upstream := newSlow(t)
	s := slowStage(t, upstream, "{shutdownDelay: 2s, shutdown: 15s}")
	idle := connect(t, s)
	if res, _ := speak(t, idle, "/"); res.Close {
		t.Error("connections are closed before the end is near")
	}
	rest := underWay(t, s, upstream, "/slow")
	terminate(t, s)
	// An idle connection of the balancer is not cut: it carries one more request.
	if res, _ := speak(t, idle, "/"); res.StatusCode != http.StatusOK || !res.Close {
		t.Errorf("on an idle connection: %d, close %t", res.StatusCode, res.Close)
	}
	if res, _ := speak(t, connect(t, s), "/"); res.StatusCode != http.StatusOK {
		t.Errorf("on a new connection: %d", res.StatusCode)
	}
	eventually(t, "the port to close", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port(s.ArgoCD)+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		res, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			res.Body.Close()
		}
		return err != nil
	})
	if a := curl(t, s.Admin+"/healthz"); a.Status != http.StatusOK {
		t.Errorf("the admin port meanwhile: %d", a.Status)
	}
	close(upstream.let)
	if body, err := rest(); err != nil || body != "begun ended" {
		t.Errorf("%q %v", body, err)
	}
	wantExit(t, s)
}

func TestStreamIsCutAndRecordedWhenAuthgateEnds(t *testing.T) {
	t.Parallel()
	upstream := newSlow(t)
	s := slowStage(t, upstream, "{shutdownDelay: 0s, shutdown: 1s}")
	rest := underWay(t, s, upstream, "/slow/events")
	if err := s.Authgate.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if body, _ := rest(); !strings.HasPrefix(body, "begun ") || strings.Contains(body, "ended") {
		t.Errorf("the stream brought %q", body)
	}
	wantExit(t, s)
	wantRecord(t, s, "stream_cut", "/slow/events")
	if logHolds(t, s, "still running at the end") {
		t.Error("a stream was waited for until the very end")
	}
}

func TestRequestThatTakesTooLongIsCutAndRecorded(t *testing.T) {
	t.Parallel()
	upstream := newSlow(t)
	s := slowStage(t, upstream, "{shutdownDelay: 0s, shutdown: 500ms}")
	rest := underWay(t, s, upstream, "/slow")
	if err := s.Authgate.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if body, err := rest(); err == nil || strings.Contains(body, "ended") {
		t.Errorf("it brought %q %v", body, err)
	}
	wantExit(t, s)
	wantRecord(t, s, "request", "/slow")
}

func wantRecord(t *testing.T, s *stage.Stage, event, path string) map[string]any {
	t.Helper()
	records, err := s.Files.ReadAudit()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r["event"] == event && r["path"] == path {
			return r
		}
	}
	t.Errorf("no %s of %s in %v", event, path, records)
	return nil
}
