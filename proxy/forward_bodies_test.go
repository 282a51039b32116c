package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

func bodiesOf(n int64) func(*proxy.Options) {
	return func(o *proxy.Options) { o.Config.Limits.BodyBytes = n }
}

// serverOf starts an upstream.
func serverOf(t testing.TB, h http.Handler) (url string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	var reached, whole atomic.Int32
	upstream := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
		}
	})
	behind := serverOf(t, upstream)
	g := newGateTo(t, behind, bodiesOf(10))
	post := func(headers, body string) *http.Response {
		t.Helper()
		return g.raw(g.request("POST /x", "alice") + "Connection: close\r\n" + headers + "\r\n" + body)
	}
	expect(t, "what may be sent", post("Content-Length: 10\r\n", "0123456789"), http.StatusOK)
	expect(t, "chunked", post("Transfer-Encoding: chunked\r\n", "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), http.StatusOK)
	if reached.Load() != 2 || whole.Load() != 2 {
		t.Fatal("the limit itself is too much")
	}
	res := post("Content-Length: 11\r\n", "") // answered before it comes
	expect(t, "one byte more", res, http.StatusRequestEntityTooLarge)
	if got := body(t, res); !strings.Contains(got, "body_too_large") || !strings.Contains(got, "10 bytes") {
		t.Error(got)
	}
	if reached.Load() != 2 {
		t.Error("the upstream was asked")
	}
	expect(t, "chunked, one byte more", post("Transfer-Encoding: chunked\r\n", "5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n"), http.StatusRequestEntityTooLarge)
	eventually(t, "the upstream has seen the end", func() bool { return reached.Load() == 3 })
	if whole.Load() != 2 {
		t.Error("the upstream took half a body for a whole one")
	}
	for _, r := range g.of(audit.Request)[2:] {
		if r.Reason != "body_too_large" || r.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%+v", r)
		}
	}
}

func TestABodyIsNotAskedForBeforeTheDecision(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	c := g.connect(g.request("POST /x", "bob") + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 403 ") {
		t.Errorf("who may not is asked for more: %q", head)
	}
	c = g.connect(g.request("POST /x", "alice") + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if head := c.head(); head != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("%q", head)
	}
	c.send("hello")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Errorf("%q", head)
	}
}

func TestAnUpstreamMayDeclineABody(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, rawServer(t, func(conn net.Conn, _ *bufio.Reader, _ string) {
		// Without close net/http would have the body sent, to use the connection again.
		fmt.Fprint(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
	}))
	c := g.connect(g.request("PUT /x", "alice") + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 413 ") {
		t.Errorf("%q", head)
	}
}

func TestUploadsStreamInBothDirectionsAtOnce(t *testing.T) {
	t.Parallel()
	heard := make(chan string)
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			heard <- lines.Text()
		}
		fmt.Fprint(w, "done")
	}))
	c := g.connect(g.request("POST /x", "alice") + "Transfer-Encoding: chunked\r\n\r\n")
	for _, word := range []string{"one", "two", "three"} {
		c.send(fmt.Sprintf("%x\r\n%s\n\r\n", len(word)+1, word))
		if got := <-heard; got != word { // not before it has arrived
			t.Errorf("%q", got)
		}
	}
	c.send("0\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Errorf("%q", head)
	}
}

