package wire_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/example-org/authgate/integration/wait"
)

// TestTokenThatAnUpstreamRepeatsIsInNoLog: an upstream that is shown the ID token
// sends it back in every way that is no answer, or only nearly one. Libraries
// repeat in their errors what they could not read.
func TestTokenThatAnUpstreamRepeatsIsInNoLog(t *testing.T) {
	t.Parallel()
	const ok, two, get2 = "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n", "\r\nok"
	var token struct {
		sync.Mutex
		text string
	}
	rows := map[string]string{ // TOKEN is replaced
		"a body behind HEAD":         ok + two + "\r\nTOKEN",
		"a second answer":            ok + two + get2 + "HTTP/1.1 200 TOKEN\r\nX-A: TOKEN\r\n\r\n",
		"text behind the answer":     ok + two + get2 + "TOKEN",
		"a status line":              "TOKEN\r\n\r\n",
		"a version":                  "HTTP/TOKEN 200 OK\r\n\r\n",
		"a status":                   "HTTP/1.1 TOKEN OK\r\n\r\n",
		"a status without a space":   "HTTP/1.1TOKEN\r\n\r\n",
		"a reason":                   "HTTP/1.1 500 TOKEN\r\n" + two + get2,
		"a header without a colon":   ok + "TOKEN\r\n" + two + get2,
		"a header name with a space": ok + "TOKEN : a\r\n" + two + get2,
		"a header name":              ok + "X\x00TOKEN: a\r\n" + two + get2,
		"a header value":             ok + "X-A: TOKEN\x00\r\n" + two + get2,
		"a folded header":            ok + " TOKEN: a\r\n" + two + get2,
		"half a header":              ok + "X-A: TOKEN",
		"a header that is too large": ok + strings.Repeat("X-A: TOKEN\r\n", 2000) + two + get2,
		"a length":                   ok + "Content-Length: TOKEN\r\n" + get2,
		"two lengths":                ok + two + "Content-Length: TOKEN\r\n" + get2,
		"a coding":                   ok + "Transfer-Encoding: TOKEN\r\n" + get2,
		"a chunk's size":             ok + "Transfer-Encoding: chunked\r\n\r\nTOKEN\r\nok\r\n0\r\n\r\n",
		"a chunk's end":              ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nokTOKEN\r\n0\r\n\r\n",
		"a chunk's extension":        ok + "Transfer-Encoding: chunked\r\n\r\n2;TOKEN\r\nok\r\n0\r\n\r\n",
		"a trailer":                  ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nTOKEN\r\n\r\n",
		"a trailer's name":           ok + "Transfer-Encoding: chunked\r\nTrailer: TOKEN\r\n\r\n2\r\nok\r\n0\r\nTOKEN: a\r\n\r\n",
		"a body that is short":       ok + "Content-Length: 100000\r\n\r\nTOKEN",
		"a protocol":                 "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: TOKEN\r\n\r\n",
		"an interim answer":          "HTTP/1.1 103 TOKEN\r\nTOKEN\r\n\r\n" + ok + two + get2,
		"a TLS record":               "\x15\x03\x01\x00\x02TOKEN",
	}
	path := func(name string) string { return "/" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "'", "") }
	sends := map[string]string{}
	for name, text := range rows {
		sends[path(name)] = text
	}
	u := newUpstream(t, func(conn net.Conn, a *arrival) bool {
		shown := strings.TrimPrefix(strings.Join(a.header("Authorization"), ""), "Bearer ")
		token.Lock()
		token.text = shown
		token.Unlock()
		_, _ = io.WriteString(conn, strings.ReplaceAll(sends[a.target()], "TOKEN", shown)) // authgate may have had enough
		return false
	})
	u.fickle = true // an answer that does not begin may be asked for once more
	plain := newGate(t, u, changed{`url: "URL"`, `url: "URL", identity: {credential: idToken}`})
	cookie := "Cookie: " + plain.signIn()
	for name := range rows {
		for _, sent := range []string{
			get(path(name), cookie, "Connection: close"),
			request("HEAD", path(name), "", cookie, "Connection: close"),
			get(path(name), cookie, "Connection: Upgrade", "Upgrade: websocket", "Origin: http://raw.example", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
		} {
			conn := dial(t, plain.address)
			if _, err := io.WriteString(conn, sent); err != nil {
				t.Fatal(err)
			}
			if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil { // whatever comes
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			conn.Close()
		}
	}
	plain.holdsNowhere(t, token.text)

	address := repeatInFrames(t, func(s string) { token.Lock(); token.text = s; token.Unlock() })
	spoken := newGate(t, &upstream{fickle: true}, changed{`url: "URL"`, `url: "h2c://` + address + `", identity: {credential: idToken}`})
	cookie = "Cookie: " + spoken.signIn()
	for i := range frameFaults {
		spoken.ask(get(fmt.Sprintf("/%d", i), cookie, "Connection: close"))
	}
	spoken.holdsNowhere(t, token.text)
}

// holdsNowhere looks for a token, and for parts of it, in all that operators keep.
func (g *gate) holdsNowhere(t *testing.T, token string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the upstream was shown no ID token: %q", token)
	}
	metrics := g.fetch("/metrics")
	for what, file := range map[string]string{"log": g.log, "audit": g.audit} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range append(parts, token) {
			if part = part[:min(len(part), 20)]; strings.Contains(string(text), part) {
				t.Errorf("the %s holds the token:\n%s", what, text)
				break
			}
			if strings.Contains(metrics, part) {
				t.Errorf("the metrics hold the token")
			}
		}
	}
}

