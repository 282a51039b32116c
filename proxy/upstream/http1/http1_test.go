package http1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/proxy/upstream/http1"
)

// server is a server that speaks for itself: play gets each connection.
type server struct {
	address string
	conns   atomic.Int32
}

func (s *server) url() string { return "http://" + s.address }

func serve(t testing.TB, play func(conn *peer)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, play)
}

func serveOn(t testing.TB, l net.Listener, play func(conn *peer)) *server {
	s := &server{address: l.Addr().String()}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			number := int(s.conns.Add(1))
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				play(&peer{Conn: conn, Reader: bufio.NewReader(conn), t: t, number: number})
			}()
		}
	}()
	return s
}

// peer is the server's end of a connection.
type peer struct {
	net.Conn
	*bufio.Reader
	t      testing.TB
	number int // of the connection
}

func (p *peer) Read(b []byte) (int, error) { return p.Reader.Read(b) }

// head reads as far as the empty line; "" is the end of the connection.
func (p *peer) head() string {
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := p.ReadString('\n')
		if err != nil {
			return ""
		}
		head.WriteString(line)
	}
	return head.String()
}

func (p *peer) say(text string) { _, _ = io.WriteString(p.Conn, text) }

// always answers every request, which has no body.
func always(response string) func(*peer) {
	return func(p *peer) {
		for p.head() != "" {
			p.say(response)
		}
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func newTransport(t testing.TB) *http1.Transport {
	tr := &http1.Transport{
		MaxIdleConnsPerHost: 64, ExpectContinueTimeout: 10 * time.Second,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// do sends a request and reads the response to its end.
func do(t testing.TB, rt http.RoundTripper, r *http.Request) (*http.Response, string, error) {
	t.Helper()
	res, err := rt.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

func get(t testing.TB, rt http.RoundTripper, url string) (string, error) {
	t.Helper()
	_, got, err := do(t, rt, request(t, "GET", url, nil))
	return got, err
}

func within(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: it takes too long", what)
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not: %s", what)
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]string{
		"length":     ok,
		"chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
		"HTTP/1.0":   "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
		"empty":      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"no content": "HTTP/1.1 204 No Content\r\n\r\n",
		"304":        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
		"trailer":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: b\r\n\r\n",
	} {
		s, tr := serve(t, always(response)), newTransport(t)
		for range 5 {
			if got, err := get(t, tr, s.url()); err != nil || got != "ok" && got != "" {
				t.Fatalf("%s: %q %v", name, got, err)
			}
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}
