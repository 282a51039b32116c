package proxy_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy"
)

type record = audit.Record

func unlimited(o *proxy.Options) { o.Config.Limits.StreamsPerPrincipal = 0 }

func atMost(n int) func(*proxy.Options) {
	return func(o *proxy.Options) { o.Config.Limits.StreamsPerPrincipal = n }
}

// clock is one that a test can put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration)  { c.ahead.Add(int64(d)) }
func (c *clock) options(o *proxy.Options) { o.Now = c.now }
func (g *gate) of(event audit.Event) []record {
	var some []record
	for _, r := range g.records() {
		if r.Event == event {
			some = append(some, r)
		}
	}
	return some
}

// wantRecords waits for as many records of requests, and checks each.
func (g *gate) wantRecords(n int, right func(i int, r record) bool) {
	g.t.Helper()
	eventually(g.t, fmt.Sprintf("%d requests in the audit", n), func() bool { return len(g.of(audit.Request)) >= n })
	for i, r := range g.of(audit.Request) {
		if !right(i, r) {
			g.t.Errorf("record %d: %+v", i, r)
		}
	}
}

// watched runs ReviewStreams to the end of the test.
func (g *gate) watched() *gate {
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { g.ReviewStreams(ctx) })
	g.t.Cleanup(func() { stop(); watching.Wait() })
	return g
}

// withoutAlice is the policy after alice has lost her role.
var withoutAlice = strings.Replace(rules, "g, example-org:argo, role:admin\n", "", 1)

// streamer has a stream of each kind, and tells when one has ended.
type streamer struct {
	ended chan string
	next  chan string // to all that are open
}

func newStreamer(t testing.TB) (*streamer, string) {
	s := &streamer{ended: make(chan string, 100), next: make(chan string)}
	server := httptest.NewUnstartedServer(s)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	return s, server.URL
}

// wsText is an unmasked frame, as a server sends it.
func wsText(text string) string {
	return string([]byte{0x81, byte(len(text))}) + text
}

func (s *streamer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() { s.ended <- r.URL.Path }()
	if strings.HasPrefix(r.URL.Path, "/ws") {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, switching+wsText("hello"))
		if r.URL.Path == "/ws-torn" {
			fmt.Fprint(conn, "\x81\x05he") // a frame that never ends
		}
		_, _ = io.Copy(conn, rw) // echoes
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/events"):
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	case strings.HasPrefix(r.URL.Path, "/grpc"):
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
	}
	fmt.Fprint(w, "data: hello\n\n")
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case text := <-s.next:
			fmt.Fprint(w, text)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// chunked reads one chunk of an answer.
func (w *wire) chunk() string {
	w.t.Helper()
	size, err := w.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(size, "%x", &n); err != nil {
		w.t.Fatalf("%q: %v", size, err)
	}
	text := make([]byte, n+2)
	if _, err := io.ReadFull(w, text); err != nil {
		w.t.Fatal(err)
	}
	return string(text[:n])
}

// open opens a stream and reads its first words.
func (g *gate) open(path, who string) *wire {
	g.t.Helper()
	if strings.HasPrefix(path, "/ws") {
		c := g.connect(g.handshake(path, who))
		c.switched()
		c.take(wsText("hello"))
		return c
	}
	c := g.connect(g.request("GET "+path, who) + "\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		g.t.Fatal(head)
	}
	if got := c.chunk(); got != "data: hello\n\n" {
		g.t.Fatalf("%q", got)
	}
	return c
}

// goodbye is a Close frame.
func goodbye(code uint16, reason string) string {
	frame := binary.BigEndian.AppendUint16([]byte{0x88, byte(2 + len(reason))}, code)
	return string(frame) + reason
}