// frameFaults break off an HTTP/2 stream, with the token in it.
var frameFaults = []func(f *http2.Framer, stream uint32, header func(fields ...string) []byte, token string){
	func(f *http2.Framer, stream uint32, _ func(...string) []byte, token string) {
		_ = f.WriteGoAway(0, http2.ErrCodeProtocol, []byte(token))
	},
	func(f *http2.Framer, stream uint32, header func(...string) []byte, token string) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header(":status", token), EndHeaders: true})
	},
	func(f *http2.Framer, stream uint32, header func(...string) []byte, token string) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header(":status", "200", "X "+token, "a"), EndHeaders: true})
	},
	func(f *http2.Framer, stream uint32, header func(...string) []byte, token string) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header(":status", "200", "content-length", token), EndHeaders: true, EndStream: true})
	},
	func(f *http2.Framer, stream uint32, header func(...string) []byte, token string) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header(":status", "200"), EndHeaders: true})
		_ = f.WriteData(stream, false, []byte("ok"))
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header("x "+token, "a"), EndHeaders: true, EndStream: true})
	},
	func(f *http2.Framer, stream uint32, _ func(...string) []byte, token string) {
		_ = f.WriteRawFrame(http2.FrameHeaders, 0x5, stream, []byte(token))
	},
	func(f *http2.Framer, stream uint32, _ func(...string) []byte, token string) {
		_ = f.WriteData(stream+8, true, []byte(token))
		_ = f.WriteRSTStream(stream, http2.ErrCodeInternal)
	},
}

// repeatInFrames is an upstream of HTTP/2 that makes the fault that the path names.
func repeatInFrames(t *testing.T, saw func(token string)) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close() // it is broken
				speakFaults(conn, saw)
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

func speakFaults(conn net.Conn, saw func(token string)) {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	header := func(fields ...string) []byte {
		block.Reset()
		for i := 0; i < len(fields); i += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return []byte(block.String())
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		asked, ok := frame.(*http2.MetaHeadersFrame)
		if !ok {
			continue
		}
		var token string
		for _, field := range asked.RegularFields() {
			if field.Name == "authorization" {
				token = strings.TrimPrefix(field.Value, "Bearer ")
			}
		}
		saw(token)
		var which int
		_, _ = fmt.Sscanf(asked.PseudoValue("path"), "/%d", &which)
		frameFaults[which](f, asked.StreamID, header, token)
	}
}

// fetch reads a page of the admin port.
func (g *gate) fetch(path string) string {
	g.t.Helper()
	var text string
	wait.For(g.t, 5*time.Second, path, func() bool {
		res, err := http.Get("http://" + g.admin + path) //nolint:noctx // the test's own time limit
		if err != nil {
			return false
		}
		defer res.Body.Close() // read to its end
		all, err := io.ReadAll(res.Body)
		text = string(all)
		return err == nil && res.StatusCode == http.StatusOK
	})
	return text
}
