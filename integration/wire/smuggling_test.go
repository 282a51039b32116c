package wire_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestNoRequestIsHiddenInAnother sends what makes two servers see different ends
// of a request. However authgate reads it, the upstream must read the same: the
// requests there and the records here are compared one by one, in their order.
func TestNoRequestIsHiddenInAnother(t *testing.T) {
	t.Parallel()
	const (
		hidden = "GET /private/hidden HTTP/1.1\r\nHost: raw.example\r\n\r\n"
		second = "GET /second HTTP/1.1\r\nHost: raw.example\r\n\r\n"
	)
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(s), s) }
	length := func(s string) string { return fmt.Sprintf("Content-Length: %d", len(s)) }
	post := func(body string, lines ...string) string { return request("POST", "/a", body, lines...) }
	const chunked = "Transfer-Encoding: chunked"

	u := newUpstream(t, probed(sayFine))
	g := newGate(t, u, nil)
	for _, row := range []struct {
		name, sent string
		want       []string // what the upstream sees
	}{
		{"two requests in one packet", get("/a") + second, []string{"GET /a", "GET /second"}},
		{"a request behind a body", post("abc", "Content-Length: 3") + second, []string{"POST /a", "GET /second"}},
		{"a request behind a chunked body", post(chunk("abc"), chunked) + second, []string{"POST /a", "GET /second"}},
		{"a denied request behind an allowed one", get("/a") + hidden, []string{"GET /a"}},
		{"an allowed request behind a denied one", hidden + second, []string{"GET /second"}},
		{"a request as a body", post(hidden, length(hidden)), []string{"POST /a"}},
		{"a request as a chunked body", post(chunk(hidden), chunked), []string{"POST /a"}},
		{"a request as the body of a refused one", request("POST", "/private/x", hidden, length(hidden)), nil},

		{"CL.TE", post("0\r\n\r\n"+hidden, length("0\r\n\r\n"+hidden), chunked), []string{"POST /a"}},
		{"TE.CL", post(chunk(hidden), chunked, "Content-Length: 4"), []string{"POST /a"}},
		{"CL.0 of a GET", get("/a", length(hidden)) + hidden, []string{"GET /a"}},
		{"two lengths", post(hidden, "Content-Length: 0", length(hidden)), nil},
		{"lengths as a list", post(hidden, "Content-Length: 0, "+length(hidden)[16:]), nil},
		{"a length with a sign", post(hidden, "Content-Length: +"+length(hidden)[16:]), nil},
		{"a length with an underscore in its name", post(hidden, "Content_Length: "+length(hidden)[16:]), []string{"POST /a"}},
		{"TE.TE, xchunked", post("0\r\n\r\n"+hidden, chunked, "Transfer-Encoding: xchunked"), nil},
		{"TE.TE, identity", post("0\r\n\r\n"+hidden, chunked, "Transfer-Encoding: identity"), nil},
		{"TE.TE, a blank before the colon", post(chunk("abc"), "Transfer-Encoding : chunked", "Content-Length: 3"), nil},
		{"TE.TE, a tab", post("0\r\n\r\n"+hidden, "Transfer-Encoding:\tchunked", "Content-Length: 4"), []string{"POST /a"}},
		{"TE.TE, a vertical tab", post("0\r\n\r\n"+hidden, "Transfer-Encoding:\vchunked", "Content-Length: 4"), nil},
		{"TE.TE, quotes", post("0\r\n\r\n"+hidden, `Transfer-Encoding: "chunked"`, "Content-Length: 4"), nil},
		{"TE.TE, a list", post("0\r\n\r\n"+hidden, "Transfer-Encoding: chunked, chunked", "Content-Length: 4"), nil},
		{"TE.TE, capitals", post("0\r\n\r\n"+hidden, "TRANSFER-ENCODING: CHUNKED", "Content-Length: 4"), []string{"POST /a"}},
		{"TE.TE, folded", post("0\r\n\r\n"+hidden, "Transfer-Encoding:\r\n chunked", "Content-Length: 4"), []string{"POST /a"}},
		{"TE.TE, behind a bare LF", post("0\r\n\r\n"+hidden, "X-A: 1\nTransfer-Encoding: chunked", "Content-Length: 4"), []string{"POST /a"}},
		{"TE.TE, behind a bare CR", post("0\r\n\r\n"+hidden, "X-A: 1\rTransfer-Encoding: chunked", "Content-Length: 4"), nil},
		{"TE.TE, an underscore", post("abc", "Transfer_Encoding: chunked", "Content-Length: 3"), []string{"POST /a"}},
		{"a length in Connection", post(hidden, length(hidden), "Connection: Content-Length"), []string{"POST /a"}},
		{"Transfer-Encoding in Connection", post(chunk(hidden), chunked, "Connection: Transfer-Encoding"), []string{"POST /a"}},
		{"a request in a chunk extension", post("3;"+strings.ReplaceAll(hidden, "\r\n", " ")+"\r\nabc\r\n0\r\n\r\n", chunked), []string{"POST /a"}},
		{"a request in a trailer", post("0\r\nX-T: 1\r\n\r\n"+second, chunked), []string{"POST /a", "GET /second"}},
		{"a request behind Upgrade: h2c", get("/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__") + hidden, []string{"GET /a"}},
		{"a request behind a WebSocket handshake that is refused", get("/private/ws", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==") + hidden, nil},
		{"a request behind Expect", post("abc", "Content-Length: 3", "Expect: 100-continue") + second, []string{"POST /a", "GET /second"}},
		{"a request in a header", get("/a", "X-A: 1\r\n "+hidden), nil},
		{"HTTP/1.0 and chunked", "POST /a HTTP/1.0\r\nHost: raw.example\r\nConnection: keep-alive\r\n" + chunked + "\r\n\r\n0\r\n\r\n" + hidden, []string{"POST /a"}},
	} {
		before, recorded := len(u.arrivals()), len(g.records())
		s := g.say(t, row.sent)
		if s.silent {
			t.Errorf("%s: neither answered nor closed", row.name)
		}
		var saw, audited []string
		for _, a := range withoutProbes(u.arrivals()[before:]) {
			saw = append(saw, a.method()+" "+a.target())
		}
		for _, r := range g.recordsFrom(recorded) {
			if r.Decision == "allow" {
				audited = append(audited, r.Method+" "+r.Path)
			}
		}
		if !slices.Equal(saw, audited) {
			t.Errorf("%s: the upstream saw %q, the audit tells of %q", row.name, saw, audited)
		}
		if !slices.Equal(saw, row.want) {
			t.Errorf("%s: the upstream saw %q, want %q; the client received %v", row.name, saw, row.want, s.answers)
		}
	}
}
