package target_test

import (
	"errors"
	"testing"

	"github.com/example-org/authgate/target"
)

// attacks are request targets by which servers were made to disagree. Each is
// refused, and says why.
var attacks = map[target.Refusal][]string{
	// A server that decodes, or resolves as RFC 3986, 5.2.4 does, climbs out.
	target.DotSegment: {
		"/.", "/..", "/./", "/../", "/a/.", "/a/..", "/a/./b", "/a/../b", "/../../etc/passwd", "/a/b/../../c",
		"/%2e", "/%2e%2e", "/%2E%2e/", "/.%2e/a", "/%2e./a", "/a/%2e%2e/b", "/a/%2e%2e%2fb", "/a/..%2fb", "/a%2f../b",
		"/a%2f%2e%2e%2fb", "/a%2F..", "/..%2f..%2f..%2fetc", "/a%2f.%2fb", "/.%2fa", "/api/v1/clusters/..%2F..%2Fterminal",
		"/a/..?b", "/a/..?/../b", "/..?", "/https%3A%2F%2F..%2Fx", "/https%3A%2F%2Fx%2F..",
		// Windows takes spaces off the end of a name.
		"/a/..%20/b", "/a/.%20", "/a/%20../b", "/a/.%20./b", "/a/..%20%20%20/b", "/a%2f..%20%2fb",
		// Its "best fit", and NFKC, make an ASCII dot of these.
		"/a/\uff0e\uff0e/b", "/a/%ef%bc%8e%ef%bc%8e/b", "/a/.%EF%BC%8E/b", "/a/\u2024\u2024/b", "/a/\ufe52./b", "/a/%e2%80%a4", "/a/\uff0e%20\uff0e/b",
		"/a/\u2025/b", "/\u2026", "/a/\u2026\uff0e/b", "/a/\ufe30", "/a/\ufe19/b", "/a/.\u2024", "/%e2%80%a5/b", "/%E2%80%A6%E2%80%A6",
		// Those that look like slashes, or become one in a code page.
		"/a/..\u2215b", "/a/..\u2044b", "/a/..\u29f8", "/a\u2215../b", "/a\u2044.\u2044b", "/a/%2e%2e%e2%88%95b", "/a/..%E2%81%84", "/a/\uff0e\uff0e\u2215b", "/a/..\u2216b",
		"/a/..\u00a5b", "/a/..\u20a9", "/a/..\uffe5b", "/\u215f..", "/..\u2571a", "/a%2f..\u2215b",
		"/a/..\u27cbb", "/a\u27cd../b", "/a/..\u29f6b", "/a/..\u29f7", "/a/..\u2afbb", "/a/..\u2afdb", "/a/..\u2f03b", "/a\u3033..", "/a/..\u31d3b", "/a/..\U0001d23ab",
		"/a/..\u0337b", "/a/..%CC%B8b", "/a/..\u20e5b", "/a/..\u2041b",
		"/..\uff1ba/b", "/a/..\u037e/b", "/a/.\ufe54x",
		// What is not shown, or stands above a dot, some drop.
		"/a/.\u200b./b", "/a/..\u200d/b", "/a/\ufeff../b", "/a/.\u00ad./b", "/a/.\u034f.", "/a/.\u2060./b", "/a/.\ufe0f.", "/a/.\u0300./b", "/a/..\u0338/b", "/a/.\u00a0./b",
		"/a/.\u3000", "/a/.\u2003./b", "/a/\u200f..", "/a/.\U000e0101./b", "/a/.\u180e./b", "/a/%2e%e2%80%8b%2e/b",
	},
	// Of these NFKC makes a slash or a backslash, or a word with one in it.
	target.LookAlike: {
		"/\uff0fa", "/a\uff0f", "/a\uff0fb", "/..\uff0fb", "/a/..\uff0f", "/\uff0f\uff0fevil.example", "/a\uff3cb", "/..\uff3cb", "/\ufe68", "/a/..\ufe68b", "/%ef%bc%8f..",
		"/a/%EF%BC%BC..", "/%2e%2e%EF%B9%A8", "/\u2100", "/a\u2105b", "/a%2f\uff0fb", "/\uff0e\uff0e\uff0fa",
	},
	// nginx, Go's ServeMux and Express make one slash of two; net/url takes what
	// follows for a host.
	target.EmptySegment: {
		"//", "///", "////", "/a//", "/a//b", "//a", "//evil.example", "//evil.example/p", "//u@evil.example:80/p", "///x",
		"/a//../b", "//..", "/a///b", "//%2e%2e/b", "/a%2f%2fb", "/%2f", "/%2F%2F", "/%2fa", "/a%2f", "/a%2F/b", "/a/%2Fb", "/%2f%2fevil.example",
		"/%2F/evil.example", "/https%3A%2F%2F", "/https%3A%2F%2F%2Fx", "/x%2Fhttps%3A%2F%2Fx", "/%3A%2F%2Fx", "/:%2F%2Fx", "/1http%3A%2F%2Fx", "/a//?b",
		"/http:%2F%2Fa%2F%2Fb", "/https%2F%2Fa", "/a%2F%2F",
	},
	// IIS, .NET and browsers read it as a slash.
	target.Backslash: {
		`/\`, `/\evil.example`, `/\/evil.example`, `/a\b`, `/a\..\b`, `/..\..\b`, `/a/..\b`, "/a%5cb", "/a%5Cb", "/..%5c..%5cb", "/%5c%5cevil.example",
		"/%5c..%2f", `/a%2f\b`, "/a/..%5c", `/\\unc\share`,
	},
	// Servlets take ;name=value off each segment, before or after they decode.
	target.Parameter: {
		"/;", "/a;", "/a;b", "/a;b=c/d", "/a;jsessionid=1", "/a/..;/b", "/..;/", "/..;a=b/c", "/a/;/b", "/;/a", "/a/.;/b", "/a%3b", "/a/..%3b/b", "/a%3Bb=c/d",
		"/manager;.css", "/a;/../b", "/.;/a", "/%2e%2e;/a", "/;%2f..%2fa", "/a/b;%2e%2e/c",
	},
	// C ends the string; others drop it, or take it for the end of a line.
	target.ControlByte: {
		"/\x00", "/a\x00b", "/a%00", "/a%00.js", "/%00/../b", "/a%00/b", "/a%0ab", "/a%0d%0aSet-Cookie:x", "/a%0d", "/a\r\nHost: evil", "/a%09b", "/a\tb",
		"/..%00/b", "/..%09/b", "/..%0d/b", "/%01", "/%1f", "/%7f", "/\x7f", "/a b", "/ ", "/ HTTP/1.1", "/%08..", "/\x1b[31m", "/%1b",
		"/\u0085", "/%c2%80", "/..%c2%85/b", "/%C2%9F", "/%C2%9b31m",
	},
	// Decoded as UTF-8 was before 2003, these are ASCII.
	target.NotUTF8: {
		"/\xff", "/%ff", "/%fe", "/%80", "/%bf", "/a\xc3", "/a%c3", "/a%c3b", "/%c3/%a9", "/%c3%2f%a9",
		"/%c0%af", "/%c0%ae%c0%ae/", "/%c0%ae%c0%ae%c0%af", "/..%c0%afb", "/%c1%9c", "/%e0%80%af", "/%e0%80%ae%e0%80%ae", "/%f0%80%80%af",
		"/%f8%80%80%80%af", "/%fc%80%80%80%80%af", "/%c0%80", "/%e0%81%9c", "/%ed%a0%80", "/%ed%bf%bf", "/%f4%90%80%80", "/%f5%80%80%80", "/%c0%2e", "/%e2%80",
	},
	// What is decoded once is one path, and decoded twice another.
	target.DoubleEncoding: {
		"/%252e%252e/", "/%252f", "/a%252Fb", "/..%252f..%252fb", "/%2525", "/%252525", "/%25252e", "/%25%32%65", "/%25%32f", "/%25%32%66", "/%25%34%31", "/%2541",
		"/%255c", "/%253b", "/%2500", "/%250a", "/a%2541", "/%25x/%252e", "/%25%252e", "/%25C0%25AF", "/%25u002e", "/%25U002F", "/%25%750041",
		// With percent signs and digits of other scripts.
		"/\uff052e\uff052e/b", "/a\uff052Fb", "/%ef%bc%852e", "/\ufe6a2e", "/\uff05\uff12\uff45", "/a\uff05\uff12F",
	},
	// Some servers leave these as they are, some drop the %, IIS reads %u as UTF-16.
	target.BadEscape: {
		"/%", "/%2", "/%2/", "/a%", "/%zz", "/%2g", "/%g2", "/%u002e%u002e/", "/%u2215", "/%u0041", "/%x41", "/%-1", "/% 41", "/%%32%65", "/%%", "/%%41", "/%2%65", "/%\xc3\xa9",
		"/100%", "/%?41", "/%/41", "/%\x0041",
	},
	// HTTP/2 lets these pass; in the request line of HTTP/1 they would end the target.
	target.QueryByte: {
		"/a? ", "/a?x=1 HTTP/1.1", "/a?x=1\tHTTP/1.1", "/a?\r\nX: y", "/a?x=\x00", "/?\x7f", "/a?x=1\n", "/a??b c",
	},
	// A fragment is not sent (RFC 9112, 3.2.1): who cuts it off sees another path.
	target.Fragment: {"/#", "/a#b", "/a#/../b", "/a#?b", "/#/a"},
	// Absolute form names another host, authority form a tunnel, asterisk form no
	// path at all; net/http forwards GET x:y as GET y.
	target.NotAbsolute: {
		"", "?", "?a", "*", "a", "a/b", "./a", "../a", "..", ".", "http://evil/p?q", "http://evil", "http:///p", "https://u:p@evil:99/p", "HTTP://evil/",
		"ftp://evil/p", "file:///etc/passwd", "x:y", "http:a/../b", "a.example:80", "evil:443", "evil/pp", "#", "%2fa", "%2Fa", `\a`, "javascript:alert(1)", "@evil/", ":80", " /a",
		"\t/a", "%", "\xc0\xafa", ";/a",
	},
}

func TestWhatServersReadInTwoWaysIsRefused(t *testing.T) {
	t.Parallel()
	rows := 0
	for want, targets := range attacks {
		for _, raw := range targets {
			rows++
			got, err := target.Parse(raw)
			if !errors.Is(err, want) {
				t.Errorf("Parse(%q) = %q, %v; want: %s", raw, got, err, want)
			}
			if !got.IsZero() {
				t.Errorf("Parse(%q) refused, yet returned %q", raw, got)
			}
		}
	}
	if rows < 200 {
		t.Errorf("%d attacks only", rows)
	}
}

// What looks odd and is one path to every server passes: dashboards use it.
func TestWhatEveryServerReadsAlikePasses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"/": "/", "/?": "/", "/a?": "/a", "/?//../;x#%zz\\": "/", "/a?b=%00": "/a",
		"/...": "/...", "/..a": "/..a", "/a..": "/a..", "/.a": "/.a", "/a.": "/a.", "/a../b": "/a../b", "/..%61": "/..a", "/.git/": "/.git/", "/a%20": "/a%20", "/%20a": "/%20a",
		"/a/": "/a/", "/a/b/c/": "/a/b/c/", "/a%2fb": "/a%2Fb", "/a%2fb/": "/a%2Fb/", "/a%2f..b": "/a%2F..b",
		"/100%25": "/100%25", "/100%25/": "/100%25/", "/50%25%20off": "/50%25%20off", "/%25zz": "/%25zz", "/%25up": "/%25up", "/%25u00g0": "/%25u00g0", "/a%25": "/a%25", "/%25%25": "/%25%25",
		"/%61": "/a", "/%7Euser": "/~user", "/%2D%2E%5F": "/-._", "/%30": "/0", "/%5a": "/Z",
		"/a%3ab": "/a%3Ab", "/a:b": "/a:b", "/%40": "/%40", "/@": "/@", "/%2a": "/%2A", "/*": "/*", "/**": "/**", "/a%2bb": "/a%2Bb", "/a+b": "/a+b", "/%26": "/%26", "/&": "/&",
		"/a%3fb": "/a%3Fb", "/a%23b": "/a%23b", "/a%22": "/a%22", `/"`: "/%22", "/<>": "/%3C%3E", "/^`{|}": "/%5E%60%7B%7C%7D", "/%7b": "/%7B", "/[::1]": "/[::1]", "/%5b": "/%5B",
		"/\u00e9": "/%C3%A9", "/%c3%a9": "/%C3%A9", "/e\u0301": "/e%CC%81", "/日本": "/%E6%97%A5%E6%9C%AC", "/\U0001f600": "/%F0%9F%98%80", "/\u00a0": "/%C2%A0", "/a\u2026": "/a%E2%80%A6",
		"/a\u2215b": "/a%E2%88%95b", "/1\u20442": "/1%E2%81%842", "/\u00a5100": "/%C2%A5100", "/\u00bd": "/%C2%BD", "/a\u0301.": "/a%CC%81.", "/.\u0301a": "/.%CC%81a",
		"/\u2026\uff0e\uff0e": "/%E2%80%A6%EF%BC%8E%EF%BC%8E", "/\uff05zz": "/%EF%BC%85zz", "/100\uff05": "/100%EF%BC%85",
		"/a\uff0e": "/a%EF%BC%8E", "/\uff0e\uff0e\uff0e": "/%EF%BC%8E%EF%BC%8E%EF%BC%8E", "/50\uff05": "/50%EF%BC%85", "/\uff1b": "/%EF%BC%9B", "/\ufffd": "/%EF%BF%BD",
		"/https%3a%2f%2fk:6443": "/https%3A%2F%2Fk:6443", "/s/oci%3A%2F%2Fg%2Fx/y": "/s/oci%3A%2F%2Fg%2Fx/y", "/git+ssh:%2F%2Fh": "/git+ssh:%2F%2Fh",
	} {
		got, err := target.Parse(raw)
		if err != nil || got.String() != want {
			t.Errorf("Parse(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
}
