package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

// patientFor sets timeouts.body.
func patientFor(d time.Duration) func(*proxy.Options) {
	return func(o *proxy.Options) { o.Config.Timeouts.Body = config.Duration(d) }
}

// swallow reads uploads, and tells for each what came and whether it was whole.
func swallow(t *testing.T) (url string, came chan string) {
	t.Helper()
	came = make(chan string, 10)
	return serverOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil {
			got = append(got, " and no end"...)
		}
		came <- string(got)
		fmt.Fprint(w, "done")
	})), came
}

func TestUploadThatStopsIsEnded(t *testing.T) {
	t.Parallel()
	url, came := swallow(t)
	g := newGateTo(t, url, patientFor(500*time.Millisecond)).watched()
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	for name, c := range map[string]struct{ who, sent, upstream string }{
		"nothing of it":           {"alice", "Content-Length: 10\r\n\r\n", " and no end"},
		"a part":                  {"alice", "Content-Length: 10\r\n\r\nabc", "abc and no end"},
		"chunks":                  {"alice", chunked + "3\r\nabc\r\n", "abc and no end"},
		"half a chunk":            {"alice", chunked + "5\r\nabc", " and no end|abc and no end"},
		"half a chunk's size":     {"alice", chunked + "3\r\nabc\r\n5", "abc and no end"},
		"all but the last chunk":  {"alice", chunked + "3\r\nabc\r\n0\r\n", "abc and no end| and no end"},
		"anonymous":               {"", "Content-Length: 10\r\n\r\n", " and no end"},
		"one that was asked for":  {"alice", "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n", " and no end"},
		"more than is read ahead": {"alice", "Content-Length: 1000000\r\n\r\nabc", "abc and no end"},
	} {
		head := g.request("POST /x", "alice")
		if c.who == "" {
			head = "POST /api/dex/token HTTP/1.1\r\nHost: argo-cd.example.com\r\n"
		}
		conn := g.connect(head + c.sent)
		answer := conn.head()
		if strings.HasPrefix(answer, "HTTP/1.1 100 ") {
			answer = conn.head()
		}
		rest, err := conn.end()
		if !strings.HasPrefix(answer, "HTTP/1.1 408 ") || !strings.Contains(answer, "Connection: close") || !strings.Contains(rest, "body_timeout") || err != nil {
			t.Errorf("%s: %q %q %v", name, answer, rest, err)
		}
		// Where there are two, net/http gives the bytes together with the error: the upstream gets all or none.
		if got := <-came; !slices.Contains(strings.Split(c.upstream, "|"), got) {
			t.Errorf("%s: the upstream got %q, want %q", name, got, c.upstream)
		}
	}
	g.wantRecords(9, func(_ int, r record) bool {
		return r.Reason == "body_timeout" && r.Status == 408 && r.Decision == audit.Allow
	})
}

func TestUploadOverHTTP2ThatStopsIsEnded(t *testing.T) {
	t.Parallel()
	url, came := swallow(t)
	g := newGateTo(t, url, patientFor(150*time.Millisecond))
	g.servePort()
	res, body := g.post2("/x", "", "abc")
	if res.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%d", res.StatusCode)
	}
	body.Close()
	if got := <-came; got != "abc and no end" {
		t.Errorf("the upstream got %q", got)
	}
}

// post2 begins an upload over HTTP/2, which goes on until it is closed, and gives
// the answer.
func (g *gate) post2(path, contentType, first string) (*http.Response, *io.PipeWriter) {
	g.t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	g.t.Cleanup(transport.CloseIdleConnections)
	from, to := io.Pipe()
	r, err := http.NewRequest("POST", "http://"+g.address+path, from)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Host = "argo-cd.example.com"
	for name, value := range map[string]string{"X-Forwarded-Proto": "https", "Sec-Fetch-Site": "same-origin", "Cookie": g.as("alice")[1], "Content-Type": contentType} {
		r.Header.Set(name, value)
	}
	go func() { _, _ = io.WriteString(to, first) }()
	res, err := transport.RoundTrip(r)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { res.Body.Close() })
	return res, to
}

// Each byte restarts the timeout, and a call of gRPC has none.
func TestUploadThatIsOnlySlowIsNotEnded(t *testing.T) {
	t.Parallel()
	url, came := swallow(t)
	const patience = 2 * time.Second
	g := newGateTo(t, url, patientFor(patience))
	conn := g.connect(g.request("POST /x", "alice") + "Content-Length: 8\r\n\r\n")
	tick := time.NewTicker(patience / 5)
	defer tick.Stop()
	for _, b := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		<-tick.C
		conn.send(b)
	}
	if head := conn.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Errorf("%q", head)
	}
	if got := <-came; got != "abcdefgh" {
		t.Errorf("the upstream got %q", got)
	}
}

