package wire_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/wait"
)

// TestGarbageOfAnUpstreamStaysThere: whatever an upstream says, the client is
// receives one clear result: the answer, that there is none, or visibly a part of it.
func TestGarbageOfAnUpstreamStaysThere(t *testing.T) {
	t.Parallel()
	const (
		ok     = "HTTP/1.1 200 OK\r\n"
		two    = "Content-Length: 2\r\n"
		end    = "\r\nok"
		failed = "502, a problem"
		cut    = "a part, or nothing, and the end"
	)
	rows := []struct {
		name, sends string
		want        string // failed, cut, or the whole answer
	}{
		{"a short body", ok + "Content-Length: 10\r\n\r\nok", cut},
		{"a short chunked body", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", cut},
		{"a chunked body with a broken size", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\nok\r\n0\r\n\r\n", cut},
		{"a body that is longer", ok + two + "\r\nokEVIL", "200 ok"},
		{"a second answer behind the first", ok + two + end + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL", "200 ok"},
		{"a body until the end", ok + "\r\nok", "200 ok"},
		{"two lengths", ok + two + "Content-Length: 3\r\n" + end, failed},
		{"two equal lengths", ok + two + two + end, "200 ok"},
		{"a length with a sign", ok + "Content-Length: +2\r\n" + end, failed},
		{"a length and chunks", ok + two + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", failed},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", failed},
		{"a length with a space before the colon", ok + "Content-Length : 2\r\n" + end, failed},
		{"a chunk with a sign", ok + "Transfer-Encoding: chunked\r\n\r\n+2\r\nok\r\n0\r\n\r\n", cut},
		{"gzip, chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", failed},
		{"NUL in a value", ok + "X-A: 1\x002\r\n" + two + end, failed},
		{"bare CR in a value", ok + "X-A: 1\rSet-Cookie: a=EVIL\r\n" + two + end, failed},
		{"an empty name", ok + ": 1\r\n" + two + end, failed},
		{"no colon", ok + "EVIL\r\n" + two + end, failed},
		{"a name with a space", ok + "X A: EVIL\r\n" + two + end, "200 ok"},
		{"8-bit bytes in a value", ok + "X-A: \xe9\r\n" + two + end, "200 ok"},
		{"obs-fold", ok + "X-A: 1\r\n 2\r\n" + two + end, failed},
		{"status 099", "HTTP/1.1 099 No\r\n" + two + end, failed},
		{"status 000", "HTTP/1.1 000 No\r\n" + two + end, failed},
		{"status 700", "HTTP/1.1 700 Odd\r\n" + two + end, "700 ok"},
		{"status 1000", "HTTP/1.1 1000 No\r\n" + two + end, failed},
		{"status 20", "HTTP/1.1 20 No\r\n" + two + end, failed},
		{"status -20", "HTTP/1.1 -20 No\r\n" + two + end, failed},
		{"no reason", "HTTP/1.1 200\r\n" + two + end, "200 ok"},
		{"HTTP/3.0", "HTTP/3.0 200 OK\r\n" + two + end, "200 ok"},
		{"no HTTP at all", "EVIL\r\n\r\n", failed},
		{"SSH", "SSH-2.0-EVIL\r\n", failed},
		{"an empty line", "\r\n", failed},
		{"nothing", "", failed},
		{"half a header", ok + "X-A: EV", failed},
		{"a header of 9 MiB", ok + "X-A: " + strings.Repeat("a", 9<<20) + "\r\n" + two + end, failed},
		{"100,000 headers", ok + strings.Repeat("a:\r\n", 100_000) + two + end, failed},
		{"unrequested 101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nEVIL", failed},
		{"101 without a protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\nEVIL", failed},
		{"204 with a body", "HTTP/1.1 204 No Content\r\n" + two + end, "204"},
		{"304 with a body", "HTTP/1.1 304 Not Modified\r\n" + two + end, "304"},
		{"one interim answer", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nSet-Cookie: a=EVIL\r\n\r\n" + ok + two + end, "200 ok"},
		{"interim answers and no end", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 3), failed},
		{"a header of Connection", ok + "Connection: Set-Cookie\r\nSet-Cookie: a=EVIL\r\n" + two + end, "200 ok"},
	}
	path := func(name string) string { return "/" + strings.NewReplacer(" ", "-", ",", "").Replace(name) }
	sends := map[string]string{}
	for _, row := range rows {
		sends[path(row.name)] = row.sends
	}
	u := newUpstream(t, probed(func(conn net.Conn, a *arrival) bool {
		_, _ = io.WriteString(conn, sends[a.target()]) // authgate may have had enough
		return false
	}))
	u.fickle = true // an answer that does not begin is asked for once more, where that is safe
	g := newGate(t, u, nil)
	for _, row := range rows {
		conn := dial(t, g.address)
		s := listen(t, conn, get(path(row.name))+probe, 8*time.Second)
		conn.Close() // read to its end
		got := receivedOnce(s)
		if got != row.want {
			t.Errorf("%s: the client got %s, want %s", row.name, got, row.want)
		}
		if row.want == cut && s.kept {
			t.Errorf("%s: the connection is used further", row.name)
		}
		for _, a := range s.answers {
			if strings.Contains(fmt.Sprint(a.header, a.body, a.raw), "EVIL") {
				t.Errorf("%s: the client got %v %q", row.name, a.header, a.body)
			}
		}
		if r := g.awaitRecord(path(row.name)); r.Decision != "allow" || row.want == failed && (r.Status != 502 || r.Reason == "") {
			t.Errorf("%s: the audit says %s", row.name, r)
		}
	}
}

// receivedOnce sums up what a client received in its last answer; interim ones come
// before it.
func receivedOnce(s said) string {
	for len(s.answers) > 1 && s.answers[0].status/100 == 1 {
		s.answers = s.answers[1:]
	}
	if len(s.answers) == 0 && !s.kept && !s.silent {
		return "a part, or nothing, and the end"
	}
	if len(s.answers) != 1 {
		return fmt.Sprintf("%d answers", len(s.answers))
	}
	switch a := s.answers[0]; {
	case a.cut:
		return "a part, or nothing, and the end"
	case a.status == 502 && a.code() != "":
		return "502, a problem"
	default:
		return a.String()
	}
}

// TestAnUnrequestedResponseReachesNoClient: an upstream that speaks up on an idle
// connection must not answer the next request, of another client, with that.
func TestAnUnrequestedResponseReachesNoClient(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(conn net.Conn, _ *arrival) bool {
		_, err := io.WriteString(conn, fine+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
		return err == nil
	})
	u.fickle = true // the connection ends under the next request
	g := newGate(t, u, nil)
	conn := dial(t, g.address)
	for range 50 {
		if a := g.askOn(conn, get("/a")); a.status != 200 || a.body != "ok" {
			t.Fatalf("answered with %s", a)
		}
	}
}

// TestEndlessInterimAnswersEnd: an upstream may send as many as it likes
// (RFC 9110, 15.2), but no client waits through them for ever.
func TestEndlessInterimAnswersEnd(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(conn net.Conn, _ *arrival) bool {
		for {
			if _, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"); err != nil {
				return false
			}
		}
	})
	g := newGate(t, u, nil)
	conn := dial(t, g.address)
	if _, err := io.WriteString(conn, get("/a")); err != nil {
		t.Fatal(err)
	}
	interim := 0
	for r := bufio.NewReader(conn); ; interim++ {
		a, err := readAnswer(r, "GET")
		if err == nil && a.status == 103 && interim < 100 {
			continue
		}
		if err != nil || a.status != 502 || interim > 10 {
			t.Errorf("after %d interim answers: %s %v", interim, a, err)
		}
		return
	}
}

// TestMismatchedUpgradeLeavesNothingOpen: ReverseProxy would leave the connection
// to the upstream behind (golang/go#80875).
func TestMismatchedUpgradeLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/another": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"/two":     "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
		"/list":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
		"/none":    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
	}
	var open atomic.Int64
	u := newUpstream(t, func(conn net.Conn, a *arrival) bool {
		open.Add(1)
		defer open.Add(-1)
		if _, err := io.WriteString(conn, answers[a.target()]+"EVIL"); err != nil {
			return false
		}
		return waitForTheEnd(conn, a)
	})
	g := newGate(t, u, nil)
	for path := range answers {
		for range 10 {
			a := g.ask(get(path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
				"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Origin: http://raw.example"))
			if a.status != 502 || a.code() == "" {
				t.Fatalf("%s is answered with %s", path, a)
			}
		}
	}
	wait.For(t, 5*time.Second, "authgate to close its ends", func() bool { return open.Load() == 0 })
}

