package wire_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestHTTP2SaysNoMoreThanHTTP1Could holds header blocks that no library would
// send to what RFC 9113, 8.2 and 8.3 allow. What net/http lets through, such as
// a blank in :path, is authgate's to refuse.
func TestHTTP2SaysNoMoreThanHTTP1Could(t *testing.T) {
	t.Parallel()
	const broken = "RST_STREAM PROTOCOL_ERROR"
	pseudo := func(method, scheme, authority, path string) []field {
		return []field{{":method", method}, {":scheme", scheme}, {":authority", authority}, {":path", path}}
	}
	post := func(more ...field) []field {
		return append(pseudo("POST", "http", "raw.example", "/a"), more...)
	}
	g := newGate(t, newUpstream(t, probed(sayFine)), nil)
	var b strings.Builder
	for _, row := range []struct {
		name   string
		fields []field
		body   string
		want   string
	}{
		{"a plain request", plain("/a"), "", "200 ok"},
		{"upper case in a name", plain("/a", field{"X-A", "1"}), "", broken},
		{"pseudo after regular", []field{{":method", "GET"}, {":scheme", "http"}, {":path", "/a"}, {"x-a", "1"}, {":authority", "raw.example"}}, "", broken},
		{"two :path", plain("/a", field{":path", "/private/x"}), "", broken},
		{"two :method", plain("/a", field{":method", "POST"}), "", broken},
		{"two :authority", plain("/a", field{":authority", "evil.example"}), "", broken},
		{"an unknown pseudo header", plain("/a", field{":x", "1"}), "", broken},
		{":status in a request", plain("/a", field{":status", "200"}), "", broken},
		{"no :scheme", []field{{":method", "GET"}, {":authority", "raw.example"}, {":path", "/a"}}, "", broken},
		{"scheme ftp", pseudo("GET", "ftp", "raw.example", "/a"), "", broken},
		{"scheme https on a plain connection", pseudo("GET", "https", "raw.example", "/a"), "", "200 ok"},
		{"no :path", []field{{":method", "GET"}, {":scheme", "http"}, {":authority", "raw.example"}}, "", broken},
		{"empty :path", plain(""), "", broken},
		{"relative :path", plain("a/b"), "", broken},
		{"control byte in :path", plain("/a\x01"), "", broken},
		{"NUL in :path", plain("/a\x00b"), "", broken},
		{"CRLF in :path", plain("/a HTTP/1.1\r\nX-Forwarded-User: admin\r\n"), "", broken},
		{"%zz in :path", plain("/%zz"), "", broken},
		{"a blank in :path", plain("/a b"), "", "400 bad_target"},
		{"a whole request line in :path", plain("/a HTTP/1.1"), "", "400 bad_target"},
		{"# in :path", plain("/a#b"), "", "400 bad_target"},
		{"backslash in :path", plain("/a\\b"), "", "400 bad_target"},
		{"// in :path", plain("//evil.example/p"), "", "400 bad_target"},
		{"absolute :path", plain("http://evil.example/x"), "", "400 bad_target"},
		{"8-bit bytes in :path", plain("/\xff"), "", "400 bad_target"},
		{"dot segments in :path", plain("/a/../private/x"), "", "400 bad_target"},
		{"a blank in the query", plain("/a?x=1 HTTP/1.1"), "", "400 bad_target"},
		{"* as :path of GET", plain("*"), "", "400 bad_target"},
		{"LF in a value", plain("/a", field{"x-a", "1\n2"}), "", broken},
		{"CR in a value", plain("/a", field{"x-a", "1\r2"}), "", broken},
		{"CRLF and a header in a value", plain("/a", field{"x-a", "1\r\nX-Forwarded-User: admin"}), "", broken},
		{"NUL in a value", plain("/a", field{"x-a", "1\x002"}), "", broken},
		{"a name with a blank", plain("/a", field{"x a", "1"}), "", broken},
		{"a name with a colon", plain("/a", field{"x-a: 1\r\nx-b", "1"}), "", broken},
		{"an empty name", plain("/a", field{"", "1"}), "", broken},
		{"connection", plain("/a", field{"connection", "close"}), "", "400"},
		{"transfer-encoding", plain("/a", field{"transfer-encoding", "chunked"}), "", "400"},
		{"keep-alive", plain("/a", field{"keep-alive", "1"}), "", "400"},
		{"proxy-connection", plain("/a", field{"proxy-connection", "close"}), "", "400"},
		{"upgrade", plain("/a", field{"upgrade", "websocket"}), "", "400"},
		{"te: gzip", plain("/a", field{"te", "gzip"}), "", "400"},
		{"te: trailers", plain("/a", field{"te", "trailers"}), "", "200 ok"},
		{"method G T", pseudo("G T", "http", "raw.example", "/a"), "", "405 bad_method"},
		{"method of a whole request", pseudo("GET /private/x HTTP/1.1\r\n", "http", "raw.example", "/a"), "", broken},
		{"method get", pseudo("get", "http", "raw.example", "/a"), "", "405 bad_method"},
		{"empty :method", pseudo("", "http", "raw.example", "/a"), "", broken},
		{"a blank in :authority", pseudo("GET", "http", "raw.example evil.example", "/a"), "", "421 unknown_host"},
		{"userinfo in :authority", pseudo("GET", "http", "u@raw.example", "/a"), "", broken},
		{"a slash in :authority", pseudo("GET", "http", "raw.example/x", "/a"), "", "421 unknown_host"},
		{"an unknown :authority", pseudo("GET", "http", "evil.example", "/a"), "", "421 unknown_host"},
		{"another host with :authority", plain("/a", field{"host", "evil.example"}), "", "400 bad_header"},
		{"a known host with an unknown :authority", append(pseudo("GET", "http", "evil.example", "/a"), field{"host", "raw.example"}), "", "400 bad_header"},
		{"the same host with :authority", plain("/a", field{"host", "raw.example"}), "", "200 ok"},
		{"host alone", []field{{":method", "GET"}, {":scheme", "http"}, {":path", "/a"}, {"host", "raw.example"}}, "", "200 ok"},
		{"host alone, twice, the first is ours", []field{{":method", "GET"}, {":scheme", "http"}, {":path", "/a"}, {"host", "raw.example"}, {"host", "evil.example"}}, "", "400 bad_header"},
		{"no host at all", []field{{":method", "GET"}, {":scheme", "http"}, {":path", "/a"}}, "", "421 unknown_host"},
		{"two content-length", post(field{"content-length", "3"}, field{"content-length", "4"}), "abc", "400 bad_header"},
		{"a body longer than content-length", post(field{"content-length", "3"}), "abcdef", broken},
		{"a body shorter than content-length", post(field{"content-length", "9"}), "abc", "400 bad_body"},
		{"content-length +3", plain("/a", field{"content-length", "+3"}), "", "400 bad_header"},
		{"cookies in several fields", plain("/a", field{"cookie", "a=1"}, field{"cookie", "b=2"}), "", "200 ok"},
		{"a value with blanks around", plain("/a", field{"x-a", "  1  "}), "", "200 ok"},
		{"CONNECT", []field{{":method", "CONNECT"}, {":authority", "raw.example:443"}}, "", "405 bad_method"},
		{"extended CONNECT", append(pseudo("CONNECT", "http", "raw.example", "/a"), field{":protocol", "websocket"}), "", broken},
		{"two authorization", plain("/a", field{"authorization", "Basic YTpi"}, field{"authorization", "Basic YTpj"}), "", "400 bad_header"},
	} {
		before := len(g.upstream.arrivals())
		f := g.speakFrames(t)
		f.request(1, row.body == "", row.fields...)
		if row.body != "" {
			_ = f.WriteData(1, true, []byte(row.body)) // the reader finds errors
		}
		got := f.answer(1)
		f.Close() // read to its end
		if got != row.want && !(row.want == "400" && strings.HasPrefix(got, "400 ")) {
			t.Errorf("%s: answered with %s, want %s", row.name, got, row.want)
		}
		arrived := g.upstream.arrivals()[before:]
		if !strings.HasPrefix(row.want, "200") && len(arrived) > 0 && !arrived[0].cut && arrived[0].body == "" {
			t.Errorf("%s: refused, and yet it reached the upstream: %s", row.name, shown(arrived[0].head))
		}

		fmt.Fprintf(&b, "# %s\n", row.name)
		for _, one := range row.fields {
			fmt.Fprintf(&b, "%q: %q\n", one[0], one[1])
		}
		if row.body != "" {
			fmt.Fprintf(&b, "%q\n", row.body)
		}
		fmt.Fprintf(&b, "    <= %s\n", got)
		if row.body == "" { // of a body that never was whole, more or less may have gone out
			for _, a := range arrived {
				if !a.cut { // that of the row before, whose body broke off, is seen late
					b.WriteString(a.String())
				}
			}
		}
		b.WriteString("\n")
	}
	compare(t, "http2", b.String())
}
