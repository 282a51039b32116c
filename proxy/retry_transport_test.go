package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// onceAConnection answers the first request of each connection. ended is told when
// the connection has been closed behind it, without a word in the answer.
func onceAConnection(t *testing.T, count *atomic.Int32, ended chan<- struct{}) string {
	t.Helper()
	return rawServer(t, func(conn net.Conn, r *bufio.Reader, head string) {
		count.Add(1)
		if req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), r))); err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		conn.Close()
		ended <- struct{}{}
	})
}

func TestConnectionThatTheUpstreamHasClosedIsNoticed(t *testing.T) {
	t.Parallel()
	var count atomic.Int32
	ended := make(chan struct{}, 100)
	g := newGateTo(t, onceAConnection(t, &count, ended))
	c := g.connect("")
	head, cookie := g.request("POST /x", "alice"), "abc"
	const requests = 50
	for i := range requests {
		c.send(head + "Content-Length: 3\r\n\r\n" + cookie)
		answer := c.head()
		c.take("ok")
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			t.Fatalf("request %d: %q", i, answer)
		}
		<-ended
	}
	if n := count.Load(); n != requests {
		t.Errorf("%d requests reached the upstream", n)
	}
}

// The second request on a connection is read, and the connection closed: it may
// have been processed.
func TestWhatMayHaveBeenProcessedIsRepeatedOnlyWhereThatDoesNoHarm(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, more, body string
		status, writes     int
	}{
		"GET":                     {"GET", "", "", 200, 2},
		"HEAD":                    {"HEAD", "", "", 200, 2},
		"DELETE":                  {"DELETE", "", "", 200, 2},
		"PUT":                     {"PUT", "", "abc", 200, 2},
		"PUT of 64 KiB":           {"PUT", "", strings.Repeat("x", 64<<10), 200, 2},
		"PUT of more":             {"PUT", "", strings.Repeat("x", 64<<10+1), 502, 1},
		"GET with a body":         {"GET", "", "abc", 200, 2},
		"POST":                    {"POST", "", "abc", 502, 1},
		"POST without a body":     {"POST", "", "", 502, 1},
		"POST with a key":         {"POST", "Idempotency-Key: a\r\n", "", 502, 1},
		"POST with another key":   {"POST", "X-Idempotency-Key: a\r\n", "", 502, 1},
		"PATCH":                   {"PATCH", "", "abc", 502, 1},
		"a method of one's own":   {"PURGE", "", "", 502, 1},
		"POST with key and body":  {"POST", "Idempotency-Key: a\r\n", "abc", 502, 1},
		"PUT with another length": {"PUT", "", "a", 200, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var writes atomic.Int32
			var dying atomic.Bool
			g := newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, head string) {
				all := bufio.NewReader(io.MultiReader(strings.NewReader(head), r))
				for first := true; ; first = false {
					req, err := http.ReadRequest(all)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					if req.URL.Path == "/counted" {
						writes.Add(1)
						if !first || dying.Load() {
							return
						}
					}
					text := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
					if req.Method == "HEAD" {
						text = strings.TrimSuffix(text, "ok")
					}
					fmt.Fprint(conn, text)
				}
			}))
			expect(t, "the first", g.do("GET", app, g.as("alice")), http.StatusOK)
			ask := func() int {
				res := g.raw(g.request(c.method+" /counted", "alice") + c.more + fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n\r\n%s", len(c.body), c.body))
				return res.StatusCode
			}
			if got := ask(); got != c.status || int(writes.Load()) != c.writes {
				t.Errorf("status %d after %d writes, want %d after %d", got, writes.Load(), c.status, c.writes)
			}
			dying.Store(true) // an upstream that always does this gets it no more than twice
			writes.Store(0)
			g.do("GET", app, g.as("alice"))
			if got := ask(); got != 502 || writes.Load() > 2 {
				t.Errorf("status %d after %d writes", got, writes.Load())
			}
		})
	}
}

// An upstream that closes behind the head of a request does so before all of the
// body has come: what was sent of it is kept, and the rest is still to come.
func TestABodyThatIsStillToComeIsNoReasonNotToRepeat(t *testing.T) {
	t.Parallel()
	begin, rest := strings.Repeat("x", 16<<10), strings.Repeat("y", 16<<10)
	length := fmt.Sprintf("Content-Length: %d", len(begin)+len(rest))
	for name, c := range map[string]struct {
		line, more, begin, rest string
		status                  int
	}{
		"PUT":            {"PUT /counted", length, begin, rest, 200},
		"DELETE":         {"DELETE /counted", length, begin, rest, 200},
		"PUT of more":    {"PUT /counted", "Content-Length: 65537", begin, strings.Repeat("y", 48<<10+1), 502},
		"PUT in chunks":  {"PUT /counted", "Transfer-Encoding: chunked", "4000\r\n" + begin + "\r\n", "4000\r\n" + rest + "\r\n0\r\n\r\n", 200},
		"POST":           {"POST /counted", length, begin, rest, 502},
		"POST in chunks": {"POST /counted", "Transfer-Encoding: chunked", "4000\r\n" + begin + "\r\n", "4000\r\n" + rest + "\r\n0\r\n\r\n", 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended, bodies := make(chan struct{}, 9), make(chan string, 9)
			g := newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, head string) {
				all := bufio.NewReader(io.MultiReader(strings.NewReader(head), r))
				for first := true; ; first = false {
					req, err := http.ReadRequest(all)
					if err != nil {
						return
					}
					if req.URL.Path == "/counted" && !first {
						_ = conn.(*net.TCPConn).SetLinger(0) // a reset
						conn.Close()
						ended <- struct{}{}
						return
					}
					if body, err := io.ReadAll(req.Body); err == nil && len(body) > 0 {
						bodies <- string(body)
					}
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}))
			expect(t, "the first", g.do("GET", app, g.as("alice")), http.StatusOK)
			client := g.connect("")
			client.send(g.request(c.line, "alice") + c.more + "\r\nConnection: close\r\n\r\n" + c.begin)
			<-ended
			client.send(c.rest)
			if answer := client.head(); !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
				t.Fatalf("%q", answer)
			}
			if c.status != http.StatusOK {
				return
			}
			if got := <-bodies; got != begin+rest {
				t.Errorf("%d bytes reached the upstream", len(got))
			}
		})
	}
}
