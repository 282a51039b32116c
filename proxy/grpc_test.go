package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/proxy/respond"
)

const grpcWebPath = "https://argo-cd.example.com/application.ApplicationService/Watch"

func TestGRPCAndGRPCWebAreAnsweredInTheirOwnTerms(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, "http://"+closedAddress, func(o *proxy.Options) { o.Config.Limits.BodyBytes = 10 })
	for asked, answered := range map[string]string{
		"application/grpc":                  "application/grpc",
		"application/grpc+proto":            "application/grpc",
		"application/grpc;x=y":              "application/grpc",
		"application/grpc-web":              "application/grpc-web",
		"application/grpc-web+proto":        "application/grpc-web+proto",
		"application/grpc-web+json":         "application/grpc-web",
		"Application/gRPC":                  "application/grpc",
		"Application/GRPC-Web+Proto":        "application/grpc-web+proto",
		"application/grpc-web-text":         "application/grpc-web-text",
		"application/grpc-web-text+proto":   "application/grpc-web-text+proto",
		"application/grpc-web-text+proto;x": "application/grpc-web-text+proto",
	} {
		for what, test := range map[string]struct {
			url, status string
			headers     []string
		}{
			"anonymous":    {grpcWebPath, "16", nil},
			"denied":       {grpcWebPath, "7", g.as("bob")},
			"bad path":     {"https://argo-cd.example.com/a//b", "13", g.as("alice")},
			"no such host": {"https://other.example.com/a.B/C", "12", g.as("alice")},
			"own endpoint": {"https://argo-cd.example.com/oauth2/nothing", "12", g.as("alice")},
			"no upstream":  {grpcWebPath, "14", g.as("alice")},
			"upload":       {grpcWebPath, "8", append([]string{"Content-Length", "11"}, g.as("alice")...)},
			"login":        {"https://argo-cd.example.com/oauth2/start", "12", nil},
		} {
			res := g.do("POST", test.url, test.headers, browser[:2], browser[4:], sameSite, []string{"Content-Type", asked})
			h := res.Header
			if res.StatusCode != http.StatusOK || h.Get("Grpc-Status") != test.status || h.Get("Content-Type") != answered || h.Get("Grpc-Message") == "" || body(t, res) != "" {
				t.Errorf("%s in %s: %d %q; want %s in %s", what, asked, res.StatusCode, h, test.status, answered)
			}
			if web := strings.Contains(strings.ToLower(asked), "-web"); web != (h.Get("Access-Control-Expose-Headers") == "Grpc-Status, Grpc-Message") {
				t.Errorf("%s in %s: a script could not read the status: %q", what, asked, h)
			}
		}
	}
	for _, other := range []string{"application/grpcx", "application/json", "application/grpc.web", "text/grpc"} {
		res := g.do("POST", grpcWebPath, []string{"Content-Type", other})
		expect(t, other, res, http.StatusUnauthorized)
	}
}

func TestStatusesOfGRPC(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		400: "13", 401: "16", 403: "7", 404: "12", 405: "12", 413: "8", 415: "2", 421: "12", 429: "8", 431: "8", 500: "2", 502: "14", 503: "14", 504: "14",
	} {
		w := httptest.NewRecorder()
		respond.WriteGRPC(w, httptest.NewRequest("POST", "/", nil), &respond.Refusal{Status: status, Detail: "100 % sûr\n"})
		if got := w.Header().Get("Grpc-Status"); got != want {
			t.Errorf("%d became %s, want %s", status, got, want)
		}
		if got := w.Header().Get("Grpc-Message"); got != "100 %25 s%C3%BBr%0A" {
			t.Errorf("message %q", got)
		}
	}
}

func TestWhatPassesByItselfSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	busy := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) { o.Overloaded = func(context.Context) bool { return true } })
	res := busy.do("GET", app, busy.as("alice"))
	expect(t, "too many connections", res, http.StatusServiceUnavailable)
	if res.Header.Get("Retry-After") != "5" {
		t.Errorf("%q", res.Header)
	}

	g := newGateTo(t, eventStream(t), func(o *proxy.Options) { o.Config.Limits.StreamsPerPrincipal = 1 })
	first, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	fmt.Fprintf(first, "GET /api/v1/stream HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nCookie: %s\r\n\r\n", g.as("alice")[1])
	if res, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	res = g.do("GET", "https://argo-cd.example.com/api/v1/stream", g.as("alice"))
	expect(t, "too many streams", res, http.StatusTooManyRequests)
	if res.Header.Get("Retry-After") != "5" {
		t.Errorf("%q", res.Header)
	}
	if res = g.do("GET", app, g.as("carol")); res.Header.Get("Retry-After") != "" {
		t.Errorf("a refusal for good says to come back: %q", res.Header)
	}
}

// eventStream is an upstream whose every answer is a stream of events.
func eventStream(t *testing.T) string {
	return "http://" + h2cServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
}

