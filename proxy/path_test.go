package proxy_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// lineReader is an upstream that reads requests as bytes: net/http would tell what
// it made of them.
type lineReader struct {
	address string
	mu      sync.Mutex
	lines   []string
}

func newLineReader(t testing.TB) *lineReader {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &lineReader{address: "http://" + listener.Addr().String()}
	var serving sync.WaitGroup
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { u.serve(conn) })
		}
	})
	return u
}

// serve answers one request; there is no second one on the connection.
func (u *lineReader) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReaderSize(conn, 1<<20)
	line, err := in.ReadString('\n')
	if err != nil {
		return
	}
	u.mu.Lock()
	u.lines = append(u.lines, strings.TrimSuffix(line, "\r\n"))
	u.mu.Unlock()
	for line != "\r\n" {
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

// taken gives what came since the last call.
func (u *lineReader) taken() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	lines := u.lines
	u.lines = nil
	return lines
}

// servePort serves a gate as the program does: HTTP/1.1 and HTTP/2 on one port, and
// OPTIONS * is the handler's.
func (g *gate) servePort() {
	g.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	server := &http.Server{Handler: g, DisableGeneralOptionsHandler: true, Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	g.t.Cleanup(func() { server.Close() })
	g.address = listener.Addr().String()
}

func TestTargetsWithMoreOrLessThanAPathGoNowhere(t *testing.T) {
	t.Parallel()
	upstream := newLineReader(t)
	g := newGateTo(t, upstream.address)
	g.servePort()
	head := " HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nConnection: close\r\nCookie: " + g.as("alice")[1] + "\r\n\r\n"
	for request, status := range map[string]int{
		// Absolute form: net/http takes the host from it, whatever Host says.
		"GET http://evil/p?q": 400, "GET http://argo-cd.example.com/": 400, "GET https://u:p@evil:99/p": 400, "GET ftp://evil/p": 400,
		"GET http:///p": 400, "GET http://evil": 400, "GET HTTP://argo-cd.example.com/": 400, "POST http://argo-cd.example.com/healthz": 400,
		// No path: net/http would send GET x:y on as GET y.
		"GET x:y": 400, "GET a.example:80": 400, "GET http:a/../b": 400, "GET *": 400, "OPTIONS *": 400, "PRI *": 400,
		// A tunnel.
		"CONNECT evil:443": 405, "CONNECT /a": 405, "CONNECT evil/pp": 405, "CONNECT argo-cd.example.com:443": 405,
		// A host to a server that parses it as a URL.
		"GET //evil.example/p": 400, "GET //u@evil:80": 400, "GET ///x": 400, "GET //": 400,
		"GET /a#frag/../x?q": 400, "GET /#": 400,
		"GET /\xff": 400, `GET /\evil\..\x`: 400, "GET /a%00b": 400, "GET /%252e": 400, "GET /a;x=1/b?q;r": 400, "GET /..;/healthz": 400,
		"GET /healthz/../secret": 400, "GET /oauth2/../secret": 400, "GET /oauth2/%2e%2e/secret": 400, "GET /oauth2//start": 400,
		// net/http refuses these itself.
		"GET %zz": 400, "GET /%zz": 400, "GET /%2": 400, "GET a/b": 400, "GET ?x": 400, "GET /a\x01b": 400, "GET /a\x7f": 400, "GET /a b": 400, "GET /?a\x01": 400,
		"GET /a\tb": 400, "GET  /a": 400,
	} {
		expect(t, fmt.Sprintf("%q", request), g.raw(request+head), status)
	}
	if came := upstream.taken(); len(came) > 0 {
		t.Errorf("the upstream was sent %q", came)
	}
}

func TestTheUpstreamIsSentThePathThatWasJudged(t *testing.T) {
	t.Parallel()
	upstream := newLineReader(t)
	g := newGateTo(t, upstream.address)
	for sent, want := range map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a/", "/a/b/": "/a/b/", "/%41%7e": "/A~", "/%61pi/v1": "/api/v1", "/a%3Ab": "/a%3Ab", "/a%3ab": "/a%3Ab", "/a:b": "/a:b",
		"/caf\xc3\xa9": "/caf%C3%A9", "/caf%c3%a9": "/caf%C3%A9", `/"<>^{|}` + "`": "/%22%3C%3E%5E%7B%7C%7D%60", "/[::1]": "/[::1]", "/'()*!$&,=+@": "/'()*!$&,=+@",
		"/100%25": "/100%25", "/a%20b": "/a%20b", "/a%3fb%23c": "/a%3Fb%23c", "/...": "/...", "/.well-known/x": "/.well-known/x",
		// With an encoded slash and a byte that it does not keep, net/url would write
		// the path again from its decoded form: /api/v1/clusters/a/b%7Cc.
		"/api/v1/clusters/a%2fb|c":                       "/api/v1/clusters/a%2Fb%7Cc",
		"/api/v1/clusters/https%3a%2f%2fk%3a6443":        "/api/v1/clusters/https%3A%2F%2Fk%3A6443",
		"/api/v1/clusters/https:%2F%2Fk\xc3\xa9/?id=url": "",
		"/api/v1/repositories/a%2Fb\xc3\xa9/refs?x=%2F":  "/api/v1/repositories/a%2Fb%C3%A9/refs?x=%2F",
		"/a?b#c": "/a?b#c", // whatever the query holds is the upstream's
	} {
		res := g.do("GET", "https://argo-cd.example.com"+sent, g.as("alice"))
		came := upstream.taken()
		if want == "" {
			expect(t, sent, res, http.StatusBadRequest)
		} else if len(came) != 1 || came[0] != "GET "+want+" HTTP/1.1" {
			t.Errorf("%q went out as %q, want %q (status %d)", sent, came, want, res.StatusCode)
		}
	}
	for _, r := range g.records() {
		if r.Status == http.StatusOK && strings.ContainsAny(r.Path, "?#\"|") {
			t.Errorf("the audit names %q, not the path that was judged", r.Path)
		}
	}
}

