package proxy_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

// stalledOutput takes nothing until it is opened.
type stalledOutput struct {
	syncBuffer

	open chan struct{}
}

func (s *stalledOutput) Write(b []byte) (int, error) {
	<-s.open
	return s.syncBuffer.Write(b)
}

// stalledGate is one whose queue of records is full, and stays so until opened is
// called.
func stalledGate(t *testing.T, block bool) (g *gate, served *atomic.Int64, opened func()) {
	t.Helper()
	served = new(atomic.Int64)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		serveEcho(w, r)
	}))
	t.Cleanup(behind.Close)
	out := &stalledOutput{open: make(chan struct{})}
	queue := audit.NewQueue(audit.NewOutput(out), audit.QueueOptions{Label: "audit records", Block: block, Log: slog.New(slog.DiscardHandler)})
	g = newGateTo(t, behind.URL, func(o *proxy.Options) { o.AuditQueue, o.Audit = queue, audit.New(queue, o.Log) })
	g.audit = &out.syncBuffer
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { queue.Run(ctx) })
	opened = sync.OnceFunc(func() { close(out.open) })
	t.Cleanup(func() { opened(); stop(); running.Wait() })
	for !queue.Full() {
		audit.New(queue, slog.New(slog.DiscardHandler)).Write(audit.Record{Event: audit.Refresh, Path: strings.Repeat("x", 100_000)})
	}
	return g, served, opened
}

func TestNothingIsServedThatCannotBeRecordedIfTheOperatorWantsThat(t *testing.T) {
	t.Parallel()
	g, served, opened := stalledGate(t, true)
	asked := []string{"X-Original-URL", app, "X-Original-Method", "GET"}
	var all sync.WaitGroup
	for what, ask := range map[string]func() *http.Response{
		"a request":    func() *http.Response { return g.do("GET", app, g.as("alice")) },
		"of a browser": func() *http.Response { return g.do("GET", app, g.as("alice"), browser) },
		"anonymous":    func() *http.Response { return g.do("GET", "https://argo-cd.example.com/reports/") },
		"a login":      func() *http.Response { return g.do("GET", "https://argo-cd.example.com/oauth2/start") },
		"the page of who they are": func() *http.Response {
			return g.do("GET", "https://argo-cd.example.com/oauth2/userinfo", g.as("alice"))
		},
		"an ingress's question": func() *http.Response { return g.do("GET", "https://authgate/oauth2/auth", g.as("alice"), asked) },
	} {
		all.Go(func() {
			res := ask()
			expect(t, what, res, http.StatusServiceUnavailable)
			if res.Header.Get("Retry-After") == "" || !strings.Contains(body(t, res), "recorded") {
				t.Errorf("%s: %v", what, res.Header)
			}
		})
	}
	all.Wait()
	ready := g.do("GET", "https://10.0.0.7/readyz")
	expect(t, "ready", ready, http.StatusServiceUnavailable)
	if text := body(t, ready); !strings.Contains(text, "the audit queue is full") || !strings.Contains(text, `"audit":"full"`) {
		t.Error(text)
	}
	expect(t, "alive", g.do("GET", "https://10.0.0.7/healthz"), http.StatusOK)
	if n := served.Load(); n != 0 {
		t.Errorf("%d requests reached the upstream, and have no record", n)
	}
	if got := g.metric("authgate_requests_total", "code", "503"); got == 0 {
		t.Error("what was refused is not counted")
	}
	opened()
	expect(t, "afterwards", g.do("GET", app, g.as("alice")), http.StatusOK)
	expect(t, "ready afterwards", g.do("GET", "https://10.0.0.7/readyz"), http.StatusOK)
	waitFor(t, "the record", func() bool {
		return slices.ContainsFunc(g.records(), func(r audit.Record) bool { return r.Event == audit.Request && r.Decision == audit.Allow })
	})
	for _, r := range g.records() {
		if r.Reason == "audit_full" {
			t.Errorf("there was no room for this: %+v", r)
		}
	}
}