func TestStreamsAreCutWhenThePolicyChanges(t *testing.T) {
	t.Parallel()
	s, url := newStreamer(t)
	g := newGateTo(t, url).watched()
	open := map[string]*wire{}
	for _, path := range []string{"/ws/a", "/ws-torn", "/events/a", "/plain/a"} {
		open[path] = g.open(path, "alice")
	}
	torn := open["/ws-torn"]
	torn.take("\x81\x05he")
	bob := g.open("/events/bob", "bob")
	g.wantMetrics(`authgate_streams{upstream="argocd"} 4`, `authgate_streams_cut_total{reason="denied"} 0`)

	begun := time.Now()
	g.SetPolicy(load(t, withoutAlice))
	open["/ws/a"].take(goodbye(1008, "denied"))
	open["/events/a"].take("0\r\n\r\n")                              // complete
	for _, path := range []string{"/ws/a", "/ws-torn", "/plain/a"} { // no place for a frame, and visibly not complete
		if rest, err := open[path].end(); rest != "" || err != nil {
			t.Errorf("%s ends with %q, %v", path, rest, err)
		}
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	for range open {
		if path := <-s.ended; strings.HasSuffix(path, "bob") {
			t.Fatal("a stream was disturbed that is still allowed")
		}
	}
	s.next <- "data: still here\n\n"
	if got := bob.chunk(); got != "data: still here\n\n" {
		t.Errorf("%q", got)
	}
	g.wantRecords(4, func(_ int, r record) bool {
		return r.Reason == "denied" && r.Decision == audit.Allow && r.Subject == "sub-alice"
	})
	cuts := g.of(audit.StreamCut)
	if len(cuts) != 4 {
		t.Fatalf("%d records of cuts: %+v", len(cuts), cuts)
	}
	requests := map[string]record{}
	for _, r := range g.of(audit.Request) {
		requests[r.ID] = r
	}
	for _, r := range cuts {
		if r.Reason != "denied" || r.Decision != audit.Deny || r.Subject != "sub-alice" || r.Generation != 2 || requests[r.ID].Path != r.Path || r.RequestID == "" {
			t.Errorf("%+v", r)
		}
	}
	eventually(t, "one stream is left", func() bool { return strings.Contains(g.metrics(), `authgate_streams{upstream="argocd"} 1`) })
	g.wantMetrics(`authgate_streams_cut_total{reason="denied"} 4`, `authgate_streams_cut_total{reason="expired"} 0`)
}

func TestAPolicyThatStillAllowsDisturbsNothing(t *testing.T) {
	t.Parallel()
	s, url := newStreamer(t)
	g := newGateTo(t, url).watched()
	terminal, list := g.open("/ws/a", "alice"), g.open("/events/a", "bob")
	for i := range 20 {
		g.SetPolicy(load(t, rules+fmt.Sprintf("p, role:viewer, argocd, /n%d, POST, allow\n", i)))
		g.RejectPolicy(errTest("policy.csv: cut short"))
	}
	g.SetPolicy(load(t, strings.Replace(rules, "g, example-org:argo, role:admin", "g, example-org:argo, role:viewer", 1))) // another row allows now
	s.next <- "data: x\n\n"
	if got := list.chunk(); got != "data: x\n\n" {
		t.Errorf("%q", got)
	}
	terminal.send(wsText("abc"))
	terminal.take(wsText("abc"))
	if cuts := g.of(audit.StreamCut); len(cuts) != 0 {
		t.Errorf("%+v", cuts)
	}
}

func TestStreamsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	var c clock
	_, url := newStreamer(t)
	g := newGateTo(t, url, c.options).watched()
	terminal, list := g.open("/ws/a", "alice"), g.open("/events/a", "alice")
	anonymous := g.connect("GET /api/dex/x HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\n\r\n")
	unmatched := g.open("/api/dex/y", "carol") // no row is for her: her request is anonymous
	anonymous.head()
	anonymous.chunk()
	c.forward(59 * time.Minute)
	terminal.send(wsText("abc"))
	terminal.take(wsText("abc"))
	c.forward(2 * time.Minute)
	if rest, err := terminal.end(); rest != goodbye(1008, "expired") || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	list.take("0\r\n\r\n")
	if cuts := g.of(audit.StreamCut); len(cuts) != 2 || cuts[0].Reason != "expired" || cuts[0].Decision != audit.Refuse {
		t.Errorf("%+v", cuts)
	}
	for _, w := range []*wire{anonymous, unmatched} {
		if w.Buffered() != 0 {
			t.Error("an anonymous stream ended with the session of a user")
		}
	}
	g.SetPolicy(load(t, strings.Replace(rules, "p, system:anonymous, argocd, /api/dex/**, *, allow\n", "", 1)))
	for _, w := range []*wire{anonymous, unmatched} {
		if rest, err := w.end(); rest != "" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	}
}