func TestBalancersOfGRPCTargetsAreAnswered(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	call := []string{"Content-Type", "application/grpc", "Te", "trailers"}
	const alb, check, watch = "/AWS.ALB/healthcheck", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
	ask := func(path string, headers ...[]string) (status, message string) {
		t.Helper()
		res := g.do("POST", "https://10.0.0.7:8080"+path, append(headers, call)...)
		expect(t, path, res, http.StatusOK)
		message = body(t, res)
		if status = res.Header.Get("Grpc-Status"); status == "" {
			status = res.Trailer.Get("Grpc-Status")
		}
		if got := res.Header.Get("Content-Type"); got != "application/grpc" {
			t.Errorf("%s: content type %q", path, got)
		}
		return status, message
	}
	is := func(when, path, wantStatus, wantMessage string) {
		t.Helper()
		if status, message := ask(path); status != wantStatus || message != wantMessage {
			t.Errorf("%s, %s: status %q, message %q; want %q, %q", when, path, status, message, wantStatus, wantMessage)
		}
	}
	is("ready", alb, "0", "\x00\x00\x00\x00\x00")
	is("ready", check, "0", "\x00\x00\x00\x00\x02\x08\x01")
	is("ready", check+"?x", "0", "\x00\x00\x00\x00\x02\x08\x01")
	is("ready", watch, "12", "")
	g.issuer.ready = errTest("discovering https://dex.example.com: connection refused")
	is("issuer unknown", alb, "14", "")
	is("issuer unknown", check, "14", "")
	g.issuer.ready = nil
	g.Drain()
	is("draining", alb, "14", "")
	is("draining", check, "14", "")
	if got := len(g.records()); got != 1 {
		t.Errorf("%d records, want the one of the policy", got)
	}
	// What is no gRPC there is a request like any other.
	for what, res := range map[string]*http.Response{
		"GET":      g.do("GET", "https://argo-cd.example.com"+check, call),
		"JSON":     g.do("POST", "https://argo-cd.example.com"+check, []string{"Content-Type", "application/json"}),
		"gRPC-web": g.do("POST", "https://argo-cd.example.com"+check, []string{"Content-Type", "application/grpc-web"}),
		"a slash":  g.do("POST", "https://argo-cd.example.com"+check+"/", call),
	} {
		if res.StatusCode != http.StatusUnauthorized && res.Header.Get("Grpc-Status") != "16" {
			t.Errorf("%s: %d %q", what, res.StatusCode, res.Header)
		}
	}
}

// What authgate answers by itself it answers at once, and then leaves: the rest of
// the request may never come.
func TestNoAnswerOfAuthgatesOwnWaitsForABody(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, "http://"+closedAddress, func(o *proxy.Options) { o.Config.Limits.BodyBytes = 10 })
	alice := "Cookie: " + g.as("alice")[1]
	var all sync.WaitGroup
	for name, request := range map[string]string{
		"login page":      "GET /applications|Accept: text/html",
		"denied page":     "GET /secret/x|Cookie: " + g.as("bob")[1] + "|Accept: text/html",
		"problem":         "POST /api/v1/x",
		"gRPC":            "POST /a.B/C|Content-Type: application/grpc",
		"gRPC-web":        "POST /a.B/C|Content-Type: application/grpc-web+proto",
		"too large":       "POST /api/v1/x|" + alice,
		"bad target":      "GET /a//b|" + alice,
		"bad method":      "TRACE /|" + alice,
		"health":          "GET /healthz",
		"ready":           "POST /readyz",
		"gRPC health":     "POST /grpc.health.v1.Health/Check|Content-Type: application/grpc",
		"portal":          "GET /oauth2/|" + alice,
		"userinfo":        "GET /oauth2/userinfo|" + alice,
		"start":           "GET /oauth2/start|Accept: text/html",
		"callback":        "GET /oauth2/callback|Accept: text/html",
		"sign out":        "GET /oauth2/sign_out|" + alice,
		"forward auth":    "GET /oauth2/auth|" + alice,
		"nothing there":   "GET /oauth2/nothing|" + alice,
		"unknown host":    "GET /|Host: other.example.com",
		"HEAD of no page": "HEAD /applications",
	} {
		for _, framing := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
			if name == "too large" && strings.HasPrefix(framing, "Transfer") {
				continue // no one knows that it is
			}
			head := strings.Split(request, "|")
			if !strings.Contains(request, "Host: ") {
				head = append(head, "Host: argo-cd.example.com")
			}
			text := head[0] + " HTTP/1.1\r\n" + strings.Join(append(head[1:], "X-Forwarded-Proto: https", framing), "\r\n") + "\r\n\r\n"
			all.Go(func() { // each takes as long as authgate's patience
				if err := answersAndLeaves(g.address, text); err != nil {
					t.Errorf("%s, %s: %v", name, framing, err)
				}
			})
		}
	}
	all.Wait()
}

// answersAndLeaves sends a request without its body.
func answersAndLeaves(address, request string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second)) // before authgate's own
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	reader := bufio.NewReader(conn)
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if !res.Close {
		return errors.New("the connection is kept")
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return fmt.Errorf("the answer has no end: %w", err)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var waited net.Error
	if _, err := reader.ReadByte(); err == nil || errors.As(err, &waited) && waited.Timeout() {
		return fmt.Errorf("the connection is still held: %w", err)
	}
	return nil
}