// TestUpstreamCannotSetTheSession: a dashboard is not trusted with the sessions
// of the others.
func TestUpstreamCannotSetTheSession(t *testing.T) {
	t.Parallel()
	spellings := []string{
		"authgate=EVIL", "AUTHGATE=EVIL; Path=/", " authgate =EVIL", "\tauthgate=EVIL", "__Host-authgate=EVIL; Secure; Path=/",
		"__host-Authgate=EVIL", "__Secure-authgate=EVIL; Domain=example", "authgate-0=EVIL", "=authgate=EVIL", "\"authgate\"=EVIL",
		"authgate", "authgate=EVIL; Domain=raw.example; Path=/oauth2",
	}
	head := ""
	for _, s := range spellings {
		head += "Set-Cookie: " + s + "\r\nset-cookie: " + s + "\r\n"
	}
	const theirs = "Set-Cookie: argocd.token=theirs; Path=/\r\n"
	u := newUpstream(t, func(conn net.Conn, a *arrival) bool {
		text := "HTTP/1.1 200 OK\r\n" + head + theirs + "Alt-Svc: h3=\":443\"\r\nContent-Length: 2\r\n\r\nok"
		switch a.target() {
		case "/interim":
			text = "HTTP/1.1 103 Early Hints\r\n" + head + "Link: </a>\r\n\r\n" + text
		case "/trailers":
			text = "HTTP/1.1 200 OK\r\nTrailer: Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + head + "\r\n"
		}
		_, err := io.WriteString(conn, text)
		return err == nil
	})
	g := newGate(t, u, nil)
	for _, path := range []string{"/plain", "/interim", "/trailers"} {
		conn := dial(t, g.address)
		if _, err := io.WriteString(conn, get(path, "Connection: close", "TE: trailers")); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ToLower(string(all))
		if strings.Contains(text, "evil") || strings.Contains(text, "alt-svc") || strings.Contains(text, "authgate") {
			t.Errorf("%s: the client got %s", path, all)
		}
		if got := strings.Contains(text, "argocd.token=theirs"); got != (path != "/trailers") {
			t.Errorf("%s: the dashboard's own cookie is there: %t", path, got)
		}
		if got := strings.Count(text, "\r\nhttp/1.1 ") + 1; !strings.HasPrefix(text, "http/1.1 ") || path == "/plain" && got != 1 {
			t.Errorf("%s: %d answers: %s", path, got, all)
		}
	}
}

