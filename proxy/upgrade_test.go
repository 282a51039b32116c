package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
)

// rawServer is an upstream that speaks for itself: play gets each connection,
// with the head of its first request as it was on the wire.
func rawServer(t testing.TB, play func(conn net.Conn, r *bufio.Reader, head string)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				var head strings.Builder
				for !strings.HasSuffix(head.String(), "\r\n\r\n") {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					head.WriteString(line)
				}
				play(conn, r, head.String())
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// wire is a client's connection.
type wire struct {
	net.Conn
	*bufio.Reader
	t testing.TB
}

func (w *wire) Read(b []byte) (int, error) { return w.Reader.Read(b) }

// connect opens a connection and sends something.
func (g *gate) connect(request string) *wire {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	w := &wire{conn, bufio.NewReader(conn), g.t}
	w.send(request)
	return w
}

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, text); err != nil {
		w.t.Fatal(err)
	}
}

// head reads as far as the empty line.
func (w *wire) head() string {
	w.t.Helper()
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := w.ReadString('\n')
		if err != nil {
			w.t.Fatalf("after %q: %v", head.String(), err)
		}
		head.WriteString(line)
	}
	return head.String()
}

// switched reads a 101.
func (w *wire) switched() string {
	w.t.Helper()
	head := w.head()
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		w.t.Fatalf("no 101: %s", head)
	}
	return head
}

// take reads exactly what is expected.
func (w *wire) take(want string) {
	w.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(w, got)
	if string(got) != want {
		w.t.Errorf("got %q (%v), want %q", got[:n], err, want)
	}
}

// end reads to the end.
func (w *wire) end() (rest string, err error) {
	b, err := io.ReadAll(w)
	return string(b), err
}

// request is the head of one of a signed-in person, to be ended by an empty line.
func (g *gate) request(line, who string) string {
	return line + " HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nSec-Fetch-Site: same-origin\r\nCookie: " + g.as(who)[1] + "\r\n"
}

func (g *gate) handshake(path, who string) string {
	return g.request("GET "+path, who) + "Origin: https://argo-cd.example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// eventually waits for a condition that nothing announces.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func TestWhatAClientSendsBeforeTheSwitchReachesTheUpstream(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	g := newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, _ string) {
		asked <- struct{}{}
		<-answer
		fmt.Fprint(conn, switching+"welcome")
		_, _ = io.Copy(conn, r)
	}))
	for name, send := range map[string]func() *wire{
		"in the packet of the handshake": func() *wire {
			c := g.connect(g.handshake("/terminal", "alice") + "EARLY")
			<-asked
			return c
		},
		"while the upstream thinks": func() *wire {
			c := g.connect(g.handshake("/terminal", "alice"))
			<-asked
			c.send("EARLY")
			return c
		},
		"more than a buffer": func() *wire {
			c := g.connect(g.handshake("/terminal", "alice") + strings.Repeat("EARLY", 4000))
			<-asked
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := send()
			answer <- struct{}{}
			c.switched()
			c.send(" and late")
			if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			want := "welcomeEARLY and late"
			if strings.HasPrefix(name, "more") {
				want = "welcome" + strings.Repeat("EARLY", 4000) + " and late"
			}
			if got, err := c.end(); got != want || err != nil {
				t.Errorf("%d bytes %.40q…, %v; want %d", len(got), got, err, len(want))
			}
		})
	}
}

func TestOnlyAProperSwitchIsOne(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"to something else":    "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"to a list":            "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
		"to two":               "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
		"to nothing":           "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n",
		"that is not listed":   "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n",
		"without a connection": "HTTP/1.1 101 X\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan error, 20)
			g := newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, _ string) {
				fmt.Fprint(conn, answer)
				_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, err := r.ReadByte()
				closed <- err
			}))
			for range 3 {
				expect(t, name, g.raw(strings.Replace(g.handshake("/terminal", "alice"), "keep-alive", "close", 1)), http.StatusBadGateway)
				if err := <-closed; !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
					t.Errorf("the upstream's connection stays open: %v", err)
				}
			}
			if r := g.records()[1]; r.Reason != "upstream_bad_response" || r.Status != http.StatusBadGateway {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestUpgradeThatTheUpstreamRefusesIsAnAnswerLikeAnyOther(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, rawServer(t, func(conn net.Conn, _ *bufio.Reader, _ string) {
		fmt.Fprint(conn, "HTTP/1.1 103 Early\r\nSet-Cookie: early=1\r\n\r\nHTTP/1.1 426 Upgrade Required\r\nContent-Length: 4\r\nSet-Cookie: __Host-authgate=x\r\nX-Why: old\r\nSec-WebSocket-Version: 8\r\n\r\nno.\n")
	}))
	c := g.connect(g.handshake("/terminal", "alice"))
	head := c.head()
	c.take("no.\n")
	if !strings.HasPrefix(head, "HTTP/1.1 426 ") || !strings.Contains(head, "X-Why: old") || strings.Contains(head, "Set-Cookie") {
		t.Error(head)
	}
	c.send(g.handshake("/terminal", "alice")) // the connection is as good as before
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 426 ") {
		t.Error(head)
	}
	eventually(t, "no stream is left", func() bool { return strings.Contains(g.metrics(), `authgate_streams{upstream="argocd"} 0`) })
}

