package configmap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// server is an API server that knows one ConfigMap.
type server struct {
	mu       sync.Mutex
	code     int // instead of an answer, unless it is 0
	down     bool
	object   string // of the list; empty: it does not exist
	lists    int
	requests []*http.Request
	watch    *io.PipeWriter // the current one
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	if s.down {
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: io.EOF}
	}
	res := &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{}}
	switch {
	case s.code != 0:
		res.StatusCode, res.Body = s.code, io.NopCloser(strings.NewReader(`{"kind":"Status","message":"secret words"}`))
	case r.URL.Query().Get("watch") != "":
		reader, writer := io.Pipe()
		s.watch, res.Body = writer, reader
		context.AfterFunc(r.Context(), func() { _ = writer.CloseWithError(context.Cause(r.Context())) })
	default:
		s.lists++
		res.Body = io.NopCloser(strings.NewReader(
			fmt.Sprintf(`{"metadata":{"resourceVersion":"%d"},"items":[%s]}`, 100+s.lists, s.object)))
	}
	return res, nil
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// send writes an event to the watch that is open, and waits until it was processed.
func (s *server) send(t *testing.T, kind, object string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	watch := s.watch
	s.mu.Unlock()
	if watch == nil {
		t.Fatal("there is no watch")
	}
	if _, err := fmt.Fprintf(watch, "{\"type\":%q,\"object\":%s}\n", kind, object); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func configMap(keys map[string]string) string {
	text, _ := json.Marshal(map[string]any{"metadata": map[string]string{"name": "policy"}, "data": keys})
	return string(text)
}

func newConfigMap(s *server, log io.Writer) *ConfigMap {
	base := &url.URL{Scheme: "https", Host: "kubernetes.example.com"}
	return &ConfigMap{
		Namespace: "authgate", Name: "policy", log: slog.New(slog.NewTextHandler(log, nil)), changed: func() {},
		api: api{client: &http.Client{Transport: s}, base: base, namespace: "authgate", name: "policy"},
	}
}

// rowsOf is what Read gives.
func rowsOf(t *testing.T, m *ConfigMap) string {
	t.Helper()
	sources, err := m.Read()
	if err != nil {
		return err.Error()
	}
	var all strings.Builder
	for _, s := range sources {
		fmt.Fprintf(&all, "%s=%s ", s.Name, s.Data)
	}
	return strings.TrimSpace(all.String())
}

func TestKeysThatEndInCSVAreReadInOrderOfNames(t *testing.T) {
	t.Parallel()
	s := &server{object: `{"metadata":{"name":"policy"},
		"data":{"b.csv":"B","10.csv":"ten","a.csv":"A","README.md":"-","csv":"-","a.CSV":"-","a.csv.bak":"-"},
		"binaryData":{"aa.csv":"/w==","logo.png":"/w=="}}`}
	m := newConfigMap(s, io.Discard)
	if err := m.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = "authgate/policy/10.csv=ten authgate/policy/a.csv=A authgate/policy/aa.csv=\xff authgate/policy/b.csv=B"
	if got := rowsOf(t, m); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	const wanted = "https://kubernetes.example.com/api/v1/namespaces/authgate/configmaps?fieldSelector=metadata.name%3Dpolicy"
	if got := s.requests[0].URL.String(); got != wanted {
		t.Errorf("asked for %s, want %s", got, wanted)
	}
}

func TestErrorsSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		server    *server
		says      string
		reachable bool // another attempt gives the same
	}{
		{&server{}, "ConfigMap authgate/policy does not exist", true},
		{&server{object: configMap(map[string]string{"policy.txt": "p"})}, "has no key that ends in .csv", true},
		{&server{object: configMap(nil)}, "has no key that ends in .csv", true},
		{&server{object: `{"metadata":{"name":"other"},"data":{"a.csv":"p"}}`}, "does not exist", true},
		{&server{code: http.StatusForbidden}, "list and watch on configmaps with resourceNames [policy]", true},
		{&server{code: http.StatusUnauthorized}, "rejected authgate's own token", true},
		{&server{code: http.StatusInternalServerError}, "status 500", false},
		{&server{down: true}, "closed the connection without an answer", false},
		{&server{object: `]`}, "not a list of ConfigMaps", false},
	} {
		m := newConfigMap(c.server, io.Discard)
		err := m.Load(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret words") {
			t.Errorf("%v, want %q", err, c.says)
		}
		var unreachable *UnreachableError
		if errors.As(err, &unreachable) == c.reachable {
			t.Errorf("%T: %v", err, err)
		}
	}
}

// follow runs m until the test ends, and counts its notifications.
func follow(t *testing.T, m *ConfigMap) (notified *int) {
	t.Helper()
	notified = new(int)
	m.OnChange(func() { *notified++ })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return notified
}

func TestChangesReachReadAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{object: configMap(map[string]string{"policy.csv": "one"})}
		m := newConfigMap(s, io.Discard)
		notified := follow(t, m)
		synctest.Wait()
		want := func(step, rows string) {
			t.Helper()
			if got := rowsOf(t, m); got != rows {
				t.Errorf("%s: %q, want %q", step, got, rows)
			}
		}
		want("listed", "authgate/policy/policy.csv=one")
		if q := s.requests[1].URL.Query(); q.Get("resourceVersion") != "101" || q.Get("fieldSelector") != "metadata.name=policy" {
			t.Errorf("watched with %v", q)
		}
		before := *notified
		s.send(t, "MODIFIED", configMap(map[string]string{"policy.csv": "two"}))
		want("modified", "authgate/policy/policy.csv=two")
		if *notified != before+1 {
			t.Errorf("notified %d times", *notified-before)
		}
		s.send(t, "BOOKMARK", `{"metadata":{"resourceVersion":"200"}}`)
		want("after a bookmark", "authgate/policy/policy.csv=two")
		s.send(t, "MODIFIED", `{"metadata":{"name":"other"},"data":{"policy.csv":"of another"}}`)
		want("after an event of another one", "authgate/policy/policy.csv=two")
		s.send(t, "MODIFIED", configMap(map[string]string{"other": "x"}))
		want("without keys", (&NoKeysError{"authgate/policy"}).Error())
		s.send(t, "DELETED", configMap(map[string]string{"policy.csv": "two"}))
		want("deleted", (&NotFoundError{"authgate/policy"}).Error())
		if !m.Watching() {
			t.Error("a deletion ended the watch")
		}
		s.send(t, "ADDED", configMap(map[string]string{"policy.csv": "three"}))
		want("created again", "authgate/policy/policy.csv=three")
	})
}

func TestWatchThatEndsBeginsAgainWithAList(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, s *server){
		"the server's time is over":      func(_ *testing.T, s *server) { _ = s.watch.Close() },
		"the version is too old":         func(t *testing.T, s *server) { s.send(t, "ERROR", `{"kind":"Status","code":410}`) },
		"another error":                  func(t *testing.T, s *server) { s.send(t, "ERROR", `{"kind":"Status","code":500}`) },
		"an unknown event":               func(t *testing.T, s *server) { s.send(t, "SURPRISE", `{}`) },
		"an event that is no ConfigMap":  func(t *testing.T, s *server) { s.send(t, "MODIFIED", `[]`) },
		"the connection broke":           func(_ *testing.T, s *server) { _ = s.watch.CloseWithError(io.ErrUnexpectedEOF) },
		"half of an event":               func(_ *testing.T, s *server) { _, _ = s.watch.Write([]byte(`{"type":`)); _ = s.watch.Close() },
		"a connection that says nothing": func(*testing.T, *server) { time.Sleep(watchTimeout + silenceLimit) },
		"an answer that is no JSON":      func(_ *testing.T, s *server) { _, _ = s.watch.Write([]byte("<html>")) },
		"an event without end (64 MiB)":  func(_ *testing.T, s *server) { endless(s.watch) },
		"the server is gone for a moment": func(_ *testing.T, s *server) {
			s.set(func() { s.down = true })
			_ = s.watch.Close()
			time.Sleep(time.Minute)
		},
		"its Role is gone for a moment": func(_ *testing.T, s *server) {
			s.set(func() { s.code = 403 })
			_ = s.watch.Close()
			time.Sleep(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{object: configMap(map[string]string{"policy.csv": "one"})}
				m := newConfigMap(s, io.Discard)
				follow(t, m)
				synctest.Wait()
				s.set(func() { s.object = configMap(map[string]string{"policy.csv": "two"}) })
				end(t, s)
				s.set(func() { s.down, s.code = false, 0 })
				time.Sleep(maxBackoff)
				synctest.Wait()
				if got := rowsOf(t, m); got != "authgate/policy/policy.csv=two" || !m.Watching() {
					t.Errorf("%q, watching: %t", got, m.Watching())
				}
				if s.lists > 3 {
					t.Errorf("listed %d times", s.lists)
				}
			})
		})
	}
}

// endless writes a string that does not end.
func endless(w io.Writer) {
	_, _ = io.WriteString(w, `{"type":"`)
	block := bytes.Repeat([]byte("a"), 1<<20)
	for range 64 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func TestAnUnreachableServerChangesNothingAndIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &server{object: configMap(map[string]string{"policy.csv": "one"})}
		m := newConfigMap(s, &log)
		follow(t, m)
		synctest.Wait()
		s.set(func() { s.down = true })
		_ = s.watch.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := rowsOf(t, m); got != "authgate/policy/policy.csv=one" || m.Watching() {
			t.Errorf("%q, watching: %t", got, m.Watching())
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, &log)
		}
		if n := len(s.requests); n > 200 {
			t.Errorf("%d requests in an hour", n)
		}
		s.set(func() { s.down = false })
		time.Sleep(maxBackoff)
		synctest.Wait()
		if !m.Watching() || !strings.Contains(log.String(), "watched again") {
			t.Errorf("watching: %t\n%s", m.Watching(), &log)
		}
	})
}
