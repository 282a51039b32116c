package http1_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy/upstream/http1"
)

// sent gives a request as the server got it.
func sent(t *testing.T, r *http.Request) (head, body string) {
	t.Helper()
	heads, bodies := make(chan string, 1), make(chan string, 1)
	s := serve(t, func(p *peer) {
		head := p.head()
		heads <- head
		in, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), p)))
		if err != nil {
			bodies <- err.Error()
			return
		}
		b, err := io.ReadAll(in.Body)
		if err != nil {
			b = append(b, err.Error()...)
		}
		for name, values := range in.Trailer {
			b = append(b, ("|" + name + "=" + strings.Join(values, ","))...)
		}
		bodies <- string(b)
		p.say(ok)
	})
	r.URL.Host = s.address
	if _, got, err := do(t, newTransport(t), r); err != nil || got != "ok" && r.Method != "HEAD" {
		t.Fatalf("%q %v", got, err)
	}
	return <-heads, <-bodies
}

// onlyReader hides what a body is.
type onlyReader struct{ io.Reader }

func TestRequestsAreFramedAsNetHTTPFramesThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method  string
		body    io.Reader
		length  int64
		framing string
		got     string
	}{
		"GET":                     {"GET", nil, 0, "", ""},
		"no method":               {"", nil, 0, "", ""},
		"HEAD":                    {"HEAD", nil, 0, "", ""},
		"DELETE":                  {"DELETE", nil, 0, "", ""},
		"OPTIONS":                 {"OPTIONS", nil, 0, "", ""},
		"POST without a body":     {"POST", nil, 0, "Content-Length: 0", ""},
		"PUT without a body":      {"PUT", http.NoBody, 0, "Content-Length: 0", ""},
		"PATCH without a body":    {"PATCH", nil, 0, "Content-Length: 0", ""},
		"POST":                    {"POST", strings.NewReader("hello"), 5, "Content-Length: 5", "hello"},
		"GET with a body":         {"GET", strings.NewReader("hello"), 5, "Content-Length: 5", "hello"},
		"DELETE with a body":      {"DELETE", strings.NewReader("hello"), 5, "Content-Length: 5", "hello"},
		"POST, unknown":           {"POST", onlyReader{strings.NewReader("hello")}, -1, "Transfer-Encoding: chunked", "hello"},
		"POST, unknown and none":  {"POST", onlyReader{strings.NewReader("")}, -1, "Transfer-Encoding: chunked", ""},
		"POST, 0 and a body":      {"POST", onlyReader{strings.NewReader("hello")}, 0, "Transfer-Encoding: chunked", "hello"},
		"GET, unknown":            {"GET", onlyReader{strings.NewReader("hello")}, -1, "Transfer-Encoding: chunked", "hello"},
		"GET, unknown and none":   {"GET", onlyReader{strings.NewReader("")}, -1, "", ""},
		"PURGE, unknown and none": {"PURGE", onlyReader{strings.NewReader("")}, -1, "Transfer-Encoding: chunked", ""},
		"large":                   {"PUT", strings.NewReader(strings.Repeat("x", 300<<10)), 300 << 10, "Content-Length: 307200", strings.Repeat("x", 300<<10)},
		"large chunks":            {"PUT", onlyReader{strings.NewReader(strings.Repeat("x", 300<<10))}, -1, "Transfer-Encoding: chunked", strings.Repeat("x", 300<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(t, "GET", "http://x/a", nil)
			r.Method, r.ContentLength = c.method, c.length
			if c.body != nil {
				r.Body = io.NopCloser(c.body)
			}
			if c.body == http.NoBody {
				r.Body = http.NoBody
			}
			head, got := sent(t, r)
			method := c.method
			if method == "" {
				method = "GET"
			}
			want := method + " /a HTTP/1.1\r\nHost: x\r\n"
			if c.framing != "" {
				want += c.framing + "\r\n"
			}
			if head != want+"\r\n" || got != c.got {
				t.Errorf("%q and %d bytes %.20q, want %q and %d", head, len(got), got, want, len(c.got))
			}
		})
	}
}