func TestTheQueryIsTheUpstreamsByteForByte(t *testing.T) {
	t.Parallel()
	upstream := newLineReader(t)
	g := newGateTo(t, upstream.address)
	for _, query := range []string{
		"", "?", "??", "?b=1&a=%zz;c", "?q=1;r=2", "?a=1&a=2&A=3", "?%", "?%2", "?=&&=&", "?a=\xff\xc3\xa9", `?"<>^{|}\` + "`", "?/../..//;x", "?x=%2e%2e%2f%00", "?%41=%7e", "?a+b=c%20d",
		"?http://evil/", "?listOptions.fieldSelector=metadata.namespace=argo", "?" + strings.Repeat("p=1&", 20_000), "?" + strings.Repeat("a;", 1000), "?x#y",
	} {
		g.do("GET", "https://argo-cd.example.com/a/"+query, g.as("alice"))
		if came := upstream.taken(); len(came) != 1 || came[0] != "GET /a/"+query+" HTTP/1.1" {
			t.Errorf("?%.60q went out as %.90q", query, came)
		}
	}
}

// TestHTTP2PathsAreReadAlike writes frames by hand: Go's server takes paths that no
// client library sends (http2, readMetaFrame).
func TestHTTP2PathsAreReadAlike(t *testing.T) {
	t.Parallel()
	upstream := newLineReader(t)
	g := newGateTo(t, upstream.address)
	g.servePort()
	cookie := g.as("alice")[1]
	for path, want := range map[string]string{
		"/a": "200", "/a/": "200", "/%41": "200", "/a?b c": "400", "/a?#": "200", "/a?\\": "200",
		"/a b": "400", "/a#b": "400", `/a\b`: "400", "//x": "400", "//evil.example/x": "400", "/a/../b": "400", "/a;b": "400", "/\xff": "400", "/a%2Fb": "400", "/%252e": "400", "/ ": "400",
		"http://evil/x": "400", "https://argo-cd.example.com/": "400", "*": "400",
		"": "reset", "a": "reset", "/%zz": "reset", "/a\x01": "reset", "/a\x00": "reset", "/a\nb": "reset", "?a": "reset",
	} {
		got := g.http2(":method", "GET", ":scheme", "http", ":authority", "argo-cd.example.com", ":path", path, "x-forwarded-proto", "https", "cookie", cookie)
		if came := upstream.taken(); got != want || (len(came) > 0) != (want == "200") {
			t.Errorf(":path %q: %s, want %s; the upstream was sent %q", path, got, want, came)
		}
	}
}

// http2 sends one request and gives the status of its answer, or "reset".
func (g *gate) http2(fields ...string) string {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var block []byte
	for i := 0; i < len(fields); i += 2 { // RFC 7541, 6.2.2: literal, not indexed, new name
		block = appendString(appendString(append(block, 0), fields[i]), fields[i+1])
	}
	const settings, headers, endOfBoth, stream = 4, 1, 4 | 1, 1
	out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(settings, 0, 0, nil)...)
	if _, err := conn.Write(append(out, frame(headers, endOfBoth, stream, block)...)); err != nil {
		g.t.Fatal(err)
	}
	for in := bufio.NewReader(conn); ; {
		var head [9]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			g.t.Fatalf("no answer to %q: %v", fields, err)
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(in, payload); err != nil {
			g.t.Fatal(err)
		}
		const reset, goAway = 3, 7
		switch kind := head[3]; {
		case kind == reset || kind == goAway:
			return "reset"
		case kind == headers && payload[0] == 0x88: // RFC 7541, appendix A
			return "200"
		case kind == headers && payload[0] == 0x8c:
			return "400"
		case kind == headers:
			return fmt.Sprintf("%x", payload)
		}
	}
}

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return append(binary.BigEndian.AppendUint32(append(head, flags), stream), payload...)
}

// appendString writes a string as RFC 7541, 5.1 and 5.2 have it, not compressed.
func appendString(to []byte, s string) []byte {
	const seven = 127
	if len(s) < seven {
		to = append(to, byte(len(s)))
	} else {
		to = append(to, seven)
		rest := len(s) - seven
		for ; rest >= 128; rest >>= 7 {
			to = append(to, byte(rest)|128)
		}
		to = append(to, byte(rest))
	}
	return append(to, s...)
}