// Where only a row for anonymous requests is left, the upstream must not continue to
// assume that it talks to the user.
func TestAStreamAllowedOnlyForAnonymousIsCut(t *testing.T) {
	t.Parallel()
	_, url := newStreamer(t)
	g := newGateTo(t, url).watched()
	c := g.open("/events/a", "alice")
	g.SetPolicy(load(t, withoutAlice+"p, system:anonymous, argocd, /events/**, GET, allow\n"))
	c.take("0\r\n\r\n")
}

func TestSigningOutEndsTheStreamsOfThatSessionAlone(t *testing.T) {
	t.Parallel()
	s, url := newStreamer(t)
	g := newGateTo(t, url) // no one watches: it is done at once
	cookie := g.as("alice")[1]
	c := g.connect("GET /events/a HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nCookie: " + cookie + "\r\n\r\n")
	c.head()
	c.chunk()
	other := g.open("/events/b", "alice") // another session of hers
	expect(t, "sign out", g.do("POST", "https://argo-cd.example.com/oauth2/sign_out", []string{"Cookie", cookie}, sameSite), http.StatusSeeOther)
	c.take("0\r\n\r\n")
	if path := <-s.ended; path != "/events/a" {
		t.Errorf("%s ended", path)
	}
	s.next <- "data: x\n\n"
	if got := other.chunk(); got != "data: x\n\n" {
		t.Errorf("%q", got)
	}
	if cuts := g.of(audit.StreamCut); len(cuts) != 1 || cuts[0].Reason != "signed_out" {
		t.Errorf("%+v", cuts)
	}
}