func TestHandshakeOfAWebSocket(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 1)
	g := newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, head string) {
		heads <- head
		fmt.Fprint(conn, "HTTP/1.1 101 Sure\r\nConnection: upgrade, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nUpgrade: WebSocket\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: tty\r\nSet-Cookie: __Host-authgate=mine\r\nSet-Cookie: theme=dark\r\nAlt-Svc: clear\r\n\r\n")
		_, _ = io.Copy(io.Discard, r)
	}))
	c := g.connect(strings.Replace(g.handshake("/terminal?pod=a;b&c=%zz", "alice"), "\r\n\r\n",
		"\r\nSec-WebSocket-Protocol: tty\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX-Forwarded-User: root\r\nKeep-Alive: 5\r\nTE: gzip\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 1))
	sent, got := <-heads, c.switched()
	for _, want := range []string{
		"GET /terminal?pod=a;b&c=%zz HTTP/1.1\r\n", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n", "\r\nX-Forwarded-User: sub-alice\r\n",
		"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "\r\nSec-WebSocket-Version: 13\r\n", "\r\nSec-WebSocket-Protocol: tty\r\n",
		"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", "\r\nHost: argo-cd.example.com\r\n",
	} {
		if !strings.Contains(sent, want) {
			t.Errorf("the upstream did not get %q:\n%s", want, sent)
		}
	}
	for _, not := range []string{"Cookie", "Keep-Alive", "Te:", "Http2", "User-Agent", "Sec-Websocket"} {
		if strings.Contains(sent, not) {
			t.Errorf("the upstream got %q:\n%s", not, sent)
		}
	}
	for _, want := range []string{"\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n", "\r\nSec-WebSocket-Accept: s3p", "\r\nSec-WebSocket-Protocol: tty\r\n", "\r\nSet-Cookie: theme=dark\r\n", "\r\nX-Request-Id: "} {
		if !strings.Contains(got, want) {
			t.Errorf("the client did not get %q:\n%s", want, got)
		}
	}
	for _, not := range []string{"Keep-Alive", "X-Hop", "authgate", "Alt-Svc"} {
		if strings.Contains(got, not) {
			t.Errorf("the client got %q:\n%s", not, got)
		}
	}
}

func TestUpgradeThatIsNotListedInConnectionIsNone(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	got := echoed(t, g.raw(strings.Replace(g.handshake("/terminal", "alice"), "keep-alive, Upgrade", "close", 1)))
	if got.Header.Get("Upgrade") != "" || got.Header.Get("Connection") != "" {
		t.Errorf("%q", got.Header)
	}
}

func TestEitherSideMayFinishFirst(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, head string) {
		fmt.Fprint(conn, switching)
		if strings.HasPrefix(head, "GET /upstream") {
			fmt.Fprint(conn, "BYE")
			_ = conn.(*net.TCPConn).CloseWrite()
			said, _ := io.ReadAll(r)
			if string(said) != "last words" {
				t.Errorf("the upstream heard %q", said)
			}
			return
		}
		said, _ := io.ReadAll(r) // to the client's end
		fmt.Fprintf(conn, "heard %s", said)
	}))
	c := g.connect(g.handshake("/client", "alice"))
	c.switched()
	c.send("hello")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	if got, err := c.end(); got != "heard hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	eventually(t, "the first record, which is to come first", func() bool { return len(g.of(audit.Request)) == 1 })
	c = g.connect(g.handshake("/upstream", "alice"))
	c.switched()
	c.take("BYE")
	c.send("last words")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	if got, err := c.end(); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	g.wantRecords(2, func(i int, r record) bool {
		return r.Status == http.StatusSwitchingProtocols && r.Bytes == []int64{11, 3}[i] && r.Decision == "allow" && r.Reason == ""
	})
	eventually(t, "no stream is left", func() bool { return strings.Contains(g.metrics(), `authgate_streams{upstream="argocd"} 0`) })
}

func TestResetOfOneSideEndsTheOther(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 1)
	g := newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, head string) {
		fmt.Fprint(conn, switching)
		if strings.HasPrefix(head, "GET /upstream") {
			_ = conn.(*net.TCPConn).SetLinger(0)
			return
		}
		_, err := r.ReadByte()
		gone <- err
	}))
	c := g.connect(g.handshake("/upstream", "alice"))
	c.switched()
	if rest, _ := c.end(); rest != "" {
		t.Errorf("%q", rest)
	}
	c = g.connect(g.handshake("/client", "alice"))
	c.switched()
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the upstream's side stays open")
	}
}

// Two goroutines a WebSocket and a few KiB: those who have many of them open are
// the people who watch dashboards all day.
func TestAnIdleWebSocketCostsLittle(t *testing.T) {
	const many, most = 200, 64 << 10
	release := make(chan struct{})
	g := newGateTo(t, rawServer(t, func(conn net.Conn, _ *bufio.Reader, _ string) {
		fmt.Fprint(conn, switching+strings.Repeat("x", 5000))
		<-release
	}), unlimited)
	defer close(release)
	handshake := g.handshake("/terminal", "alice")
	measure := func() (heap, stacks uint64, goroutines int) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, m.StackInuse, runtime.NumGoroutine()
	}
	heap, stacks, goroutines := measure()
	for range many {
		c := g.connect(handshake)
		c.switched()
		c.take(strings.Repeat("x", 5000))
	}
	heap2, stacks2, goroutines2 := measure()
	perHeap, perStack, perGoroutines := (heap2-heap)/many, (stacks2-stacks)/many, float64(goroutines2-goroutines)/many
	t.Logf("each: %d bytes of heap, %d of stacks, %.2f goroutines, the upstream's and the client's here included", perHeap, perStack, perGoroutines)
	if perHeap+perStack > most || perGoroutines > 3.2 { // one is the upstream's
		t.Errorf("more than %d bytes or 3 goroutines", most)
	}
}