func TestCallMayBeQuiet(t *testing.T) {
	t.Parallel()
	const patience = 50 * time.Millisecond
	g := newGateTo(t, "h2c://"+h2cServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(w, r.Body)
	})), patientFor(patience))
	g.servePort()
	res, body := g.post2("/a.B/C", "application/grpc", "a")
	<-time.After(10 * patience) // in which nothing must happen
	if _, err := io.WriteString(body, "b"); err != nil {
		t.Fatal(err)
	}
	body.Close()
	if got, err := io.ReadAll(res.Body); string(got) != "ab" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestEarlyAnswerDoesNotWaitForTheBody(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, head string) {
		if !strings.HasPrefix(head, "POST /echo ") {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
			_, _ = io.Copy(io.Discard, r)
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<")
		part := make([]byte, 6)
		for len(part) > 0 {
			n, err := r.Read(part)
			if err != nil {
				return
			}
			_, _ = conn.Write(part[:n]) // as it comes
			part = part[n:]
		}
		fmt.Fprint(conn, ">")
	}))
	evil := g.request("GET /evil", "alice") + "\r\n"
	for name, sent := range map[string]string{
		"nothing of it":      "Content-Length: 1000000\r\n\r\n",
		"a part":             "Content-Length: 1000000\r\n\r\nabc",
		"little is left":     "Content-Length: 10\r\n\r\nabc",
		"chunks":             "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"what looks like it": fmt.Sprintf("Content-Length: %d\r\n\r\n", 100_000+len(evil)) + evil,
	} {
		conn := g.connect(g.request("POST /x", "alice") + sent)
		begun := time.Now()
		head := conn.head()
		conn.take("early")
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
		if !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "Connection: close\r\n") {
			t.Errorf("%s: %q", name, head)
		}
		if rest, err := conn.end(); rest != "" || err != nil {
			t.Errorf("%s: behind it %q %v", name, rest, err)
		}
	}
	conn := g.connect(g.request("POST /echo", "alice") + "Content-Length: 6\r\n\r\n")
	conn.head()
	conn.take("<")
	for _, word := range []string{"ab", "cd", "ef"} {
		conn.send(word)
		conn.take(word)
	}
	conn.take(">")
	if rest, err := conn.end(); rest != "" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
	for _, r := range g.of(audit.Request) {
		if r.Method == "GET" {
			t.Errorf("a body was taken for a request: %+v", r)
		}
	}
}

func TestUploadsAreJudgedAgain(t *testing.T) {
	t.Parallel()
	url, came := swallow(t)
	for name, c := range map[string]struct {
		end            func(g *gate, cookie []string)
		status, reason string
		decision       audit.Decision
	}{
		"a row that denies": {func(g *gate, _ []string) { g.SetPolicy(load(g.t, withoutAlice)) }, "403", "denied", audit.Deny},
		"signing out": {func(g *gate, cookie []string) {
			g.do("POST", "https://argo-cd.example.com/oauth2/sign_out", cookie, sameSite)
		}, "401", "", audit.Refuse},
	} {
		g := newGateTo(t, url).watched()
		cookie := g.as("alice")
		head := "POST /x HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nSec-Fetch-Site: same-origin\r\nCookie: " + cookie[1] + "\r\n"
		slow := g.connect(head + "Content-Length: 100000\r\n\r\nabc")
		late := g.connect(head + "Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n")
		if answer := late.head(); !strings.HasPrefix(answer, "HTTP/1.1 100 ") { // the upstream has this request, too
			t.Errorf("%s: %q", name, answer)
		}
		eventually(t, "the upload is seen", func() bool { return g.Uploads() == 1 })
		c.end(g, cookie)
		late.send("abc") // of which nothing may go on
		for _, conn := range []*wire{slow, late} {
			answer := conn.head()
			for strings.HasPrefix(answer, "HTTP/1.1 100 ") {
				answer = conn.head()
			}
			if !strings.HasPrefix(answer, "HTTP/1.1 "+c.status+" ") {
				t.Errorf("%s: %q", name, answer)
			}
		}
		for range 2 {
			if got := <-came; got != "abc and no end" && got != " and no end" {
				t.Errorf("%s: the upstream got %q", name, got)
			}
		}
		eventually(t, "the records", func() bool { return len(g.of(audit.StreamCut)) == 2 })
		for _, r := range g.of(audit.StreamCut) {
			if c.reason != "" && r.Reason != c.reason || r.Decision != c.decision || r.Subject != "sub-alice" {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if g.Uploads() != 0 {
			t.Errorf("%s: uploads are watched that are over", name)
		}
	}
}
