package target_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/example-org/authgate/target"
)

func TestOneCanonicalForm(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"/":                                   "/",
		"/a/b":                                "/a/b",
		"/a/b/":                               "/a/b/",
		"/a?b=//..;c#d":                       "/a",
		"/%41%7e%2D":                          "/A~-",
		"/a%3Ab":                              "/a%3Ab",
		"/a%3ab":                              "/a%3Ab",
		"/a:b":                                "/a:b",
		"/a|b":                                "/a%7Cb",
		"/a%7cb":                              "/a%7Cb",
		"/caf\xc3\xa9":                        "/caf%C3%A9",
		"/caf%c3%a9":                          "/caf%C3%A9",
		"/a%20b":                              "/a%20b",
		"/100%25":                             "/100%25",
		"/100%25/x":                           "/100%25/x",
		"/...":                                "/...",
		"/.well-known/x":                      "/.well-known/x",
		"/a*b/(c)[d]!$&'+,=@":                 "/a*b/(c)[d]!$&'+,=@",
		"/a%2fb":                              "/a%2Fb",
		"/clusters/https%3A%2F%2Fhost%3A6443": "/clusters/https%3A%2F%2Fhost%3A6443",
		"/clusters/https:%2f%2fhost/x":        "/clusters/https:%2F%2Fhost/x",
		"/r/git%40github.com%3Ao%2Fr.git":     "/r/git%40github.com%3Ao%2Fr.git",
	} {
		got, err := target.Parse(raw)
		if err != nil {
			t.Errorf("Parse(%q): %v", raw, err)
			continue
		}
		if got.String() != want {
			t.Errorf("Parse(%q) = %q, want %q", raw, got, want)
		}
		if coded := strings.Contains(want, "%2F"); got.HasCodedSlash() != coded {
			t.Errorf("Parse(%q).HasCodedSlash() = %v, want %v", raw, got.HasCodedSlash(), coded)
		}
	}
}

func TestAmbiguousPathsAreRefused(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]target.Refusal{
		"":                      target.NotAbsolute,
		"a":                     target.NotAbsolute,
		"*":                     target.NotAbsolute,
		"?x":                    target.NotAbsolute,
		"http://evil/x":         target.NotAbsolute,
		"x:y":                   target.NotAbsolute,
		"/%":                    target.BadEscape,
		"/%2":                   target.BadEscape,
		"/%zz":                  target.BadEscape,
		"/%u0041":               target.BadEscape,
		"/a\x00":                target.ControlByte,
		"/a%00":                 target.ControlByte,
		"/a%0a":                 target.ControlByte,
		"/a%7F":                 target.ControlByte,
		"/a b":                  target.ControlByte,
		"/a\\b":                 target.Backslash,
		"/a%5cb":                target.Backslash,
		"/a;x=1":                target.Parameter,
		"/a%3Bx=1":              target.Parameter,
		"/a#b":                  target.Fragment,
		"/a%252Fb":              target.DoubleEncoding,
		"/a%25%32Fb":            target.DoubleEncoding,
		"/%2541":                target.DoubleEncoding,
		"/%25x/%2541":           target.DoubleEncoding,
		"/\xff":                 target.NotUTF8,
		"/%ff":                  target.NotUTF8,
		"/%c0%af":               target.NotUTF8, // overlong slash
		"/%ed%a0%80":            target.NotUTF8, // surrogate
		"/%c3/%a9":              target.NotUTF8,
		"/.":                    target.DotSegment,
		"/..":                   target.DotSegment,
		"/a/../b":               target.DotSegment,
		"/a/%2e%2E/b":           target.DotSegment,
		"/a/./b":                target.DotSegment,
		"/a%2F..%2Fb":           target.DotSegment,
		"/a%2F%2e%2e":           target.DotSegment,
		"/..%2Fa":               target.DotSegment,
		"//":                    target.EmptySegment,
		"//evil.example/x":      target.EmptySegment,
		"/a//b":                 target.EmptySegment,
		"/a//":                  target.EmptySegment,
		"/a%2F%2Fb":             target.EmptySegment,
		"/%2Fa":                 target.EmptySegment,
		"/a%2F":                 target.EmptySegment,
		"/https%3A%2F%2F":       target.EmptySegment,
		"/https%3A%2F%2F%2Fx":   target.EmptySegment,
		"/x%2Fhttps%3A%2F%2Fx":  target.EmptySegment,
		"/%3A%2F%2Fx":           target.EmptySegment,
		"/https%3A%2F%2F..%2Fx": target.DotSegment,
	} {
		got, err := target.Parse(raw)
		if !errors.Is(err, want) {
			t.Errorf("Parse(%q) = %q, %v; want %q", raw, got, err, want)
		}
		if !got.IsZero() {
			t.Errorf("Parse(%q) refused, yet returned %q", raw, got)
		}
	}
}

func TestCanonicalPathCostsNoAllocation(t *testing.T) {
	raw := "/api/v1/applications/guestbook/resource-tree?x=1"
	if n := testing.AllocsPerRun(100, func() { _, _ = target.Parse(raw) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = target.Parse("/api/v1/applications/guestbook/resource-tree?x=1")
	}
}

// FuzzParse holds every path that is let through to three promises: parsing it
// again changes nothing, net/url forwards exactly these bytes, and a naive
// reader that decodes and splits sees no segment that climbs or vanishes.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b/?q", "/%41|\xc3\xa9", "/a%2Fb", "/https%3A%2F%2Fh", "/%2e%2e/x", "//x", "/a%25zz", "/;", "/%25%34%31",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := target.Parse(raw)
		if err != nil {
			if !p.IsZero() {
				t.Errorf("%q refused with a path: %q", raw, p)
			}
			return
		}
		if again, err := target.Parse(p.String()); err != nil || again != p {
			t.Errorf("%q: %q parsed again is %q, %v", raw, p, again, err)
		}
		sent := url.URL{Path: p.Decoded(), RawPath: p.String()}
		if got := sent.EscapedPath(); got != p.String() {
			t.Errorf("%q: judged %q, net/url would send %q", raw, p, got)
		}
		if got := sent.RequestURI(); got != p.String() {
			t.Errorf("%q: judged %q, the request line would hold %q", raw, p, got)
		}
		for segment := range strings.SplitSeq(p.Decoded(), "/") {
			if segment == "." || segment == ".." {
				t.Errorf("%q: %q climbs for a reader that decodes first", raw, p)
			}
		}
	})
}