func TestRequestsGoOnWhileRecordsAreLostByDefault(t *testing.T) {
	t.Parallel()
	g, served, opened := stalledGate(t, false)
	for range 5 {
		expect(t, "a request", g.do("GET", app, g.as("alice")), http.StatusOK)
	}
	ready := g.do("GET", "https://10.0.0.7/readyz")
	expect(t, "ready", ready, http.StatusOK)
	if text := body(t, ready); !strings.Contains(text, `"audit":"full"`) {
		t.Errorf("it does not say that records are being lost: %s", text)
	}
	if n := served.Load(); n != 5 {
		t.Errorf("%d requests reached the upstream", n)
	}
	opened()
	waitFor(t, "room", func() bool { return !strings.Contains(body(t, g.do("GET", "https://10.0.0.7/readyz")), "full") })
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestExcludedPathsMayNeedAQuirkOfTheirUpstream(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, serving(t, http.HandlerFunc(serveEcho)), quirky(config.QuirkEmptySegments, config.QuirkSemicolon), func(o *proxy.Options) {
		o.Config.Audit.Exclude = []string{"/api//health", "/app;v=1/**"}
	})
	const argo = "https://argo-cd.example.com"
	for path, want := range map[string]int{"/api//health": 0, "/api/health": 1, "/app;v=1/x": 0, "/app;v=2/x": 1, "/app/x": 1} {
		before := len(g.records())
		expect(t, path, g.do("GET", argo+path, g.as("alice"), sameSite), http.StatusOK)
		if got := len(g.records()) - before; got != want {
			t.Errorf("%s: %d records, want %d", path, got, want)
		}
	}
	before := len(g.records())
	expect(t, "an upstream without them", g.do("GET", "https://argo-workflows.example.com/api//health", g.as("alice"), sameSite), http.StatusBadRequest)
	if got := len(g.records()) - before; got != 1 {
		t.Errorf("a refusal has %d records", got)
	}
}

func TestExcludedPathsHaveARecordOnlyWhereTheyWereNotAllowed(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, serving(t, http.HandlerFunc(serveEcho)), func(o *proxy.Options) {
		o.Config.Audit.Exclude = []string{"/poll", "/api/*/version", "/assets/**", "/oauth2/userinfo", "/reports/", "/secret/**", "/team-*"}
	})
	const argo = "https://argo-cd.example.com"
	var want []string
	for _, q := range []struct {
		who, method, path, record string
	}{
		{"alice", "GET", "/poll", ""},
		{"alice", "GET", "/poll?full=1", ""},
		{"alice", "HEAD", "/poll", ""},
		{"alice", "GET", "/%70oll", ""}, // the same path
		{"alice", "GET", "/poll/", "allow /poll/"},
		{"alice", "GET", "/Poll", "allow /Poll"},
		{"alice", "GET", "/api/v1/version", ""},
		{"alice", "GET", "/api/v1/v2/version", "allow /api/v1/v2/version"},
		{"alice", "GET", "/assets/a/b.js", ""},
		{"alice", "GET", "/assets", ""}, // ** is none, too
		{"alice", "GET", "/team-a", ""},
		{"alice", "GET", "/oauth2/userinfo", ""},
		{"alice", "GET", "/other", "allow /other"},
		{"", "GET", "/reports/", ""}, // for every user
		{"", "GET", "/poll", "login /poll"},
		{"", "GET", "/oauth2/userinfo", "login /oauth2/userinfo"},
		{"bob", "GET", "/secret/x", "deny /secret/x"},
		{"bob", "POST", "/poll", "deny /poll"},
		{"alice", "GET", "/assets/%00", "refuse "},
	} {
		var cookie []string
		if q.who != "" {
			cookie = g.as(q.who)
		}
		g.do(q.method, argo+q.path, cookie, sameSite)
		if q.record != "" {
			want = append(want, q.record)
		}
	}
	asked := []string{"X-Original-URL", argo + "/poll", "X-Original-Method", "GET"}
	expect(t, "an ingress's question", g.do("GET", "https://authgate/oauth2/auth", g.as("alice"), asked), http.StatusAccepted)
	var got []string
	for _, r := range g.records() {
		if r.Event == audit.Request {
			got = append(got, string(r.Decision)+" "+r.Path)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(g.metrics(), `authgate_requests_total{code="200",decision="allow",upstream="argocd"} 12`) {
		t.Errorf("not all are counted:\n%s", g.metrics())
	}
}
