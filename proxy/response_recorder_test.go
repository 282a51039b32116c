package proxy_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestEarlyHintsCarryLinksAndNothingElse(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, rawServer(t, func(conn net.Conn, _ *bufio.Reader, _ string) {
		fmt.Fprint(conn, "HTTP/1.1 102 Processing\r\nX-Odd: 1\r\n\r\n"+
			"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nSet-Cookie: __Host-authgate=evil; Path=/; Secure\r\nSet-Cookie: theme=x\r\nX-Odd: 1\r\n\r\n"+
			"HTTP/1.1 103 Early Hints\r\nX-Odd: 1\r\n\r\n"+
			"HTTP/1.1 199 Odd\r\nLink: </b.css>\r\n\r\n"+
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: theme=dark\r\nX-Request-Id: theirs\r\n\r\nok")
	}))
	c := g.connect(g.request("GET /", "alice") + "X-Request-Id: mine\r\n\r\n")
	if head := c.head(); head != "HTTP/1.1 102 Processing\r\n\r\n" {
		t.Errorf("%q", head)
	}
	if head := c.head(); head != "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" {
		t.Errorf("%q", head)
	}
	head := c.head()
	for _, want := range []string{"HTTP/1.1 200 OK\r\n", "\r\nSet-Cookie: theme=dark\r\n", "\r\nX-Request-Id: mine\r\n", "\r\nX-Content-Type-Options: nosniff\r\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("%q is missing: %q", want, head)
		}
	}
	if strings.Contains(head, "theirs") || strings.Contains(head, "X-Odd") {
		t.Errorf("%q", head)
	}
	c.take("ok")
	g.wantRecords(1, func(_ int, r record) bool { return r.Status == 200 && r.Bytes == 2 && r.RequestID == "mine" })

	old := g.connect(strings.Replace(g.request("GET /", "alice"), "HTTP/1.1", "HTTP/1.0", 1) + "\r\n")
	if head := old.head(); !strings.HasPrefix(head, "HTTP/1.0 200 OK\r\n") {
		t.Errorf("HTTP/1.0 has no interim responses: %q", head)
	}
}

func TestInterimResponsesWithoutEndAreABadAnswer(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	g := newGateTo(t, rawServer(t, func(conn net.Conn, _ *bufio.Reader, _ string) {
		for {
			if _, err := fmt.Fprint(conn, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"); err != nil {
				close(closed)
				return
			}
		}
	}))
	c := g.connect(g.request("GET /", "alice") + "\r\n")
	hints := 0
	head := c.head()
	for ; strings.HasPrefix(head, "HTTP/1.1 103 "); head = c.head() {
		hints++
	}
	if hints != 5 || !strings.HasPrefix(head, "HTTP/1.1 502 ") {
		t.Errorf("%d hints, then %q", hints, head)
	}
	<-closed
	if r := g.records()[1]; r.Reason != "upstream_bad_response" {
		t.Errorf("%+v", r)
	}
}

// A balancer that looks away needs time; until then its connections must neither
// be cut nor be used again.
func TestAnswersDuringShutdownEndTheirConnection(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "keep-alive")
		fmt.Fprint(w, "ok")
	}))
	c := g.connect(g.request("GET /", "alice") + "\r\n")
	if head := c.head(); strings.Contains(head, "Connection: close") {
		t.Errorf("before: %q", head)
	}
	c.take("ok")
	g.Drain()
	c.send(g.request("GET /", "alice") + "\r\n") // the idle connection was not cut
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "\r\nConnection: close\r\n") {
		t.Errorf("%q", head)
	}
	if rest, err := c.end(); rest != "ok" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if head := g.connect("GET / HTTP/1.1\r\nHost: unknown.example.com\r\n\r\n").head(); !strings.Contains(head, "\r\nConnection: close\r\n") {
		t.Errorf("authgate's own answer: %q", head)
	}
}