// TestClientCannotWriteAHeaderOfTheAnswer: what authgate repeats of a request, in
// addresses to log in and to come back, must not end the line.
func TestClientCannotWriteAHeaderOfTheAnswer(t *testing.T) {
	t.Parallel()
	g := newGate(t, newUpstream(t, sayFine), nil)
	const header = "Set-Cookie:%20a=EVIL"
	for _, path := range []string{
		"/private/x?%0d%0a" + header, "/private/x?a=%0D%0A%0D%0A<script>", "/private/%0d%0a" + header, "/private/x%250d%250a" + header,
		"/oauth2/start?rd=/%0d%0a" + header, "/oauth2/start?rd=%0d%0a" + header, "/oauth2/start?rd=/%E5%98%8D%E5%98%8A" + header,
		"/oauth2/callback?error=%0d%0a" + header, "/oauth2/callback?state=%0d%0a" + header, "/oauth2/sign_out?rd=/%0d%0a" + header,
	} {
		a := g.ask(get(path, "Accept: text/html", "Connection: close"))
		if a.status == 0 || a.cut {
			t.Errorf("%s: %s", path, a)
		}
		for name, values := range a.header {
			for _, v := range values {
				if name == "Set-Cookie" && strings.Contains(v, "EVIL") || strings.ContainsAny(v, "\r\n") {
					t.Errorf("%s: the answer has %s: %q", path, name, v)
				}
			}
		}
	}
}

// TestResetOfAnUpstreamIsReported: before the answer it is a 502, within it the answer
// is visibly cut.
func TestResetOfAnUpstreamIsReported(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(conn net.Conn, a *arrival) bool {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // closing resets
		}
		if a.target() == "/within" {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n") // authgate may not see it
		}
		return false
	})
	u.fickle = true
	g := newGate(t, u, nil)
	if a := g.ask(request("POST", "/before", "abc", "Content-Length: 3", "Connection: close")); a.status != 502 || a.code() == "" {
		t.Errorf("a reset before the answer: %s", a)
	}
	if a := g.ask(get("/within", "Connection: close")); !a.cut && a.status != 502 {
		t.Errorf("a reset within the answer: %s", a)
	}
	for _, path := range []string{"/before", "/within"} {
		g.awaitRecord(path)
	}
}