func TestNothingIsAddedToARequest(t *testing.T) {
	t.Parallel()
	r := request(t, "GET", "http://x", nil)
	r.Host = "other.example.com:8080"
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = "/a/b|c", "", `q=";%zz&`
	r.Header = http.Header{
		"User-Agent": {""}, "X-Two": {"1", " 2\t"}, "X-Empty": {""}, "x-lower": {"\xe4"}, "X-None": nil,
		// what only the framing says
		"Host": {"evil"}, "host": {"evil"}, "Content-Length": {"7"}, "content-length": {"7"}, "Transfer-Encoding": {"chunked"},
		"TRANSFER-ENCODING": {"chunked"}, "Trailer": {"X"},
	}
	head, _ := sent(t, r)
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	slices.Sort(lines[2:])
	want := []string{`GET /a/b%7Cc?q=";%zz& HTTP/1.1`, "Host: other.example.com:8080", "X-Empty: ", "X-Two: 1", "X-Two: 2", "x-lower: \xe4"}
	if !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
}

func TestTargetsAndHosts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   string
	}{
		"no path":      {func(r *http.Request) { r.URL.Path = "" }, "GET / HTTP/1.1\r\nHost: x\r\n"},
		"raw path":     {func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a/b", "/a%2Fb" }, "GET /a%2Fb HTTP/1.1\r\nHost: x\r\n"},
		"bare ?":       {func(r *http.Request) { r.URL.ForceQuery = true }, "GET /? HTTP/1.1\r\nHost: x\r\n"},
		"opaque":       {func(r *http.Request) { r.URL.Opaque = "/a%41" }, "GET /a%41 HTTP/1.1\r\nHost: x\r\n"},
		"zone":         {func(r *http.Request) { r.Host = "[fe80::1%eth0]:80" }, "GET / HTTP/1.1\r\nHost: [fe80::1]:80\r\n"},
		"close":        {func(r *http.Request) { r.Close = true }, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"},
		"close, twice": {func(r *http.Request) { r.Close = true; r.Header.Set("Connection", "Close") }, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n"},
	} {
		r := request(t, "GET", "http://x/", nil)
		c.change(r)
		if head, _ := sent(t, r); head != c.want+"\r\n" {
			t.Errorf("%s: %q, want %q", name, head, c.want)
		}
	}
}

// closes tells whether it was closed.
type closes struct {
	io.Reader
	closed chan struct{}
}

func newCloses(r io.Reader) *closes { return &closes{r, make(chan struct{})} }

func (c *closes) Close() error { close(c.closed); return nil }

func TestRequestsThatCouldBeAnotherAreNotSent(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"method with a space":      func(r *http.Request) { r.Method = "GET /evil" },
		"method with a line":       func(r *http.Request) { r.Method = "GET\r\nX: y" },
		"CONNECT":                  func(r *http.Request) { r.Method = "CONNECT" },
		"name with a colon":        func(r *http.Request) { r.Header["X:A"] = []string{"b"} },
		"name with a line":         func(r *http.Request) { r.Header["X\r\nA"] = []string{"b"} },
		"name with a space":        func(r *http.Request) { r.Header["Content-Length "] = []string{"7"} },
		"no name":                  func(r *http.Request) { r.Header[""] = []string{"b"} },
		"value with a line":        func(r *http.Request) { r.Header["X-A"] = []string{"b\r\nContent-Length: 7"} },
		"value with LF":            func(r *http.Request) { r.Header["X-A"] = []string{"a long value before\nb"} },
		"value with CR":            func(r *http.Request) { r.Header["X-A"] = []string{"b\r"} },
		"value with NUL":           func(r *http.Request) { r.Header["X-A"] = []string{"b\x00"} },
		"value with DEL":           func(r *http.Request) { r.Header["X-A"] = []string{"0123456\x7f89"} },
		"second value":             func(r *http.Request) { r.Header["X-A"] = []string{"b", "c\n"} },
		"query with a space":       func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.1" },
		"query with a line":        func(r *http.Request) { r.URL.RawQuery = "a\r\nX: y" },
		"opaque with a line":       func(r *http.Request) { r.URL.Opaque = "/a\nb" },
		"host with a line":         func(r *http.Request) { r.Host = "a\r\nX: y" },
		"host with a space":        func(r *http.Request) { r.Host = "a b" },
		"host with a slash":        func(r *http.Request) { r.Host = "a/b" },
		"8-bit host":               func(r *http.Request) { r.Host = "\xe4" },
		"no host":                  func(r *http.Request) { r.URL.Host = "" },
		"no URL":                   func(r *http.Request) { r.URL = nil },
		"another scheme":           func(r *http.Request) { r.URL.Scheme = "ftp" },
		"another encoding":         func(r *http.Request) { r.TransferEncoding = []string{"gzip"} },
		"two encodings":            func(r *http.Request) { r.TransferEncoding = []string{"gzip", "chunked"} },
		"trailer name with a line": func(r *http.Request) { r.ContentLength, r.Trailer = -1, http.Header{"X\n": nil} },
		"trailer with a length":    func(r *http.Request) { r.ContentLength, r.Trailer = -1, http.Header{"Content-Length": nil} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, always(ok))
			body := newCloses(strings.NewReader("hello"))
			r := request(t, "POST", s.url(), nil)
			r.Body, r.ContentLength = body, 5
			change(r)
			_, got, err := do(t, newTransport(t), r)
			var broken http1.ProtocolError
			if !errors.As(err, &broken) {
				t.Errorf("%q, %v", got, err)
			}
			within(t, "the body is closed", body.closed)
			if s.conns.Load() != 0 {
				t.Error("a connection was made")
			}
		})
	}
}