// Not parallel: it looks at the memory of the process.
func TestLargeBodiesDoNotStayInMemory(t *testing.T) {
	const size = 256 << 20
	digest := func(r io.Reader) string {
		h := sha256.New()
		_, _ = io.Copy(h, r)
		return fmt.Sprintf("%x", h.Sum(nil)[:4])
	}
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			fmt.Fprint(w, digest(r.Body))
			return
		}
		if r.URL.RawQuery == "length" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		_, _ = io.CopyN(w, zeroes{}, size)
	}))
	want := digest(io.LimitReader(zeroes{}, size))
	var before runtime.MemStats // of tests that ran earlier
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most uint64
	done := make(chan struct{})
	measured := make(chan struct{})
	go func() {
		defer close(measured)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	for _, query := range []string{"", "?length"} {
		c := g.connect(g.request("GET /x"+query, "alice") + "\r\n")
		res, err := http.ReadResponse(c.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := digest(res.Body); got != want {
			t.Errorf("download %q: %s, want %s", query, got, want)
		}
	}
	c := g.connect(g.request("POST /x", "alice") + "Content-Length: " + strconv.Itoa(size) + "\r\n\r\n")
	if _, err := io.CopyN(c.Conn, zeroes{}, size); err != nil {
		t.Fatal(err)
	}
	c.head()
	c.take(want)
	close(done)
	<-measured
	if most > 2*before.HeapAlloc+64<<20 { // the collector lets the heap grow to the double
		t.Errorf("up to %d MiB of heap, %d before", most>>20, before.HeapAlloc>>20)
	}
}

func TestWhatHTTPCanDoPassesThrough(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 20_000)
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/trailers":
			w.Header().Set("Trailer", "X-Sum")
			fmt.Fprint(w, "text")
			w.Header().Set("X-Sum", "4")
			w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
			w.Header().Set(http.TrailerPrefix+"Set-Cookie", "__Host-authgate=evil; Path=/; Secure")
		case "/gzip":
			w.Header().Set("Content-Encoding", r.Header.Get("Accept-Encoding"))
			fmt.Fprint(w, "not really")
		default:
			w.Header().Set("Etag", `"v1"`)
			w.Header().Set("Content-Type", "text/plain")
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		}
	}))
	for name, want := range map[string]struct {
		method, path string
		headers      []string
		status       int
		length       string // "": none is told
		body         string
	}{
		"GET":            {"GET", "file", nil, 200, "200000", content},
		"HEAD":           {"HEAD", "file", nil, 200, "200000", ""},
		"range":          {"GET", "file", []string{"Range", "bytes=5-9"}, 206, "5", "56789"},
		"bad range":      {"GET", "file", []string{"Range", "bytes=900000-"}, 416, "", "invalid range: failed to overlap\n"},
		"if-range":       {"GET", "file", []string{"Range", "bytes=0-0", "If-Range", `"v0"`}, 200, "200000", content},
		"not modified":   {"GET", "file", []string{"If-None-Match", `"v1"`}, 304, "", ""},
		"precondition":   {"GET", "file", []string{"If-Match", `"v0"`}, 412, "", ""},
		"no content":     {"DELETE", "none", nil, 204, "", ""},
		"encoding":       {"GET", "gzip", []string{"Accept-Encoding", "br;q=1"}, 200, "10", "not really"},
		"HEAD of stream": {"HEAD", "trailers", nil, 200, "", ""},
	} {
		res := g.do(want.method, "https://argo-cd.example.com/"+want.path, append([][]string{g.as("alice"), sameSite}, want.headers)...)
		got := body(t, res)
		if res.StatusCode != want.status || got != want.body || want.length != "" && res.Header.Get("Content-Length") != want.length {
			t.Errorf("%s: %d, length %q, %d bytes %.40q", name, res.StatusCode, res.Header.Get("Content-Length"), len(got), got)
		}
	}
	res := g.do("GET", "https://argo-cd.example.com/trailers", g.as("alice"))
	if res.Trailer.Get("X-Sum") != "4" || res.Trailer.Get("X-Late") != "yes" || res.Trailer.Get("Set-Cookie") != "" {
		t.Errorf("trailers %q", res.Trailer)
	}
	if got := g.do("GET", "https://argo-cd.example.com/gzip", g.as("alice")).Header.Get("Content-Encoding"); got != "" {
		t.Errorf("authgate asked for %q of its own", got)
	}
}

func TestFailuresOfAnUpstreamAreToldApart(t *testing.T) {
	t.Parallel()
	silent := rawServer(t, func(_ net.Conn, r *bufio.Reader, _ string) { _, _ = r.ReadByte() })
	for name, c := range map[string]struct {
		url    string
		status int
		code   string
	}{
		"no server there":  {"http://" + closedAddress, 502, "upstream_down"},
		"no TLS":           {strings.Replace(rawUpstream(t, "HTTP/1.1 400 Bad\r\n\r\n"), "http", "https", 1), 502, "upstream_down"},
		"no answer":        {rawUpstream(t, ""), 502, "upstream_down"},
		"half a header":    {rawUpstream(t, "HTTP/1.1 200 OK\r\nX-A: b\r\n"), 502, "upstream_down"},
		"too slow":         {silent, 504, "upstream_timeout"},
		"another protocol": {rawUpstream(t, "220 smtp.example.com ESMTP\r\n"), 502, "upstream_bad_response"},
		"status 099":       {rawUpstream(t, "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"), 502, "upstream_bad_response"},
		"endless header":   {rawUpstream(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 300<<10)+"\r\n\r\n"), 502, "upstream_bad_response"},
		"two lengths":      {rawUpstream(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), 502, "upstream_bad_response"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateTo(t, c.url, func(o *proxy.Options) { o.Config.Timeouts.UpstreamHeader = config.Duration(300 * time.Millisecond) })
			res := g.do("GET", app, g.as("alice"))
			expect(t, name, res, c.status)
			got := body(t, res)
			if !strings.Contains(got, "urn:authgate:problem:"+c.code) || !strings.Contains(got, "argocd") || strings.Contains(got, "127.0.0.1") {
				t.Errorf("%s", got)
			}
			r := g.of(audit.Request)[0]
			if r.Reason != c.code || r.Status != c.status || r.Decision != audit.Allow {
				t.Errorf("%+v", r)
			}
			if !strings.Contains(g.log.String(), r.ID) || !strings.Contains(g.log.String(), c.code) {
				t.Errorf("the log does not say why: %s", g.log.String())
			}
		})
	}
}

