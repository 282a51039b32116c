package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
)

// windowless opens a connection of HTTP/2 whose client takes no byte of a body,
// and asks for paths, each on a stream of its own.
func (g *gate) windowless(cookie string, paths ...string) net.Conn {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	const settings, headers, endOfBoth = 4, 1, 4 | 1
	noWindow := []byte{0, 4, 0, 0, 0, 0} // SETTINGS_INITIAL_WINDOW_SIZE
	out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(settings, 0, 0, noWindow)...)
	for i, path := range paths {
		var block []byte
		for _, field := range [][2]string{
			{":method", "GET"},
			{":scheme", "http"},
			{":authority", "argo-cd.example.com"},
			{":path", path},
			{"x-forwarded-proto", "https"},
			{"x-forwarded-for", "203.0.113.7"},
			{"cookie", cookie},
		} {
			block = appendString(appendString(append(block, 0), field[0]), field[1])
		}
		out = append(out, frame(headers, endOfBoth, uint32(2*i+1), block)...)
	}
	if _, err := conn.Write(out); err != nil {
		g.t.Fatal(err)
	}
	return conn
}

// resets reads frames until as many streams have been reset.
func resets(t *testing.T, conn net.Conn, want int) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for in, got := bufio.NewReader(conn), 0; got < want; {
		var head [9]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			t.Fatalf("%d of %d streams were reset: %v", got, want, err)
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(in, payload); err != nil {
			t.Fatal(err)
		}
		const reset, data = 3, 0
		switch {
		case head[3] == reset:
			got++
		case head[3] == data && len(payload) > 0:
			t.Fatal("the test takes bytes")
		}
	}
}

func TestAnswersThatAClientOfHTTP2DoesNotTakeEnd(t *testing.T) {
	t.Parallel()
	var c clock
	g := newGateTo(t, serverOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/medium":
			_, _ = io.WriteString(w, strings.Repeat("x", 60_000))
		case "/flushed":
			_, _ = io.WriteString(w, "some")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "more")
		default:
			_, _ = io.WriteString(w, "small")
		}
	})), c.options).watched()
	g.servePort()
	paths := []string{"/small", "/medium", "/flushed", "/a//b", "/secret/x", "/oauth2/userinfo", "/oauth2/", "/oauth2/nothing"}
	conn := g.windowless(g.as("bob")[1], paths...)
	eventually(t, "all of them wait", func() bool {
		c.forward(10 * time.Second)
		return len(g.of(audit.StreamCut)) == len(paths)
	})
	resets(t, conn, len(paths))
	g.wantRecords(len(paths), func(_ int, r record) bool { return r.Reason == "stalled" })
	for _, r := range g.of(audit.StreamCut) {
		if r.Reason != "stalled" {
			t.Errorf("%+v", r)
		}
	}
}

func TestOneClientHasFewAnswersThatItDoesNotTake(t *testing.T) {
	t.Parallel()
	var c clock
	g := newGateTo(t, serverOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "small") })), c.options).watched()
	g.servePort()
	const most, more = 100, 20
	paths := make([]string, (most+more)/2)
	for i := range paths {
		paths[i] = "/a"
	}
	cookie := g.as("bob")[1]
	g.windowless(cookie, paths...)
	g.windowless(cookie, paths...)
	eventually(t, "all of them wait", func() bool { return g.Stalled() == most+more })
	c.forward(15 * time.Second)
	eventually(t, "the cuts", func() bool { return len(g.of(audit.StreamCut)) >= more })
	g.wantRecords(more, func(_ int, r record) bool { return r.Reason == "stalled" })
	if cuts := g.of(audit.StreamCut); len(cuts) > more {
		t.Errorf("%d cuts", len(cuts))
	}
}