func TestTrailersOfARequest(t *testing.T) {
	t.Parallel()
	r := request(t, "POST", "http://x/", nil)
	r.ContentLength, r.Trailer = -1, http.Header{"X-Sum": nil, "X-A": nil}
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("hello"), readerFunc(func([]byte) (int, error) {
		r.Trailer.Set("X-Sum", "5")
		return 0, io.EOF
	})))
	head, got := sent(t, r)
	if !strings.Contains(head, "\r\nTrailer: X-A,X-Sum\r\n") || !strings.HasPrefix(got, "hello|X-") || !strings.Contains(got, "|X-Sum=5") {
		t.Errorf("%q %q", head, got)
	}
	r = request(t, "POST", "http://x/", strings.NewReader("hello"))
	r.Trailer = http.Header{"X-Sum": {"5"}} // a body of known length has none
	if head, got := sent(t, r); strings.Contains(head, "Trailer") || got != "hello" {
		t.Errorf("%q %q", head, got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestABodyWithAnotherLengthIsAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		length int64
	}{"short": {"hell", 5}, "long": {"hello!", 5}} {
		got := make(chan string, 1)
		s := serve(t, func(p *peer) {
			p.head()
			b, _ := io.ReadAll(p)
			got <- string(b)
		})
		r := request(t, "POST", s.url(), io.NopCloser(strings.NewReader(c.body)))
		r.ContentLength = c.length
		_, _, err := do(t, newTransport(t), r)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if b := <-got; len(b) > 5 {
			t.Errorf("%s: the server got %q", name, b)
		}
	}
}

// A body that fails gives the server what came before, and no end.
func TestABodyThatFailsIsTheReason(t *testing.T) {
	t.Parallel()
	failed := errors.New("the client has left")
	for name, body := range map[string]io.Reader{
		"immediately": readerFunc(func([]byte) (int, error) { return 0, failed }),
		"later":       io.MultiReader(strings.NewReader("abc"), readerFunc(func([]byte) (int, error) { return 0, failed })),
	} {
		for _, length := range []int64{-1, 100} {
			got := make(chan string, 1)
			s := serve(t, func(p *peer) {
				p.head()
				b, _ := io.ReadAll(p)
				got <- string(b)
			})
			closed := newCloses(body)
			r := request(t, "PUT", s.url(), nil)
			r.Body, r.ContentLength = closed, length
			if _, _, err := do(t, newTransport(t), r); !errors.Is(err, failed) {
				t.Errorf("%s: %v", name, err)
			}
			within(t, "the body is closed", closed.closed)
			if b := <-got; strings.Contains(b, "0\r\n") || name == "later" && !strings.Contains(b, "abc") && length == 100 {
				t.Errorf("%s: the server got %q", name, b)
			}
			if s.conns.Load() != 1 {
				t.Errorf("%s: %d connections", name, s.conns.Load())
			}
			body = io.MultiReader(strings.NewReader("abc"), readerFunc(func([]byte) (int, error) { return 0, failed }))
		}
	}
}

func TestURLsOfRequestsAreNotChanged(t *testing.T) {
	t.Parallel()
	s := serve(t, always(ok))
	r := request(t, "GET", s.url()+"/a?b", nil)
	before, header := *r.URL, r.Header.Clone()
	if _, _, err := do(t, newTransport(t), r); err != nil {
		t.Fatal(err)
	}
	if *r.URL != before || len(r.Header) != len(header) || r.URL.User != (*url.Userinfo)(nil) {
		t.Errorf("%v %v", r.URL, r.Header)
	}
}
