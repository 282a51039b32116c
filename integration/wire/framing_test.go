package wire_test

import (
	"strings"
	"testing"
)

// TestFramingIsReadOneWay holds authgate to RFC 9112 where it is strict, and
// shows where net/http is lenient: what it repairs goes out repaired.
func TestFramingIsReadOneWay(t *testing.T) {
	t.Parallel()
	const host = "Host: raw.example\r\n"
	get := func(lines string) string { return "GET /a HTTP/1.1\r\n" + host + lines + "\r\n" }
	post := func(lines, body string) string { return "POST /a HTTP/1.1\r\n" + host + lines + "\r\n" + body }
	const chunked = "3\r\nabc\r\n0\r\n\r\n"

	g := newGate(t, newUpstream(t, probed(sayFine)), nil)
	g.table("framing", []row{
		{"a plain request", get(""), 200},
		{"bare LF line ends", "GET /a HTTP/1.1\nHost: raw.example\nX-A: 1\n\n", 200},
		{"bare CR in a value", get("X-A: 1\r2\r\n"), 400},
		{"bare CR as line end", get("X-A: 1\rX-B: 2\r\n"), 400},
		{"NUL in a value", get("X-A: 1\x002\r\n"), 400},
		{"0x01 in a value", get("X-A: 1\x012\r\n"), 400},
		{"DEL in a value", get("X-A: 1\x7f2\r\n"), 400},
		{"8-bit bytes in a value", get("X-A: \xe9\xff\r\n"), 200},
		{"a tab in a value", get("X-A: 1\t2\r\n"), 200},
		{"obs-fold", get("X-A: 1\r\n 2\r\n"), 200},
		{"obs-fold of a header that counts", post("Content-Length: 1\r\n 0\r\n", "abc"), 400},
		{"first header line with a leading blank", "GET /a HTTP/1.1\r\n X-A: 1\r\n" + host + "\r\n", 400},
		{"name with a space", get("X A: 1\r\n"), 400},
		{"space before the colon", get("X-A : 1\r\n"), 400},
		{"tab before the colon", get("X-A\t: 1\r\n"), 400},
		{"empty name", get(": 1\r\n"), 400},
		{"no colon", get("X-A\r\n"), 400},
		{"NUL in a name", get("X\x00A: 1\r\n"), 400},
		{"non-ASCII name", get("X-\xc3\xa9: 1\r\n"), 400},
		{"all signs that a name may hold", get("!#$%&'*+.^_`|~: 1\r\n"), 200},
		{"one header in three spellings", get("X-USER-AGENT: 1\r\nx-user-agent: 2\r\nx_user_agent: 3\r\n"), 200},
		{"two headers that count, Authorization", get("Authorization: Basic YTpi\r\nAuthorization: Basic YTpj\r\n"), 400},
		{"two headers that count, Origin", get("Origin: http://raw.example\r\nOrigin: http://evil.example\r\n"), 400},
		{"two headers that count, Sec-Fetch-Site", get("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n"), 400},
		{"two headers that count, Content-Type", get("Content-Type: text/plain\r\nContent-Type: application/grpc\r\n"), 400},
		{"two headers that count, Proxy-Authorization", get("Proxy-Authorization: Bearer a\r\nProxy-Authorization: Bearer b\r\n"), 400},

		{"Content-Length twice, equal", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 200},
		{"Content-Length twice, different", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), 400},
		{"Content-Length 3, 3", post("Content-Length: 3, 3\r\n", "abc"), 400},
		{"Content-Length +3", post("Content-Length: +3\r\n", "abc"), 400},
		{"Content-Length -1", post("Content-Length: -1\r\n", "abc"), 400},
		{"Content-Length 0x3", post("Content-Length: 0x3\r\n", "abc"), 400},
		{"Content-Length empty", post("Content-Length:\r\n", "abc"), 400},
		{"Content-Length 003", post("Content-Length: 003\r\n", "abc"), 200},
		{"Content-Length beyond 64 bits", post("Content-Length: 18446744073709551619\r\n", "abc"), 400},
		{"Content-Length and chunked", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", chunked), 200},
		{"chunked and Content-Length", post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", chunked), 200},
		{"Chunked", post("Transfer-Encoding: Chunked\r\n", chunked), 200},
		{"chunked with blanks around", post("Transfer-Encoding:  \tchunked \r\n", chunked), 200},
		{"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", chunked), 501},
		{"chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", chunked), 501},
		{"identity", post("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "abc"), 501},
		{"Transfer-Encoding empty", post("Transfer-Encoding:\r\nContent-Length: 3\r\n", "abc"), 501},
		{"Transfer-Encoding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked), 501},
		{"Transfer-Encoding xchunked", post("Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n", "abc"), 501},
		{"Transfer-Encoding with a vertical tab", post("Transfer-Encoding: \vchunked\r\nContent-Length: 3\r\n", "abc"), 400},
		{"Transfer-Encoding folded", post("Transfer-Encoding:\r\n chunked\r\n", chunked), 200},
		{"Transfer_Encoding", post("Transfer_Encoding: chunked\r\nContent-Length: 3\r\n", "abc"), 200},
		{"Transfer-Encoding on HTTP/1.0", "POST /a HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + chunked, 200},
		{"chunk extension", post("Transfer-Encoding: chunked\r\n", "3;x=y;z=\"1\"\r\nabc\r\n0;last\r\n\r\n"), 200},
		{"trailers", post("Transfer-Encoding: chunked\r\nTrailer: X-T\r\n", "3\r\nabc\r\n0\r\nX-T: 1\r\nAuthorization: Bearer a\r\n\r\n"), 200},
		{"Trailer: Content-Length", post("Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n", chunked), 400},
		{"an empty chunked body", post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), 200},
		{"GET with a body", get("Content-Length: 3\r\n") + "abc", 200},

		{"no Host on HTTP/1.1", "GET /a HTTP/1.1\r\n\r\n", 400},
		{"no Host on HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", 421},
		{"empty Host", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", 421},
		{"two Hosts, equal", get(host), 400},
		{"two Hosts, different", get("Host: evil.example\r\n"), 400},
		{"Host with a slash", "GET /a HTTP/1.1\r\nHost: raw.example/x\r\n\r\n", 400},
		{"Host with userinfo", "GET /a HTTP/1.1\r\nHost: u@raw.example\r\n\r\n", 400},
		{"Host with a blank", "GET /a HTTP/1.1\r\nHost: raw.example evil.example\r\n\r\n", 400},
		{"Host with 8-bit bytes", "GET /a HTTP/1.1\r\nHost: raw.ex\xe4mple\r\n\r\n", 400},
		{"Host as a list", "GET /a HTTP/1.1\r\nHost: raw.example,evil.example\r\n\r\n", 421},
		{"Host with escapes", "GET /a HTTP/1.1\r\nHost: raw%2eexample\r\n\r\n", 421},
		{"Host in capitals, with a dot and a port", "GET /a HTTP/1.1\r\nHost: Raw.Example.:8080\r\n\r\n", 200},
		{"Host with two ports", "GET /a HTTP/1.1\r\nHost: raw.example:1:2\r\n\r\n", 421},
		{"Host with an open bracket", "GET /a HTTP/1.1\r\nHost: [::1\r\n\r\n", 421},
		{"an unknown Host", "GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421},
		{"an unknown Host, X-Forwarded-Host a known one", "GET /a HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: raw.example\r\n\r\n", 421},

		{"HTTP/1.2", "GET /a HTTP/1.2\r\n" + host + "\r\n", 200},
		{"HTTP/2.0", "GET /a HTTP/2.0\r\n" + host + "\r\n", 505},
		{"HTTP/0.9", "GET /a\r\n", 400},
		{"http/1.1", "GET /a http/1.1\r\n" + host + "\r\n", 400},
		{"a leading empty line", "\r\nGET /a HTTP/1.1\r\n" + host + "\r\n", 400},
		{"the beginning of TLS", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", 400},
		{"method get", "get /a HTTP/1.1\r\n" + host + "\r\n", 405},
		{"method G!T|~", "G!T|~ /a HTTP/1.1\r\n" + host + "\r\n", 405},
		{"method TRACE", "TRACE /a HTTP/1.1\r\n" + host + "\r\n", 405},
		{"no method", " /a HTTP/1.1\r\n" + host + "\r\n", 400},
		{"Expect: x", get("Expect: x\r\n"), 417},
		{"HTTP/1.0, kept alive", "GET /a HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n\r\n", 200},
		{"Connection: close", get("Connection: close\r\n"), 200},
		{"HEAD", "HEAD /a HTTP/1.1\r\n" + host + "\r\n", 200},
		{"Upgrade: h2c", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), 200},
		{"Upgrade: h2c, websocket", get("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n"), 200},
		{"Upgrade twice", get("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"), 200},
		{"Upgrade: websocket of a POST", post("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", "abc"), 200},
	})
}

// TestBrokenChunksAreNeverWhole: the server reads a body while it is forwarded, so
// a fault in it comes late. What went out must be seen to be cut off.
func TestBrokenChunksAreNeverWhole(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, probed(sayFine))
	g := newGate(t, u, nil)
	for name, body := range map[string]string{
		"bare LF behind a size":     "3\nabc\r\n0\r\n\r\n",
		"bare LF behind a chunk":    "3\r\nabc\n0\r\n\r\n",
		"0x3":                       "0x3\r\nabc\r\n0\r\n\r\n",
		"+3":                        "+3\r\nabc\r\n0\r\n\r\n",
		"a blank before the size":   " 3\r\nabc\r\n0\r\n\r\n",
		"a size of 17 digits":       "00000000000000003\r\nabc\r\n0\r\n\r\n",
		"a size beyond 64 bits":     "10000000000000003\r\nabc\r\n0\r\n\r\n",
		"a chunk longer than said":  "3\r\nabcdef\r\n0\r\n\r\n",
		"a negative size":           "-3\r\nabc\r\n0\r\n\r\n",
		"an empty size":             "\r\nabc\r\n0\r\n\r\n",
		"bare CR behind a size":     "3\rabc\r\n0\r\n\r\n",
		"NUL in an extension":       "3;\x00\r\nabc\r\nz\r\n\r\n",
		"a trailer without a colon": "3\r\nabc\r\n0\r\nX-T\r\n\r\n",
	} {
		path := "/chunks/" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "+", "plus-")
		s := g.say(t, request("POST", path, body, "Transfer-Encoding: chunked"))
		if got := s.first().status; got == 200 {
			t.Errorf("%s: answered with %s", name, s.first())
		}
		if s.kept {
			t.Errorf("%s: and the connection is used further, from an unknown position", name)
		}
		for _, a := range u.arrivals() {
			if a.target() == path && !a.cut {
				t.Errorf("%s: the upstream took %s for a whole body", name, shown(a.body))
			}
		}
	}
}