// The policy changes when the request was let through and the upstream has not
// answered yet.
func TestRevocationDuringTheHandshakeIsNotMissed(t *testing.T) {
	t.Parallel()
	var g *gate
	closed := make(chan struct{}, 2)
	g = newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, head string) {
		g.SetPolicy(load(t, withoutAlice))
		if strings.HasPrefix(head, "GET /ws") {
			fmt.Fprint(conn, switching+"secret")
		} else {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: secret\n\n")
		}
		_, _ = io.Copy(io.Discard, r)
		closed <- struct{}{}
	})) // no one watches
	for _, request := range []string{g.handshake("/ws", "alice"), g.request("GET /events", "alice") + "\r\n"} {
		g.SetPolicy(load(t, rules))
		res := g.raw(strings.Replace(request, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		expect(t, request[:9], res, http.StatusForbidden)
		if got := body(t, res); strings.Contains(got, "secret") {
			t.Error(got)
		}
		<-closed
	}
	g.wantMetrics(`authgate_streams_cut_total{reason="denied"} 2`, `authgate_streams{upstream="argocd"} 0`)
}

func TestStreamsOfAPrincipalAreLimited(t *testing.T) {
	t.Parallel()
	s, url := newStreamer(t)
	g := newGateTo(t, url, atMost(2))
	first := g.open("/ws/a", "alice")
	g.open("/events/a", "alice")
	g.open("/plain/a", "alice") // of unknown length alone: most of these are pages
	refused := func(what, request string) {
		t.Helper()
		res := g.raw(strings.Replace(request, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		expect(t, what, res, http.StatusTooManyRequests)
		if got := body(t, res); !strings.Contains(got, "too_many_streams") {
			t.Error(got)
		}
	}
	refused("a terminal", strings.Replace(g.handshake("/ws/b", "alice"), "keep-alive, ", "", 1))
	refused("events", g.request("GET /events/b", "alice")+"\r\n")
	if path := <-s.ended; path != "/events/b" {
		t.Errorf("%s has ended", path)
	}
	g.open("/ws/bob", "bob")
	first.Close()
	eventually(t, "there is room again", func() bool { return strings.Contains(g.metrics(), `authgate_streams{upstream="argocd"} 2`) })
	g.open("/ws/c", "alice")
}

func TestShutdownEndsStreamsAndWaitsForThem(t *testing.T) {
	t.Parallel()
	_, url := newStreamer(t)
	g := newGateTo(t, url)
	terminal, list, plain := g.open("/ws/a", "alice"), g.open("/events/a", "alice"), g.open("/plain/a", "alice")
	begun := time.Now()
	g.CutStreams(t.Context(), 300*time.Millisecond)
	if took := time.Since(begun); took < 300*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %s: what may end by itself gets all the time", took)
	}
	if rest, err := terminal.end(); rest != goodbye(1001, "shutdown") || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	list.take("0\r\n\r\n")
	if rest, err := plain.end(); rest != "" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	g.wantMetrics(`authgate_streams_cut_total{reason="shutdown"} 3`, `authgate_streams{upstream="argocd"} 0`)
	g.CutStreams(t.Context(), time.Hour) // returns at once: nothing is open
}

func TestStreamsAreNotCutAllAtOnce(t *testing.T) {
	t.Parallel()
	_, url := newStreamer(t)
	g := newGateTo(t, url, unlimited)
	for i := range 30 {
		g.open(fmt.Sprintf("/events/%d", i), "alice")
	}
	g.CutStreams(t.Context(), 500*time.Millisecond)
	cuts := g.of(audit.StreamCut)
	if len(cuts) != 30 {
		t.Fatalf("%d cuts", len(cuts))
	}
	if spread := cuts[29].Time.Sub(cuts[0].Time); spread < 200*time.Millisecond {
		t.Errorf("all within %s", spread)
	}
}

func TestAClientThatTakesNothingIsCut(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]string{"a download": "Content-Length: 1000000000\r\n", "a stream": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c clock
			gone := make(chan struct{})
			g := newGateTo(t, rawServer(t, func(conn net.Conn, _ *bufio.Reader, _ string) {
				fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n"+length+"\r\n")
				_, _ = io.CopyN(conn, zeroes{}, 1e9)
				close(gone)
			}), c.options).watched()
			client := g.connect(g.request("GET /large", "alice") + "\r\n")
			client.head()
			// It reads on for two minutes, and then no more.
			for range 4 {
				c.forward(30 * time.Second)
				_, _ = io.CopyN(io.Discard, client, 8<<20)
			}
			if cuts := g.of(audit.StreamCut); len(cuts) != 0 {
				t.Fatalf("%+v", cuts)
			}
			eventually(t, "the cut", func() bool {
				c.forward(10 * time.Second) // the buffers on the way fill at their own pace
				return len(g.of(audit.StreamCut)) == 1
			})
			<-gone
			if r := g.of(audit.StreamCut)[0]; r.Reason != "stalled" {
				t.Errorf("%+v", r)
			}
			g.wantRecords(1, func(_ int, r record) bool { return r.Reason == "stalled" && r.Status == http.StatusOK })
		})
	}
}

// gRPC ends with a status in its trailers, over HTTP/2.
func TestCutCallsEndWithAStatus(t *testing.T) {
	t.Parallel()
	_, url := newStreamer(t)
	g := newGateTo(t, url, atMost(2)).watched()
	server := httptest.NewUnstartedServer(g)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	cookie := g.as("alice")[1]
	call := func(path string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "argo-cd.example.com"
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Set("Te", "trailers")
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("Cookie", cookie)
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode != http.StatusOK {
			t.Fatalf("status %d", res.StatusCode)
		}
		return res
	}
	watch := call("/grpc.Application/Watch")
	first := make([]byte, len("data: hello\n\n"))
	if _, err := io.ReadFull(watch.Body, first); err != nil {
		t.Fatal(err)
	}
	call("/grpc.Application/Watch")
	if third := call("/grpc.Application/Watch"); third.Header.Get("Grpc-Status") != "8" {
		t.Errorf("one too many: %q", third.Header)
	}
	g.SetPolicy(load(t, withoutAlice))
	rest, err := io.ReadAll(watch.Body)
	if len(rest) != 0 || err != nil || watch.Trailer.Get("Grpc-Status") != "7" || watch.Trailer.Get("Grpc-Message") == "" {
		t.Errorf("%q, %v, trailers %q", rest, err, watch.Trailer)
	}
	eventually(t, "none is left", func() bool { return strings.Contains(g.metrics(), `authgate_streams{upstream="argocd"} 0`) })
}