func TestAnAnswerThatBreaksOffIsSeenToBreakOff(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"short of its length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"amid a chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
		"between chunks":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		g := newGateTo(t, rawUpstream(t, answer))
		c := g.connect(g.request("GET /", "alice") + "\r\n")
		res, err := http.ReadResponse(c.Reader, nil)
		var got []byte
		if err == nil { // else even the header was still in a buffer
			got, err = io.ReadAll(res.Body)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		g.wantRecords(1, func(_ int, r record) bool { return r.Status == http.StatusOK && r.Bytes == 4 })
		g.wantMetrics(`authgate_streams{upstream="argocd"} 0`)
	}
}

func TestAClientThatLeavesEndsItsRequest(t *testing.T) {
	t.Parallel()
	asked, ended := make(chan struct{}), make(chan struct{})
	g := newGate(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	for name, request := range map[string]string{
		"waiting":        g.request("GET /", "alice") + "\r\n",
		"amid an upload": g.request("POST /", "alice") + "Content-Length: 100\r\n\r\nhalf",
	} {
		c := g.connect(request)
		<-asked
		c.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the upstream goes on", name)
		}
	}
	g.wantRecords(2, func(_ int, r record) bool { return r.Status == 499 && r.Reason == "client_gone" })
}

func TestABodyThatIsNoneIsTheClientsFault(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	res := g.raw(g.request("POST /", "alice") + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	expect(t, "a chunk of length zz", res, http.StatusBadRequest)
	if got := body(t, res); !strings.Contains(got, "bad_body") {
		t.Error(got)
	}
}

// A connection that the upstream has closed meanwhile is tried again for a read,
// which does no harm twice, and never for a write.
func TestWritesAreNotRepeated(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int32
	g := newGateTo(t, rawServer(t, func(conn net.Conn, r *bufio.Reader, head string) {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		for { // the second request on a connection is read and never answered
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "POST ") || strings.HasPrefix(line, "GET ") {
				attempts.Add(1)
			}
			if line == "\r\n" {
				return
			}
		}
	}))
	expect(t, "the first", g.do("GET", app, g.as("alice")), http.StatusOK)
	res := g.do("POST", app, g.as("alice"), sameSite, []string{"Content-Length", "0"})
	expect(t, "a write on a dying connection", res, http.StatusBadGateway)
	if n := attempts.Load(); n != 1 {
		t.Errorf("%d attempts of the write", n)
	}
	expect(t, "the first again", g.do("GET", app, g.as("alice")), http.StatusOK)
	expect(t, "a read on a dying connection", g.do("GET", app, g.as("alice")), http.StatusOK)
}

func TestPrefixIsTakenOffWhereItIsAsked(t *testing.T) {
	t.Parallel()
	strip := func(path string) func(*proxy.Options) {
		return func(o *proxy.Options) {
			u := &o.Config.Upstreams[1]
			u.Path, u.StripPath = path, true
			o.Policy = load(t, "p, system:anonymous, reports, /reports/**, GET, allow\np, system:anonymous, reports, /reports, GET, allow\n")
		}
	}
	for _, prefix := range []string{"/reports", "/reports/"} {
		g := newGateTo(t, serverOf(t, http.HandlerFunc(serveEcho)), strip(prefix))
		for sent, want := range map[string]string{
			"/reports/":             "/",
			"/reports/a/b?q=/../x":  "/a/b?q=/../x",
			"/reports/%41%3A%20b/":  "/A%3A%20b/",
			"/reports/reports/a":    "/reports/a",
			"/reports/a?":           "/a?",
			"/reports/a?b=1;c=%zz&": "/a?b=1;c=%zz&",
		} {
			if got := echoed(t, g.do("GET", "https://argo-cd.example.com"+sent)); got.RequestURI != want {
				t.Errorf("%s with %s: the upstream got %s, want %s", sent, prefix, got.RequestURI, want)
			}
		}
		if prefix == "/reports" {
			if got := echoed(t, g.do("GET", "https://argo-cd.example.com/reports")); got.RequestURI != "/" {
				t.Errorf("/reports: the upstream got %s", got.RequestURI)
			}
		}
		r := g.of(audit.Request)[0]
		if !strings.HasPrefix(r.Path, "/reports") {
			t.Errorf("the audit has %s, not what was judged", r.Path)
		}
	}
}

func TestBodiesArriveByteForByte(t *testing.T) {
	t.Parallel()
	payload := make([]byte, 70_000)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	got := make(chan []byte, 1)
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- b
		_, _ = w.Write(b)
	}))
	c := g.connect(g.request("POST /api/webhook", "alice") + "Content-Length: 70000\r\n\r\n" + string(payload))
	if sent := <-got; !bytes.Equal(sent, payload) {
		t.Error("the upstream got something else")
	}
	res, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(back, payload) {
		t.Errorf("the client got something else: %v", err)
	}
}
